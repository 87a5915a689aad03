"""Simulated proteins: where each is found, in which cell line, and how its pictures are taken.

The series of proteins is endless and depends on the seed alone, so that a larger data set begins
with exactly the pictures of a smaller one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.data.locations import LOCATIONS
from pipeline.simulation.placement import CELL_LINES, CellLine, Divisions, Phase

ABUNDANCE = (
    12885, 1254, 3621, 1561, 1858, 2513, 1008, 2822, 53, 45, 28, 1093, 688, 537,
    1066, 21, 530, 210, 902, 1482, 172, 3777, 802, 2965, 322, 8228, 328, 11,
)  # fmt: skip
"""Number of the competition's 31,072 training pictures that show each location."""

DEFAULT_LOCATIONS = (
    "Nucleoplasm", "Nuclear membrane", "Nucleoli", "Nuclear speckles", "Nuclear bodies",
    "Endoplasmic reticulum", "Golgi apparatus", "Actin filaments", "Microtubules", "Centrosome",
    "Plasma membrane", "Cell junctions", "Mitochondria", "Cytosol",
)  # fmt: skip
"""Locations simulated unless others are asked for: few enough to be learned from a few hundred pictures."""

FLATTENING = 0.3
"""Power to which the real abundances are raised: rare locations stay rarer, but are seen."""

DECK = 40
"""Proteins over which the first locations are dealt in exact proportion, rather than drawn by luck."""

COMPANION = ((1, 0.5), (2, 0.39), (3, 0.11))
"""Share of proteins with one, two and three locations, near that of the real pictures."""


@dataclass(frozen=True)
class Exposure:
    """How one channel of one protein's pictures is taken.

    Attributes
    ----------
    gain : float
        Grey value (of 255) of a structure of brightness 1.
    photons : float
        Photons that such a structure gives: fewer make a grainier picture.
    sharpness : float
        Standard deviation in pixels of the focused point spread function.
    haze : float
        Share of the light that comes from out of focus.
    offset : float
        Grey value that is subtracted as background.
    """

    gain: float
    photons: float
    sharpness: float
    haze: float
    offset: float


@dataclass(frozen=True)
class Protein:
    """One antibody's stain, the same in all pictures of its group.

    Attributes
    ----------
    number : int
        Position in the series.
    locations : tuple of str
        One to three locations, the strongest first.
    shares : tuple of float
        Brightness of each location relative to the first.
    pictures : int
        Number of pictures, 1 to 4.
    pixel_um : float
        Side of a pixel in micrometres.
    variation : float
        Spread of the expression from cell to cell (standard deviation of its logarithm).
    background : float
        Unspecific stain of the cytoplasm.
    speckle : float
        Graininess of the stain (standard deviation of its logarithm from pixel to pixel).
    exposures : tuple of Exposure
        How the four channels are taken, in the order of `pipeline.data.samples.CHANNELS`.
    """

    number: int
    locations: tuple[str, ...]
    shares: tuple[float, ...]
    pictures: int
    line: CellLine
    pixel_um: float
    variation: float
    background: float
    speckle: float
    divisions: Divisions
    exposures: tuple[Exposure, ...]

    @property
    def name(self) -> str:
        """Name of the group of this protein's pictures."""
        return f"protein_{self.number:05d}"


def proteins(seed: int, locations: tuple[str, ...] = DEFAULT_LOCATIONS) -> Iterator[Protein]:
    """Give the proteins of a seed one after the other, without end."""
    return (protein(seed, number, locations) for number in count())


