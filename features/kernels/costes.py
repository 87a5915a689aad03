"""Costes' automatic thresholds for two channels that correlate."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel
from features.kernels.lanes import in_order

FLAT = 1e-12
"""Relative rounding below which a correlation counts as zero."""

NEAR = 1e-6
"""Share of a step by which an intensity may miss a threshold through rounding."""

_CHUNK = 256


@kernel
def costes(
    x: NDArray[np.float64], y: NDArray[np.float64], line: tuple[float, float], step: float, steps: int
) -> tuple[int, float, float]:
    """Find Costes' thresholds by going down a rising line y = offset + slope x in steps.

    A pixel lies below a pair of thresholds if either channel does. Every pixel is sorted into the
    first step of thresholds that it lies below; sums over steps then give the correlation below each
    of them, from one pass over the pixels.

    Parameters
    ----------
    x, y : ndarray, shape (n,), float64
    line : tuple of float
        Slope and offset of the orthogonal regression line.
    step : float
        Distance between tried thresholds of x.
    steps : int
        Number of the first one that lies above the maximum of x.

    Returns
    -------
    number : int
        Of the largest tried threshold below which the correlation is not positive; 0 where there is none.
    above_x, above_y : float
        Sums of x and y over the pixels that lie above both thresholds.
    """
    slope, offset = line
    sums = np.zeros((steps + 1, 4), np.float64)
    bins = np.empty(_CHUNK, np.int32)
    per_step, y_to_x = 1.0 / step, 1.0 / slope
    for start in range(0, len(x), _CHUNK):
        one, other = x[start : start + _CHUNK], y[start : start + _CHUNK]
        for index in range(len(one)):
            lowest = min(one[index], (other[index] - offset) * y_to_x)
            place = np.floor(lowest * per_step + NEAR) + 1.0
            bins[index] = np.int32(max(0.0, min(float(steps), place)))
        for index in range(len(one)):
            place = sums[bins[index]]
            place[0] += 1.0
            place[1] += one[index]
            place[2] += other[index]
            place[3] += one[index] * other[index]
    below = sums.copy()
    for number in range(1, steps + 1):
        below[number] += below[number - 1]
    found = steps
    while found > 0:
        n, a, b, ab = below[found]
        if n < 2.0 or ab * n - a * b <= FLAT * n * abs(ab):
            break
        found -= 1
    return found, in_order(sums[found + 1 :, 1]), in_order(sums[found + 1 :, 2])
