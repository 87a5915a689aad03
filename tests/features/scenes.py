"""Small pictures with known cells, for the tests of features."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features import measure

CHANNELS = ("microtubules", "protein", "nucleus", "er")


def side_by_side(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Join the families' tables."""
    return pd.concat(tables.values(), axis=1)


def in_one_row(numbers: dict[str, dict[str, float]]) -> dict[str, float]:
    """Join what is said of a picture by family."""
    return {name: value for part in numbers.values() for name, value in part.items()}


@dataclass(frozen=True)
class Scene:
    """A picture and its label images."""

    picture: NDArray[np.generic]
    cells: NDArray[np.int32]
    nuclei: NDArray[np.int32]

    def by_family(self, **options) -> dict[str, pd.DataFrame]:
        """Measure the scene's cells: a table per family."""
        return measure(self.picture, self.cells, self.nuclei, **options)

    def measured(self, **options) -> pd.DataFrame:
        """Measure the scene's cells: all families side by side."""
        return side_by_side(self.by_family(**options))

    def changed(self, change) -> "Scene":
        """Apply one change of geometry, on the last two axes, to picture and labels."""
        return Scene(
            *(np.ascontiguousarray(change(image)) for image in (self.picture, self.cells, self.nuclei))
        )


def blob(
    shape: tuple[int, int], centre: tuple[float, float], radius: float, lobes: float
) -> NDArray[np.bool_]:
    """Return a disc with three uneven lobes: no symmetry that a test could lean on."""
    down = np.arange(shape[0])[:, None] - centre[0]
    right = np.arange(shape[1])[None, :] - centre[1]
    angle = np.arctan2(down, right)
    reach = radius * (1 + lobes * np.sin(3 * angle + 0.4) + 0.5 * lobes * np.cos(2 * angle + 1.1))
    return np.hypot(down, right) < reach


def texture(shape: tuple[int, int], seed: int, scale: int) -> NDArray[np.uint8]:
    """Return smoothed noise in 8 bits: neighbours alike, as in a microscope picture."""
    noise = np.random.default_rng(seed).normal(size=shape)
    for axis in (0, 1):
        noise = sum(np.roll(noise, step, axis) for step in range(-scale, scale + 1))
    noise = (noise - noise.min()) / np.ptp(noise)
    return (noise**2 * 235 + 20).astype(np.uint8)


def scene(seed: int = 0) -> Scene:
    """Return two cells of about 35 px, 8 bits, in a field of 60 x 96 px."""
    shape = (60, 96)
    cells = np.zeros(shape, np.int32)
    nuclei = np.zeros(shape, np.int32)
    for label, centre in ((3, (29.3, 25.6)), (7, (30.1, 69.2))):
        cells[blob(shape, centre, 18.5, 0.12)] = label
        nuclei[blob(shape, (centre[0] + 1.7, centre[1] - 2.2), 7.6, 0.1)] = label
    planes = [texture(shape, seed + channel, 1 + channel % 3) for channel in range(4)]
    return Scene(np.array(planes), cells, nuclei)
