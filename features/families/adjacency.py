"""Threshold adjacency statistics: how many bright neighbours bright pixels have."""

import numpy as np
from numpy.typing import NDArray

from features.cells import Region
from features.jit import Floats, Floats32, Mask, kernel
from features.kernels.sums import in_order, total
from features.registry import Output, feature

COUNTS = 9

RANGES = {
    "middle": "within one standard deviation of the foreground's mean",
    "broad": "above the foreground's mean less one standard deviation",
    "high": "above the foreground's mean",
}

OUTPUTS = {
    f"{name}_{count}": Output(
        f"threshold adjacency statistic of {{0}}: share of pixels {words} with {count} such neighbours"
    )
    for name, words in RANGES.items()
    for count in range(COUNTS)
}


@feature(family="adjacency", per="channel", regions=("cell",), outputs=OUTPUTS, resampled=True)
def threshold_adjacency(region: Region) -> Floats:
    """Compute parameter-free threshold adjacency statistics, shape (channels, 27).

    Units: none, shares that sum to 1 per range. Bright pixels are those above Otsu's threshold of the
    region; pixels outside it are in no range. NaN in a flat region, and in a range without pixels.

    Source: Hamilton et al. 2007, "Fast automated cell phenotype image classification"; parameter-free
    as in Coelho et al. 2010. mahotas' `pftas` lists the neighbours of pixels that are *not* in the
    range and in its second half, backwards, these; it knows no mask.
    """
    shares = [
        adjacency(plane, region.mask, ascending, threshold).ravel()
        for plane, ascending, threshold in zip(
            region.cell.pixels, region.sorted_values, region.otsu, strict=True
        )
    ]
    return np.array(shares)


@kernel
def adjacency(plane: Floats32, mask: Mask, ascending: Floats, threshold: float) -> Floats:
    """Count the neighbours that pixels in three ranges of intensity have in the same range, shape (3, 9).

    With m and s the mean and standard deviation of the pixels above the threshold, the ranges are
    m - s to m + s, above m - s, and above m; `ascending` has shape (n,). Shares of the range's pixels
    with 0 to 8 neighbours in it; NaN for a range without pixels.
    """
    first = len(ascending)
    while first > 0 and ascending[first - 1] > threshold:
        first -= 1
    bright = ascending[first:]
    if len(bright) == 0:
        return np.full((3, COUNTS), np.nan)
    mean = total(bright) / len(bright)
    square = 0.0
    for value in bright:
        square += (value - mean) ** 2
    return _neighbours(_ranges(plane, mask, mean, np.sqrt(square / len(bright))))


@kernel
def _ranges(plane: Floats32, mask: Mask, mean: float, spread: float) -> NDArray[np.uint32]:
    """Write which ranges a pixel is in, each in a byte of its own."""
    height, width = plane.shape
    out = np.zeros((height, width), np.uint32)
    for row in range(height):
        for column in range(width):
            value = plane[row, column]
            if mask[row, column] and value > mean - spread:
                middle = np.uint32(1 if value < mean + spread else 0)
                high = np.uint32(65536 if value > mean else 0)
                out[row, column] = middle + np.uint32(256) + high
    return out


@kernel
def _neighbours(ranges: NDArray[np.uint32]) -> Floats:
    """Turn ranges into shares of pixels by number of neighbours, shape (3, 9)."""
    height, width = ranges.shape
    counts = np.zeros((3, COUNTS), np.float64)
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            here = ranges[row, column]
            if here == 0:
                continue
            around = ranges[row - 1, column - 1] + ranges[row - 1, column] + ranges[row - 1, column + 1]
            around += ranges[row, column - 1] + ranges[row, column + 1]
            around += ranges[row + 1, column - 1] + ranges[row + 1, column] + ranges[row + 1, column + 1]
            for number in range(3):
                if (here >> np.uint32(8 * number)) & np.uint32(1):
                    counts[number, (around >> np.uint32(8 * number)) & np.uint32(255)] += 1.0
    shares = np.full((3, COUNTS), np.nan)
    for number in range(3):
        pixels = in_order(counts[number])
        if pixels > 0.0:
            shares[number] = counts[number] / pixels
    return shares
