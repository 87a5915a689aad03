"""`@feature`: what a function measures, declared above it. The only list of features there is."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from features.cells import CELL_REGIONS, Region
from features.jit import Floats
from features.naming import Column, check_token

Measurement = Callable[[Region], Floats]
Per = Literal["shape", "channel", "pair"]

RINGS = ("perinuclear", "periphery")
FIELD_REGIONS = ("field", "foreground")
ALL_REGIONS = CELL_REGIONS + FIELD_REGIONS

NONE, LENGTH, AREA, PER_LENGTH, PER_AREA = "1", "length", "area", "1/length", "1/area"
INTENSITY, BITS, DEGREES = "intensity", "bit", "degree"
UNITS = {
    NONE: "1",
    LENGTH: "µm (px where the pixel size is unknown)",
    AREA: "µm² (px² where the pixel size is unknown)",
    PER_LENGTH: "1/µm (1/px where the pixel size is unknown)",
    PER_AREA: "1/µm² (1/px² where the pixel size is unknown)",
    INTENSITY: "share of the format's largest value",
    BITS: "bits",
    DEGREES: "degree",
}
"""A declared unit and how the catalogue spells it."""

LENGTH_POWER = {LENGTH: 1, AREA: 2, PER_LENGTH: -1, PER_AREA: -2}

GEOMETRY = frozenset({"translation", "rotation", "flip", "neighbours"})
"""Nothing changes when the cell is moved, turned by 90 degrees, mirrored, or left without neighbours."""
GAIN = frozenset({"gain"})
"""Nothing changes when intensities are multiplied."""
CONTRAST = frozenset({"gain", "offset"})
"""Nothing changes when intensities are multiplied or shifted."""
INVARIANCES = GEOMETRY | CONTRAST
SCALED = GEOMETRY | GAIN
OF_NEIGHBOURS = INVARIANCES - {"neighbours"}
OVER_NEIGHBOURS = OF_NEIGHBOURS - {"offset"}
"""Of what neighbours decide, and of ratios to their intensities."""
THINNED = INVARIANCES - {"rotation", "flip"}
"""Thinning takes pixels off one side before the other: turning a cell can shift a skeleton by a pixel."""


@cache
def pair_indices(channels: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first and the second channel of every pair, in the order of columns."""
    first, second = np.triu_indices(channels, 1)
    return first, second


def over(values: Floats, by: Floats) -> Floats:
    """Divide arrays that broadcast, NaN where the divisor is not positive."""
    shape = np.broadcast_shapes(values.shape, by.shape)
    return np.asarray(np.divide(values, by, out=np.full(shape, np.nan), where=by > 0))


def michelson(one: Floats, other: Floats) -> Floats:
    """Return Michelson's contrast of means, (a - b) / (a + b), NaN where both are 0 or one is NaN."""
    return over(one - other, one + other)


@dataclass(frozen=True)
class Output:
    """One number (per channel or pair) that a feature gives.

    Attributes
    ----------
    words : str
        What it is, to be read as "<words> of the protein in the nucleus"; or, with fields, as it stands: {0}
        and {1} are the channels with an article, {a} and {b} without, {where} the region.
    unit : str
        A key of `UNITS`; lengths and areas are returned in pixels and scaled by the caller.
    invariances : frozenset of str
        The changes of the picture, of `INVARIANCES`, that leave it as it is.
    """

    words: str
    unit: str = NONE
    invariances: frozenset[str] = INVARIANCES


def dimensionless(invariances: frozenset[str] = INVARIANCES, /, **words: str) -> dict[str, Output]:
    """Declare outputs without a unit, name to words, that the same changes leave as they are."""
    return {name: Output(text, NONE, invariances) for name, text in words.items()}


@dataclass(frozen=True, eq=False)
class Feature:
    """A registered function and what it declares; see `feature`."""

    function: Measurement
    family: str
    outputs: Mapping[str, Output]
    per: Per
    regions: tuple[str, ...]
    channels: tuple[str, ...] | None
    version: int
    resampled: bool

    @property
    def source(self) -> str:
        """The docstring's `Source:` paragraph, in one line."""
        found = re.search(r"Source:\s*(.+?)(?:\n\s*\n|\Z)", self.function.__doc__ or "", re.DOTALL)
        return " ".join(found.group(1).split()) if found else ""

    def subjects(self, channels: Sequence[str]) -> list[tuple[str, ...]]:
        """List what each row of the result is about: nothing, a channel or a pair; none if one is missing."""
        if self.channels is not None and not set(self.channels) <= set(channels):
            return []
        if self.per == "shape":
            return [()]
        if self.per == "pair":
            return list(combinations(channels, 2))
        return [(channel,) for channel in channels if self.channels is None or channel in self.channels]

    def columns(self, region: str, channels: Sequence[str]) -> list[Column]:
        """Name the function's numbers in one region, in the order of its flattened result."""
        return [
            Column(region, self.family, output, subject)
            for subject in self.subjects(channels)
            for output in self.outputs
        ]

    def width(self, channels: Sequence[str]) -> int:
        """Return how many numbers the function gives in one region."""
        return len(self.subjects(channels)) * len(self.outputs)

    def scales(self, size: float) -> Floats:
        """Return the factor of every output from pixels to the unit in which a pixel's side is `size`."""
        powers = [LENGTH_POWER.get(output.unit, 0) for output in self.outputs.values()]
        return size ** np.array(powers, dtype=np.float64)


REGISTRY: list[Feature] = []
"""Every feature, in the order of families by name and of functions within a family's module."""


def feature(
    *,
    family: str,
    outputs: Mapping[str, Output],
    per: Per,
    regions: tuple[str, ...] = CELL_REGIONS,
    channels: tuple[str, ...] | None = None,
    version: int = 1,
    resampled: bool = False,
) -> Callable[[Measurement], Measurement]:
    """Declare what a function measures; the function itself stays as it is.

    Parameters
    ----------
    family : str
        The family it belongs to: selected, versioned and stored together.
    outputs : mapping of str to Output
        Its numbers, in order. The function returns an array of shape ``(outputs,)`` for a shape,
        ``(channels, outputs)`` per channel or ``(pairs, outputs)`` per pair, never with a value where
        the docstring says it is undefined: NaN there.
    per : {"shape", "channel", "pair"}
        What a row of the result is about.
    regions : tuple of str
        Where it is measured. It is never called with an empty region: that is NaN throughout.
    channels : tuple of str, optional
        The channels it is about, where not all: it is left out of pictures that lack one of them.
    version : int
        Raised with every change of a number, so that stored results are known to be old.
    resampled : bool
        Whether the function counts in pixels what should be counted in micrometres (neighbours, filter
        sizes): with a known pixel size it then sees the picture at `features.inputs.COMMON_UM`.
    """
    check_token(family, "family")
    for name in outputs:
        check_token(name, "output")

    def register(function: Measurement) -> Measurement:
        REGISTRY.append(Feature(function, family, dict(outputs), per, regions, channels, version, resampled))
        return function

    return register
