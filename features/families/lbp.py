"""Local binary patterns: the shapes of brightness around each pixel."""

import numpy as np
from numpy.typing import NDArray

from features.cells import Cell, Region
from features.kernels.binary_patterns import CODES, POINTS, code_shares, pattern_codes
from features.registry import Floats, Output, feature

RADII = (1, 2)


def _words(code: int) -> str:
    if code == POINTS + 1:
        return "no uniform pattern"
    return f"{code} of 8 neighbours in a row at least as bright"


OUTPUTS = {
    f"r{radius}_{'mixed' if code == CODES - 1 else f'bright_{code}'}": Output(
        f"the share of pixels with {_words(code)} at radius {radius} px"
    )
    for radius in RADII
    for code in range(CODES)
}


@feature(family="lbp", resampled=True, per="channel", regions=("cell", "nucleus", "field"), outputs=OUTPUTS)
def local_binary_patterns(region: Region) -> Floats:
    """Compute histograms of rotation-invariant uniform local binary patterns, shape (channels, 20).

    Units: none, shares of the region's pixels whose neighbourhood lies in the cell; they sum to 1 per radius.
    NaN where no pixel has its whole neighbourhood (a square of half-width 1 or 2 px) in the cell.

    Source: Ojala, Pietikäinen, Mäenpää 2002, "Multiresolution gray-scale and rotation invariant texture
    classification with local binary patterns" (8 points, riu2), bilinear samples as in scikit-image's
    ``method="uniform"``; masks as nobody else has them.
    """
    return np.hstack([code_shares(region.cell.once(_codes, radius), region.mask) for radius in RADII])


def _codes(cell: Cell, radius: int) -> NDArray[np.uint8]:
    """Return the pattern of every pixel of the cell, shared by its regions."""
    return pattern_codes(cell.pixels, cell.whole.mask, radius)
