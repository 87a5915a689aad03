"""What a file of pictures holds, as its header says: scenes of planes by channel, depth and time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import UnreadableError
from pipeline.core.names import near
from pipeline.formats.pixel_sizes import Sides
from pipeline.formats.sources import Reading, Source

COLOURS = ("red", "green", "blue")
"""Channels of a picture in colours."""

SPLIT = "save each channel as its own grey picture"
"""Remedy for files of several channels that are not told apart."""

_SHOWN = 8
"""Names of channels or scenes that a message lists at most."""


@dataclass(frozen=True)
class Scene:
    """One picture of a file: planes of one size.

    Attributes
    ----------
    height, width : int
        In pixels.
    dtype : dtype
        Of the values as they are stored.
    decode : callable
        Returns the plane of a time point, a channel and a depth, each from 0, shape (height, width); of a
        picture in colours (height, width, samples) whatever the channel: grey and alpha, or red, green, blue
        and perhaps alpha.
    channels : tuple of str
        Names, "" of those without one.
    depth, times : int
        Planes of the z-stack, and time points.
    planes : int
        Planes that the z-stack has in all files of a set, as far as a header says.
    top : int or None
        The largest value that can be stored, if the header says so.
    sides : Sides
        Width and height of a pixel in micrometres.
    is_colours : bool
        Whether it is a picture in colours.
    is_pages : bool
        Whether nothing says what the pages of the file are: they are listed as channels.
    """

    height: int
    width: int
    dtype: np.dtype[np.generic]
    decode: Callable[[int, int, int], NDArray[np.generic]]
    channels: tuple[str, ...] = ("",)
    depth: int = 1
    times: int = 1
    planes: int = 1
    top: int | None = None
    sides: Sides = (None, None)
    is_colours: bool = False
    is_pages: bool = False


@dataclass(frozen=True)
class Contents:
    """What a file holds: the names of its scenes, of which each is looked at when it is asked for."""

    kind: str
    scenes: tuple[str, ...]
    look: Callable[[int], Scene]
    close: Callable[[], None] = field(default=lambda: None)

    def scene(self, asked: str | int | None = None) -> Scene:
        """Return the scene that is asked for by name or index, or the only one.

        Raises
        ------
        UnreadableError
            If there is no such scene, or it has to be chosen.
        """
        if asked is None and len(self.scenes) == 1:
            return self.look(0)
        if asked is None:
            remedy = "make each a sample in samples.csv, by its name or number in a column 'scene'"
            raise UnreadableError(f"the file holds {len(self.scenes)} scenes{_listed(self.scenes)}", remedy)
        return self.look(_place("scene", asked, self.scenes))


def chosen(scene: Scene, source: Source, reading: Reading) -> tuple[Scene, int, int]:
    """Return the scene as it is to be read, and the time point and the channel of a source.

    Raises
    ------
    UnreadableError
        If what is asked for is not there, or has to be chosen.
    """
    if scene.is_pages and source.channel is None and reading.projection and len(scene.channels) > 1:
        scene = _as_stack(scene)
    if source.time is None and scene.times > 1:
        remedy = "make each a sample in samples.csv, by its number from 0 in a column 'time'"
        raise UnreadableError(f"the file holds {scene.times} time points", remedy)
    time = _place("time point", source.time or 0, ("",) * scene.times)
    if source.channel is not None:
        return scene, time, _place("channel", source.channel, scene.channels)
    if len(scene.channels) > 1 and not scene.is_colours:
        what = "pictures" if scene.is_pages else "channels"
        example = _quoted(scene.channels[0] or 0)
        remedy = f"say which is which in a layout, such as [channels] protein = {example}"
        if scene.is_pages:
            remedy += ', or projection = "max" if they are a z-stack'
        raise UnreadableError(f"the file holds {len(scene.channels)} {what}{_listed(scene.channels)}", remedy)
    return scene, time, 0


def _as_stack(scene: Scene) -> Scene:
    """Return pages of which nothing is said as a z-stack."""
    decode, depth = scene.decode, len(scene.channels)
    return replace(
        scene,
        channels=("",),
        depth=depth,
        planes=depth,
        is_pages=False,
        decode=lambda time, _, z: decode(time, z, 0),
    )


def _place(what: str, asked: str | int, names: Sequence[str]) -> int:
    """Return where a name, or else an index, is among names; letters' case and spaces around do not count."""
    if isinstance(asked, str):
        folded = [name.strip().casefold() for name in names]
        found = [k for k, name in enumerate(folded) if name and name == asked.strip().casefold()]
        if len(found) == 1:
            return found[0]
        if found:
            raise UnreadableError(
                f"{len(found)} of its {what}s are called '{asked}'", "give the number, from 0"
            )
        index = int(asked) if asked.strip().isdecimal() else -1
    else:
        index = asked
    if 0 <= index < len(names):
        return index
    meant = near(str(asked), filter(None, names))
    remedy = f"did you mean '{meant[0]}'" if meant else "name one that it has"
    raise UnreadableError(f"has no {what} {_quoted(asked)}: it has {len(names)}{_listed(names)}", remedy)


def _quoted(asked: str | int) -> str:
    return f'"{asked}"' if isinstance(asked, str) else str(asked)


def _listed(names: Sequence[str]) -> str:
    """List names for a message, with their numbers where they have none."""
    shown = [f"{k}: {name}" if name else str(k) for k, name in enumerate(names[:_SHOWN])]
    text = ", ".join(" ".join(one.split())[:40] for one in shown)
    return f" ({text}{', …' * (len(names) > _SHOWN)})"
