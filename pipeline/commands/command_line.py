"""Commands from models: fields become options, with their help, choices and ranges."""

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.core import TyperCommand

from pipeline.commands.console import RichProgress, printing
from pipeline.core.errors import PipelineError
from pipeline.core.names import unknown
from pipeline.core.stage import AnyOptions, Shown
from pipeline.core.working_copies import working_copies

_BOUNDS = (("ge", "min"), ("le", "max"))
_SEVERAL = (tuple, Mapping)
_REMEDIES = {
    "greater_than_equal": "give at least {ge}",
    "greater_than": "give more than {gt}",
    "less_than_equal": "give at most {le}",
    "string_pattern_mismatch": "cannot be used; give: {about}",
}


_PRINTED = {
    "as_json": ("--json", "Print one JSON object: the command, its result, and the lines that it says."),
    "quiet": ("--quiet", "Print nothing but errors."),
}
"""Options of every command."""


def command(
    model: type[AnyOptions], *, lasting: bool = False
) -> Callable[[Callable[[AnyOptions], None]], Callable[..., None]]:
    """Turn a function of a model's options into a command for typer; its docstring is the help.

    Parameters
    ----------
    model : type of Options
        Every field becomes an option: the description its help, `Literal` its choices, bounds its range, and
        what `Shown` says its flag, panel or metavar.
    lasting : bool
        Whether it runs until it is stopped: ``--json`` then gives one object for each line, at once.
    """

    def decorate(run: Callable[[AnyOptions], None]) -> Callable[..., None]:
        def called(**given: object) -> None:
            asked = {name: bool(given.pop(name)) for name in _PRINTED}
            name = run.__name__.strip("_").replace("_", "-")
            with printing(name, lasting=lasting, **asked), working_copies(given, RichProgress()) as here:
                run(options_of(model, here))

        fields = {name: field for name, field in model.model_fields.items() if not _shown(field).hidden}
        parameters = [_parameter(name, field) for name, field in fields.items()]
        parameters += [_switch(name, flag, words) for name, (flag, words) in _PRINTED.items()]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        called.__name__, called.__doc__ = run.__name__, _readable(inspect.getdoc(run) or "")
        return called

    return decorate


def options_of(model: type[AnyOptions], given: Mapping[str, object]) -> AnyOptions:
    """Return a model of what was typed; what was not keeps the model's default.

    Raises
    ------
    PipelineError
        Where a value is not allowed, quoting it and saying what is.
    """
    typed = {name: value for name, value in given.items() if value not in (None, [], ())}
    try:
        return model.model_validate(typed)
    except ValidationError as error:
        raise PipelineError(_message(model, error)) from error


def _message(model: type[AnyOptions], error: ValidationError) -> str:
    """Put the first thing that is wrong into one line."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    field = model.model_fields[name]
    known = _choices(_inner(field.annotation))
    shown = _shown(field)
    flag = name if shown.argument else _flag(name, shown)
    if known:
        return unknown(flag, str(first["input"]), known)
    reason = _REMEDIES.get(first["type"], "{msg}").format(
        **first.get("ctx", {}), msg=first["msg"], about=field.description
    )
    return f"{flag} {first['input']}: {reason}"


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """Describe a field as typer wants it."""
    shown, kind, required = _shown(field), _inner(field.annotation), field.is_required()
    default = None if field.default is PydanticUndefined else field.default
    about: dict[str, Any] = {"help": _readable(field.description or ""), "show_default": True}
    about |= {
        ours: getattr(one, bound) for one in field.metadata for bound, ours in _BOUNDS if hasattr(one, bound)
    }
    if shown.panel:
        about["rich_help_panel"] = shown.panel
    choices = _choices(kind)
    if shown.text or get_origin(kind) in _SEVERAL:
        about |= {
            "show_default": ", ".join(default or ()) or False,
            "metavar": f"<{_item(kind).__name__.lower()}>",
        }
        kind, default = str if shown.text else list[_item(kind)], None  # type: ignore[misc]
    elif choices:
        kind = str  # the model says what it may be, so that all refusals read alike
    if choices:
        about["metavar"] = "|".join(choices)
    if shown.default or required or (default is None and about["show_default"] is True):
        about["show_default"] = shown.default or False
    if shown.argument:
        made: Any = typer.Argument(**about | {"metavar": shown.argument})
    else:
        made = typer.Option(_flag(name, shown), **about)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if required else default,
        annotation=Annotated[kind if required or default is not None else kind | None, made],
    )


def _switch(name: str, flag: str, words: str) -> inspect.Parameter:
    """Describe a switch of every command."""
    made = typer.Option(flag, help=words, show_default=False, rich_help_panel="What is printed")
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, made]
    )


class Command(TyperCommand):
    """A command whose usage names its arguments plainly: ``OUT``, not ``{OUT}``."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the pieces of the usage line."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


def _flag(name: str, shown: Shown) -> str:
    return shown.flag or f"--{name.replace('_', '-')}"


def _shown(field: FieldInfo) -> Shown:
    return next((one for one in field.metadata if isinstance(one, Shown)), Shown())


def _inner(annotation: Any) -> Any:
    """Take None out of an optional type."""
    if get_origin(annotation) in (Union, UnionType):
        return next(one for one in get_args(annotation) if one is not NoneType)
    return annotation


def _item(kind: Any) -> Any:
    """Return the type of the items of a repeatable option."""
    is_file = isinstance(kind, type) and issubclass(
        kind, BaseModel
    )  # a model is given as a file that holds it
    return Path if is_file or get_args(kind)[:1] == (Path,) else str


def _choices(kind: Any) -> tuple[str, ...]:
    """Return what can be chosen, also as an item of a tuple; nothing where it is free."""
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    return get_args(kind) if get_origin(kind) is Literal else ()


def _readable(text: str) -> str:
    r"""Keep ``<Id>`` from being taken for HTML, outside of code."""
    return re.sub(r"`[^`]*`|<", lambda found: found[0] if len(found[0]) > 1 else r"\<", text)
