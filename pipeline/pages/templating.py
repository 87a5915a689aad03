"""Templates of pages: one environment and one stylesheet; what is put in is escaped unless it is Markup."""

from base64 import b64encode
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.core.files import text_digest

FOLDER = Path(__file__).with_name("templates")


@cache
def environment() -> Environment:
    """Return the environment of all templates: escaping, and refusing names that are not given.

    Filters: ``percent`` (0.25 becomes 25 %), ``figure`` (three decimals, a dash for what is undefined).
    """
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["percent"] = lambda value: f"{value:.0%}".replace("%", " %")
    made.filters["figure"] = figure
    return made


def render(template: str, **values: object) -> str:
    """Return the text of a page; the stylesheet is given to every template as ``style``."""
    style = Markup((FOLDER / "style.css").read_text(encoding="utf-8"))  # noqa: S704 - a file of the project
    return environment().get_template(template).render(style=style, **values)


def digest(*templates: str) -> str:
    """Return a fingerprint of templates and of the stylesheet: other ones give another page."""
    return text_digest([(FOLDER / name).read_text(encoding="utf-8") for name in (*templates, "style.css")])


def figure(value: float | None, digits: int = 3) -> str:
    """Return a number for a table; a dash for one that is not there or undefined."""
    return "–" if value is None or value != value else f"{value:.{digits}f}"


def data_uri(content: bytes, kind: str) -> str:
    """Return bytes as an address that holds them: ``data:image/webp;base64,…``."""
    return f"data:{kind};base64,{b64encode(content).decode()}"
