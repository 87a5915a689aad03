"""Which value is white in files that do not say it: measured over all files of a data set, never one."""

from collections.abc import Iterable
from pathlib import Path

from pipeline.formats.contents import Scene
from pipeline.formats.picture_files import damage_told, open_picture, states_white
from pipeline.formats.sources import Kind

KINDS: tuple[Kind, ...] = ("whole", "real")
STEPS: dict[Kind, tuple[int, ...]] = {"whole": (255, 4095, 65535), "real": (1, 255, 4095, 65535)}
"""Values that are white: of 8, 12 and 16 bits, and 1."""


def kind_of(path: Path) -> str:
    """Return the `Kind` of a file that does not say which value is white, else "stated".

    Raises
    ------
    UnreadableError
        If it cannot be read.
    """
    if states_white(path):
        return "stated"
    contents = open_picture(path)
    try:
        with damage_told(contents.kind):
            scene = contents.look(0)
    finally:
        contents.close()
    return "stated" if scene.top else "real" if scene.dtype.kind == "f" else "whole"


def largest_value(path: Path) -> str:
    """Return the largest value of all planes of a file, as text.

    Raises
    ------
    UnreadableError
        If it cannot be read.
    """
    contents = open_picture(path)
    try:
        with damage_told(contents.kind):
            found = [_largest(contents.look(number)) for number in range(len(contents.scenes))]
    finally:
        contents.close()
    return repr(max(found))


def _largest(scene: Scene) -> float:
    channels = range(1 if scene.is_colours else len(scene.channels))
    return max(
        float(scene.decode(time, channel, z).max())
        for time in range(scene.times)
        for channel in channels
        for z in range(scene.depth)
    )


def white(kind: Kind, largest: Iterable[float]) -> int:
    """Return the smallest of `STEPS` that holds the largest value; values beyond them all do not count."""
    steps = STEPS[kind]
    most = max((value for value in largest if value <= steps[-1]), default=steps[-1])
    return next(step for step in steps if most <= step)


def is_settled(kind: Kind, largest: Iterable[float]) -> bool:
    """Return whether no further value can change what is white."""
    below, top = STEPS[kind][-2:]
    return any(below < value <= top for value in largest)
