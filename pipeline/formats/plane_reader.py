"""One grey plane out of files: chosen, projected, and as shares of the value that is white."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import UnreadableError
from pipeline.formats.colours import without_scale_bar
from pipeline.formats.contents import SPLIT, Contents, Scene, chosen
from pipeline.formats.picture_files import damage_told, open_picture
from pipeline.formats.pixel_sizes import Sides
from pipeline.formats.sources import AS_STORED, Reading, Source

Values = NDArray[np.generic]

_NO_NUMBERS = "holds values that are no numbers"
_OWN = {"red": [0], "green": [1], "blue": [2], "yellow": [0, 1]}
"""Samples of red, green, blue that show a stain in its colour."""
_OTHER_COLOURS = 0.05
"""Share of a stain's own colour's energy that the others may have: what JPEG's compression leaves."""
_ALIKE = 2 / 255
"""Differences of red, green and blue, as shares of the largest value, that are JPEG's rounding."""


class Plane(NamedTuple):
    """One plane: shares of white, shape (height, width); sides of a pixel; what was done to it, or ""."""

    values: NDArray[np.float32]
    sides: Sides
    note: str = ""


class PlaneReader:
    """Reads the planes of one sample; each of its files is opened once, and closed on leaving.

    Parameters
    ----------
    reading : Reading
    """

    def __init__(self, reading: Reading = AS_STORED) -> None:
        self.reading = reading
        self._opened: dict[Path, Contents] = {}
        self._stack = ExitStack()
        self._sharpness: NDArray[np.float64] | None = None
        self._taken: dict[tuple[object, ...], str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def plane(self, source: Source, colour: str) -> Plane:
        """Read a plane; `colour` is what the stain looks like where a picture in colours shows it alone.

        Raises
        ------
        UnreadableError
            If a file is damaged, too large, no picture, or does not hold the one plane that is asked for.
        OSError
            If the system does not let a file be read.
        """
        stack = _Stack(self, source)
        place = (source.files, source.scene, source.time, stack.channel)
        if source.channel is not None and self._taken.setdefault(place, colour) != colour:
            reason = f"its channel '{source.channel}' is read as {self._taken[place]} and as {colour}"
            raise UnreadableError(reason, "name another channel of the file for one of them")
        note, values = "", stack.projected(self._sharpest)
        if values.ndim == 3:
            values, note = _grey(values, stack, source, colour)
        first = stack.first
        return Plane(shares(values, first.dtype, first.top, self.reading), first.sides, note)

    def find(self, source: Source) -> tuple[int, int]:
        """Return a plane's height and width by the headers, as it is stored; raises as `plane` does."""
        first = _Stack(self, source).first
        return first.height, first.width

    def weigh(self, source: Source) -> None:
        """Look how sharp the planes of a z-stack are, if the sharpest is wanted: that of all channels."""
        if self.reading.projection == "focus":
            sharpness = np.array([_sharpness(values) for values in _Stack(self, source).planes()])
            shares = sharpness / (sharpness.max(initial=0) or 1.0)
            before = self._sharpness
            if before is not None and len(before) != len(shares):
                reason = f"a z-stack of {len(shares)} planes beside one of {len(before)}"
                raise UnreadableError(reason, "export all channels with the same planes")
            self._sharpness = shares if before is None else before + shares

    @property
    def _sharpest(self) -> int:
        return 0 if self._sharpness is None else int(np.argmax(self._sharpness))

    def contents(self, path: Path) -> Contents:
        """Return what a file holds; it is opened once."""
        if path not in self._opened:
            self._opened[path] = found = open_picture(path)
            self._stack.callback(found.close)
        return self._opened[path]


class _Stack:
    """The z-stack of a channel, in one file or several: of one plane as a rule."""

    def __init__(self, reader: PlaneReader, source: Source) -> None:
        self.parts: list[tuple[str, Scene, int, int]] = []
        for path in source.files:
            contents = reader.contents(path)
            with damage_told(contents.kind):
                scene = contents.scene(source.scene)
                self.parts.append((contents.kind, *chosen(scene, source, reader.reading)))
        self.first = self.parts[0][1]
        self.depth = sum(scene.depth for _, scene, _, _ in self.parts)
        self.channel = self.parts[0][3]
        self.projection = reader.reading.projection
        if self.depth < self.first.planes:
            reason = f"holds {self.depth} of the {self.first.planes} planes of its z-stack"
            raise UnreadableError(reason, "name all its files, separated by |")
        if self.depth > 1 and self.projection is None:
            remedy = 'write projection = "max", or "mean" or "focus", in the layout'
            raise UnreadableError(f"the file holds a z-stack of {self.depth} planes", remedy)

    def planes(self) -> Iterator[Values]:
        """Decode plane by plane."""
        for kind, scene, time, channel in self.parts:
            for z in range(scene.depth):
                with damage_told(kind):
                    yield scene.decode(time, channel, z)

    def projected(self, sharpest: int) -> Values:
        """Return the one plane that stands for all, without holding them all."""
        if self.depth == 1:
            return next(self.planes())
        if self.projection == "focus":
            return next(values for z, values in enumerate(self.planes()) if z == sharpest)
        kind = self.first.dtype if self.projection == "max" else np.dtype(np.float64)
        planes = self.planes()
        total = next(planes).astype(kind)
        for values in planes:
            if values.shape != total.shape:
                raise UnreadableError("the planes of its z-stack are of several sizes", "export it again")
            if self.projection == "max":
                np.maximum(total, values, out=total)
            else:
                np.add(total, values, out=total)
        return total if self.projection == "max" else np.divide(total, self.depth, out=total)


def read_stored(path: Path) -> NDArray[np.generic]:
    """Read the one plane of a file as the numbers that it stores: labels of objects, for example."""
    with PlaneReader() as reader:
        values = _Stack(reader, Source((path,))).projected(0)
    if values.ndim > 2:
        raise UnreadableError("a picture in colours", "save it as one grey plane")
    return values


def _sharpness(values: Values) -> float:
    """Return the variance of the Laplacian: high where a plane is in focus."""
    import cv2

    grey = values.astype(np.float32)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var(dtype=np.float64))


