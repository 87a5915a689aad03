"""The layout of a data set: which channel of its files shows what, and how values are read."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pipeline.core.errors import PipelineError
from pipeline.formats.sources import Kind, Projection, Reading

CHANNELS = ("microtubules", "protein", "nucleus", "er")
"""Channels in the order of a picture's planes, named by what they show."""

COLOURS = {"microtubules": "red", "protein": "green", "nucleus": "blue", "er": "yellow"}
"""The Human Protein Atlas' colour, and file ending, of each channel."""

METADATA = "Metadata_"
"""How the names of columns begin that say what a picture is of, and are no features."""

UNKNOWN = "?"
"""What stands in a layout that inspect wrote where a person has to say something."""

FileChannel = str | int
"""A channel as files call it: a name or a colour, or an index from 0."""

_UNSAID = re.compile(rf'^[ \t]*(\w+ *= *"{re.escape(UNKNOWN)}")', re.MULTILINE)


class Layout(BaseModel):
    """What a TOML file (``--layout``) says of a data set; everything may be left out.

    Attributes
    ----------
    files : str or None
        How files are named: a preset, or a regular expression over their paths below the folder of pictures
        with named groups (Id, channel, z, time, well, ...).
    channels : mapping of str to str or int
        Channel of `CHANNELS` to what files call it.
    projection : str or None
        What becomes of z-stacks: max, mean or focus.
    range : tuple of float or None
        Values that are black and white.
    pixel_size_um : float or None
        Side of a pixel in micrometres, of pictures that state none.
    white : mapping of str to int
        The value that is white in files that do not state it: of `whole` numbers, of `real` ones. Training
        records it, so that new pictures are read alike; measured over the data set unless given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: str | None = None
    channels: Mapping[str, FileChannel] = Field(default_factory=dict)
    projection: Projection | None = None
    range: tuple[float, float] | None = None
    pixel_size_um: float | None = Field(None, gt=0)
    white: Mapping[Kind, int] = Field(default_factory=dict)

    @property
    def reading(self) -> Reading:
        """How values are read."""
        return Reading(
            self.projection, self.range, is_given=bool(self.white), pixel_size_um=self.pixel_size_um
        )


def read_layout(path: Path) -> Layout:
    """Read a layout.

    Raises
    ------
    PipelineError
        If the file cannot be read or says what no layout can say.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if unsaid := _UNSAID.search(text):
            have = re.search(r"^# (files have: .+)$", text, re.MULTILINE)
            remark = f" ({have[1]})" if have else ""
            raise PipelineError(f"{path}: '{unsaid[1]}': write what it is{remark}, or remove the line")
        return Layout.model_validate(tomllib.loads(text))
    except OSError as error:
        raise PipelineError(
            f"{path}: cannot be read ({error.strerror}); give a layout as --layout"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path}: no TOML ({error}); correct it, or let inspect write one") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        known = ", ".join(Layout.model_fields)
        raise PipelineError(f"{path}: {where}: {first['msg']}; a layout has: {known}") from error


def with_given(layout: Layout | None, **given: object) -> Layout:
    """Return a layout in which what is given on the command line replaces what it says; None is not given.

    Raises
    ------
    PipelineError
        If the values are none that a layout can have.
    """
    said = {name: value for name, value in given.items() if value not in (None, {}, "")}
    try:
        return Layout.model_validate((layout or Layout()).model_dump() | said)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise PipelineError(f"{first['loc'][0]} {first['input']}: {first['msg']}") from error


def parse_channels(given: object) -> object:
    """Read ``protein=GFP`` texts into a mapping; a number is an index.

    Raises
    ------
    PipelineError
        If a text names no channel, or not what files call it.
    """
    if not isinstance(given, list | tuple):
        return given
    pairs = [[part.strip() for part in str(text).partition("=")[::2]] for text in given]
    for text, (ours, theirs) in zip(given, pairs, strict=True):
        if not ours or not theirs:
            raise PipelineError(f"--channel {text}: give CHANNEL=NAME, such as protein=GFP or nucleus=0")
    return {ours: int(theirs) if theirs.isdecimal() else theirs for ours, theirs in pairs}


def _as_layout(given: object) -> object:
    return read_layout(Path(given)) if isinstance(given, str | Path) else given


GivenLayout = Annotated[Layout | None, BeforeValidator(_as_layout)]
"""A layout, or the TOML file that holds it."""
