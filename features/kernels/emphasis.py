"""Summaries of grey-level run, zone and dependence matrices, kept as lists of (level, size, count)."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel

EMPHASIS = 16
"""Numbers in a summary, in the order of `emphasis`."""


@kernel
def emphasis(entries: NDArray[np.int64], pixels: int) -> NDArray[np.float64]:
    """Summarise a list of (level, size, count) as the Image Biomarker Standardisation Initiative does.

    Parameters
    ----------
    entries : ndarray, shape (n, 3), int64
        Distinct pairs of level and size, with their counts; n >= 1.
    pixels : int
        Number of pixels in the region.

    Returns
    -------
    ndarray, shape (16,), float64
        Emphasis of small and large sizes, of low and high levels, of small-low, small-high, large-low
        and large-high; non-uniformity of levels and of sizes, each plain and normalised; number over
        pixels; variance of levels and of sizes; entropy in bits.
    """
    out = np.zeros(EMPHASIS, np.float64)
    total = entries[:, 2].sum()
    by_level = np.zeros(entries[:, 0].max() + 1, np.float64)
    by_size = np.zeros(entries[:, 1].max() + 1, np.float64)
    mean_level, mean_size = 0.0, 0.0
    for index in range(len(entries)):
        level, size, share = entries[index, 0], entries[index, 1], entries[index, 2] / total
        by_level[level] += entries[index, 2]
        by_size[size] += entries[index, 2]
        mean_level += level * share
        mean_size += size * share
        low, high = 1.0 / (level * level), 1.0 * level * level
        small, large = 1.0 / (1.0 * size * size), 1.0 * size * size
        out[0] += small * share
        out[1] += large * share
        out[2] += low * share
        out[3] += high * share
        out[4] += small * low * share
        out[5] += small * high * share
        out[6] += large * low * share
        out[7] += large * high * share
        out[15] -= share * np.log2(share)
    for index in range(len(entries)):
        level, size, share = entries[index, 0], entries[index, 1], entries[index, 2] / total
        out[13] += (level - mean_level) ** 2 * share
        out[14] += (size - mean_size) ** 2 * share
    levels, sizes = (by_level**2).sum(), (by_size**2).sum()
    out[8], out[9] = levels / total, levels / (1.0 * total * total)
    out[10], out[11] = sizes / total, sizes / (1.0 * total * total)
    out[12] = total / pixels
    return out


@kernel
def entries_of(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """List the level, size and count of the entries of a dense matrix that are not 0, shape (n, 3)."""
    entries = np.empty((np.count_nonzero(counts), 3), np.int64)
    found = 0
    for level in range(counts.shape[0]):
        for size in range(counts.shape[1]):
            if counts[level, size] > 0:
                entries[found] = level, size, counts[level, size]
                found += 1
    return entries