def protein(seed: int, number: int, locations: tuple[str, ...] = DEFAULT_LOCATIONS) -> Protein:
    """Describe the protein at one position of the series of a seed."""
    deck = _deal(np.random.default_rng((seed, 0, number // DECK)), locations)
    return _describe(seed, number, deck[number % DECK], locations)


def _weights(locations: tuple[str, ...], power: float) -> NDArray[np.float64]:
    """Probability of each location: its real abundance to a power."""
    weight = np.array([ABUNDANCE[LOCATIONS.index(name)] for name in locations], float) ** power
    return np.asarray(weight / weight.sum())


def _deal(rng: Generator, locations: tuple[str, ...]) -> list[str]:
    """Shuffle a deck of locations in which each occurs in proportion to its weight, to within one."""
    ticks = (rng.random() + np.arange(DECK)) / DECK
    order = rng.permutation(len(locations))
    picked = np.searchsorted(np.cumsum(_weights(locations, FLATTENING)[order]), ticks)
    deck = [locations[order[min(pick, len(order) - 1)]] for pick in picked]
    return [deck[position] for position in rng.permutation(DECK)]


def _describe(seed: int, number: int, first: str, locations: tuple[str, ...]) -> Protein:
    rng = np.random.default_rng((seed, 1, number))
    amounts, odds = zip(*COMPANION, strict=True)
    wanted = min(int(rng.choice(amounts, p=odds)), len(locations))
    chosen = (first, *_companions(rng, first, wanted - 1, locations))
    lines = lines_for(chosen)
    return Protein(
        number=number,
        locations=chosen,
        shares=(1.0, *rng.uniform(0.65, 1.0, wanted - 1)),
        pictures=int(rng.choice((1, 2, 3, 4), p=(0.35, 0.35, 0.2, 0.1))),
        line=lines[rng.integers(len(lines))],
        pixel_um=float(rng.choice((0.32, 0.48), p=(0.78, 0.22))),
        variation=float(rng.gamma(4, 0.06)),
        background=float(rng.uniform(0.005, 0.04)),
        speckle=float(rng.uniform(0.2, 0.6)),
        divisions=divisions_for(chosen),
        exposures=_exposures(rng),
    )


def _companions(rng: Generator, first: str, number: int, locations: tuple[str, ...]) -> tuple[str, ...]:
    """Draw further locations; they follow the real abundances closely, most are Nucleoplasm or Cytosol."""
    others = tuple(name for name in locations if name != first)
    if number == 0:
        return ()
    return tuple(str(name) for name in rng.choice(others, number, replace=False, p=_weights(others, 0.5)))


def divisions_for(locations: tuple[str, ...]) -> Divisions:
    """Choose how many cells divide: fields are chosen to show what the protein is annotated for."""
    divisions = Divisions()
    if "Mitotic spindle" in locations:
        divisions = replace(divisions, metaphase=0.12, anaphase=0.05, sought=(Phase.METAPHASE,))
    if "Cytokinetic bridge" in locations:
        divisions = replace(divisions, daughters=0.15, sought=(*divisions.sought, Phase.DAUGHTER))
    return divisions


def lines_for(locations: tuple[str, ...]) -> tuple[CellLine, ...]:
    """List the cell lines that can show the locations: junctions need cells that touch."""
    if "Cell junctions" in locations:
        return tuple(line for line in CELL_LINES if line.cohesion >= 0.7)
    return CELL_LINES


def _exposures(rng: Generator) -> tuple[Exposure, ...]:
    """Choose gain, noise and focus of the four channels, brightness spread as in the real pictures."""
    sharpness = float(rng.uniform(0.3, 0.6))
    # Typical gain, its spread, and the fewest photons: the protein is often dim and grainy.
    channels = ((120, 0.45, 35), (115, 0.5, 18), (145, 0.45, 35), (112, 0.45, 35))
    return tuple(
        Exposure(
            gain=float(np.clip(gain * np.exp(rng.normal(0, spread)), 40, 280)),
            photons=float(rng.uniform(fewest, 140)),
            sharpness=sharpness * float(rng.uniform(0.9, 1.2)),
            haze=float(rng.uniform(0.08, 0.28)),
            offset=float(rng.uniform(1, 6)),
        )
        for gain, spread, fewest in channels
    )