def shares(
    values: Values, stored: np.dtype[np.generic], stated: int | None, reading: Reading
) -> NDArray[np.float32]:
    """Return values as shares of the value that is white: stated by the user, by the file, or of the set.

    Parameters
    ----------
    values : ndarray
    stored : dtype
        What they were before planes were averaged.
    stated : int or None
        The largest value that can be stored, if the file says so.
    reading : Reading

    Raises
    ------
    UnreadableError
        If values are no numbers, below black or above white, or white is not known.
    """
    if reading.range is not None:
        low, high = reading.range
        if not np.isfinite(values).all():
            raise UnreadableError(_NO_NUMBERS, "export it again")
        if stated is not None and stated < high:
            reason = f"its header says that {stated} is white, but the layout's range that {high:g} is"
            raise UnreadableError(reason, f"state range = [0, {stated}] for such files, or leave them out")
        return np.clip((values.astype(np.float64) - low) / (high - low), 0, 1).astype(np.float32)
    is_real = stored.kind == "f"
    top = stated or (reading.real if is_real else reading.whole)
    remedy = "state range = [black, white] in the layout"
    if top is None:
        raise UnreadableError("floating-point values whose range is not known", remedy)
    lowest, largest = values.min(initial=0), values.max(initial=0)
    if not (lowest >= 0 and np.isfinite(largest)):  # NaN is not either
        what = f"holds the value {lowest}" if lowest < 0 else _NO_NUMBERS
        raise UnreadableError(what, remedy if lowest < 0 else "export it again")
    if largest > top:
        said = "its header says that {} is the largest"
        if stated is None:
            said = "the model was trained on values up to {}" if reading.is_given else "at most {} is read"
        raise UnreadableError(f"holds the value {largest}, but {said.format(top)}", remedy)
    found = values.astype(np.float64)
    found /= top
    return found.astype(np.float32)


def _grey(values: Values, stack: _Stack, source: Source, colour: str) -> tuple[Values, str]:
    """Return the plane of a grey picture, of a colour that is asked for, or of one in its stain's colour."""
    top = float(stack.first.top or 65535)
    if values.shape[-1] in {2, 4}:
        if (values[..., -1] != top).any():
            raise UnreadableError("some pixels are transparent", SPLIT)
        values = values[..., :-1]
    if source.channel is not None and values.shape[-1] == 3:
        return without_scale_bar(values, top, stack.channel)
    first = values[..., 0]
    if all(np.array_equal(first, values[..., other]) for other in range(1, values.shape[-1])):
        return first, ""
    energy = np.array([np.square(values[..., sample], dtype=np.float64).mean() for sample in range(3)])
    own = _OWN[colour]
    if np.delete(energy, own).max() < _OTHER_COLOURS * energy[own].min():
        return np.asarray(values[..., own].mean(axis=-1, dtype=np.float64)), ""
    if np.ptp(values, axis=-1).max() <= top * _ALIKE:
        return np.asarray(values.mean(axis=-1, dtype=np.float64)), ""
    red, green, blue = (np.sqrt(energy) / top).round(3).tolist()
    reason = f"a picture in colours (red {red}, green {green}, blue {blue}), neither grey nor {colour} alone"
    remedy = 'say what its colours show in a layout, such as [channels] protein = "green"'
    raise UnreadableError(reason, f"{SPLIT}, or {remedy}")
