"""The layout of a data set: which channel of its files shows what, and how values are read."""

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.core.errors import PipelineError
from pipeline.formats.sources import Kind, Projection, Reading

CHANNELS = ("microtubules", "protein", "nucleus", "er")
"""Channels in the order of a picture's planes, named by what they show."""

COLOURS = {"microtubules": "red", "protein": "green", "nucleus": "blue", "er": "yellow"}
"""The Human Protein Atlas' colour, and file ending, of each channel."""

CHANNEL_OF = {colour: channel for channel, colour in COLOURS.items()}
"""The channel of each colour."""

Marker = Literal["microtubules", "nucleus", "er"]
ProteinName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]{0,40}$")]

METADATA = "Metadata_"
"""How the names of columns begin that say what a picture is of, and are no features."""

PLATE, WELL = f"{METADATA}Plate", f"{METADATA}Well"
"""Columns of samples that say where a picture was taken."""

UNKNOWN = "?"
"""What stands in a layout that inspect wrote where a person has to say something."""

FileChannel = str | Annotated[int, Field(strict=True)]
"""A channel as files call it: a name or a colour, or an index from 0."""

_UNSAID = re.compile(rf'^[ \t]*(\w+ *= *"{re.escape(UNKNOWN)}")', re.MULTILINE)


NAMING = {"files", "channels", "proteins"}
"""What a layout says of the names of files and channels."""


class Layout(BaseModel):
    """What a TOML file (``--layout``) says of a data set; everything may be left out.

    Attributes
    ----------
    files : str or None
        How files are named: a preset, or a regular expression over their paths below the folder of pictures
        with named groups (Id, channel, z, time, well, ...).
    channels : mapping of str to str or int
        Channel of `CHANNELS` to what files call it. Where any is named, the others are not used.
    proteins : mapping of str to str or int
        Several proteins of one field to what files call their channels: each is a sample of its own,
        ``<Id>_<name>``, with the markers of the field.
    absent : tuple of str
        Channels that were not recorded, or are not to be used.
    optional : tuple of str
        Channels that some of the samples lack.
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
    proteins: Mapping[ProteinName, FileChannel] = Field(default_factory=dict)
    absent: tuple[Marker, ...] = ()
    optional: tuple[Literal["microtubules", "er"], ...] = ()
    projection: Projection | None = None
    range: tuple[float, float] | None = None
    pixel_size_um: float | None = Field(None, gt=0)
    white: Mapping[Kind, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)

    @field_validator("channels")
    @classmethod
    def _known(cls, channels: Mapping[str, FileChannel]) -> Mapping[str, FileChannel]:
        for name in channels:
            if name not in CHANNELS:
                raise ValueError(
                    f"'{name}' is none of {', '.join(CHANNELS)}; more proteins go under proteins"
                )
        return channels

    @field_validator("proteins")
    @classmethod
    def _other(cls, proteins: Mapping[str, FileChannel], info: ValidationInfo) -> Mapping[str, FileChannel]:
        for name in proteins:
            if name in CHANNELS:
                raise ValueError(f"'{name}' is a channel; give the protein another name")
        if proteins and "protein" in info.data.get("channels", {}):
            raise ValueError("channels has a protein, too; name all proteins under proteins")
        return proteins

    @field_validator("range")
    @classmethod
    def _ordered(cls, given: tuple[float, float] | None) -> tuple[float, float] | None:
        if given is not None and not (-math.inf < given[0] < given[1] < math.inf):
            raise ValueError(f"{list(given)} is not [black, white], two numbers of which white is the larger")
        return given

    @model_validator(mode="after")
    def _once(self) -> Self:
        called: dict[str, str] = {}
        for ours, theirs in self.file_channels.items():
            other = called.setdefault(str(theirs).strip().casefold(), ours)
            if other != ours:
                raise ValueError(f"'{theirs}' is both {other} and {ours}; give each a channel of its own")
        return self

    @property
    def file_channels(self) -> dict[str, FileChannel]:
        """What files call their channels, by ours and by protein."""
        return {**self.channels, **self.proteins}

    def in_place_of(self, trained: "Layout") -> "Layout":
        """Return the layout of a training, in which this one's sayings replace what it says.

        Who says how files are named says all about that.
        """
        said = self.model_dump(exclude_defaults=True)
        kept = trained.model_dump(exclude_defaults=True)
        if said.keys() & NAMING:
            kept = {name: value for name, value in kept.items() if name not in NAMING}
        return Layout.model_validate(kept | said)

    @property
    def used(self) -> tuple[str, ...]:
        """The channels that are used, where files hold them."""
        named = {*self.channels, *(["protein"] if self.proteins else [])} or set(CHANNELS)
        return tuple(name for name in CHANNELS if name in named and name not in self.absent)

    def needed(self, recorded: Iterable[str]) -> tuple[str, ...]:
        """Return the channels that every sample must have, where these are recorded of any."""
        some = {"protein", *recorded, *self.channels}
        return tuple(name for name in self.used if name in some and name not in self.optional)

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
        known = ", ".join(Layout.model_fields)
        raise PipelineError(f"{path}: {_told(error)}; a layout has: {known}") from error


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
        raise PipelineError(_told(error)) from error


def _told(error: ValidationError) -> str:
    """Return what is wrong first, with the value and its name unless it is about several."""
    first = error.errors(include_url=False)[0]
    name = ".".join(map(str, first["loc"]))
    what = first["msg"].removeprefix("Value error, ")
    return (
        f"{name} {first['input']!r}: {what}"
        if name and what == first["msg"]
        else f"{name}: {what}".lstrip(": ")
    )


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
