"""Granular spectrum: how much of a channel's intensity is in grains of each size."""

import numpy as np

from features.cells import Cell, Region
from features.jit import Floats, Floats32, Ints, Mask, kernel
from features.kernels.sums import in_order
from features.registry import GAIN, Output, feature

STEPS = 8

OUTPUTS = {
    f"coarser_{2 * step:02d}": Output(
        f"granular spectrum: share of {{0}}'s intensity in grains of radius above {2 * step} px, {{where}}",
        invariances=GAIN | {"translation", "neighbours"},
    )
    for step in range(1, STEPS + 1)
}


@feature(
    family="granularity",
    resampled=True,
    per="channel",
    regions=("cell", "nucleus"),
    outputs=OUTPUTS,
    version=2,
)
def granularity_spectrum(region: Region) -> Floats:
    """Measure what openings by reconstruction leave at half resolution, shape (channels, 8).

    Units: none, shares of the region's total intensity. Step k is what an opening of radius k (diamonds, in
    blocks of 2 x 2 px) leaves: the size distribution. Its differences are the granular spectrum, in which the
    few grains of a single cell jump from one step to the next. NaN where the channel is black. Turning or
    mirroring a cell can shift the blocks by a pixel.

    Source: Ravkin and Temov 1988, "Bit representation techniques and image processing"; CellProfiler
    MeasureGranularity, with these differences: each region by itself, what lies outside it is ignored
    (there, a cell's value depends on its neighbours and its position); half, not quarter, resolution;
    no background is subtracted; shares instead of percentages, and sums of the spectrum from its coarse end.
    """
    planes, inside = region.cell.once(_halved, region.name)
    left: Floats = 1 - np.cumsum(granularity(planes, inside, STEPS), axis=1)
    return left


def _halved(cell: Cell, region: str) -> tuple[Floats32, Mask]:
    """Return the region's box at half resolution."""
    part = cell.region(region)
    return halve(np.ascontiguousarray(cell.pixels[:, *part.box]), np.ascontiguousarray(part.mask[part.box]))


@kernel
def halve(pixels: Floats32, mask: Mask) -> tuple[Floats32, Mask]:
    """Average the masked pixels of every block of 2 x 2, and mask the blocks that have any.

    Returns them with a margin of one block, 0 outside the mask, and the mask.
    """
    channels, height, width = pixels.shape
    rows, columns = (height + 1) // 2 + 2, (width + 1) // 2 + 2
    halved = np.zeros((channels, rows, columns), np.float32)
    inside = np.zeros((rows, columns), np.bool_)
    sums = np.empty((channels, columns), np.float64)
    count = np.empty(columns, np.int64)
    for block in range((height + 1) // 2):
        sums[:], count[:] = 0.0, 0
        for row in range(2 * block, min(2 * block + 2, height)):
            for column in range(width):
                if mask[row, column]:
                    half = (column >> 1) + 1
                    count[half] += 1
                    for channel in range(channels):
                        sums[channel, half] += pixels[channel, row, column]
        for half in range(columns):
            if count[half] > 0:
                inside[block + 1, half] = True
                for channel in range(channels):
                    halved[channel, block + 1, half] = sums[channel, half] / count[half]
    return halved, inside


@kernel
def erode(plane: Floats32, outside: Floats32, out: Floats32) -> None:
    """Write the minimum of every pixel and its side neighbours into `out`.

    All are infinite outside the mask, so that nothing there counts; `outside` is 0 in it.
    """
    height, width = plane.shape
    for row in range(1, height - 1):
        above, here, below = plane[row - 1, 1:], plane[row], plane[row + 1, 1:]
        left, middle, right = here[: width - 2], here[1:], here[2:]
        limit, target = outside[row, 1:], out[row, 1:]
        for column in range(width - 2):
            aside = left[column] if left[column] < right[column] else right[column]
            across = above[column] if above[column] < below[column] else below[column]
            lowest = aside if aside < across else across
            lowest = middle[column] if middle[column] < lowest else lowest
            target[column] = lowest if lowest > limit[column] else limit[column]


@kernel
def _sweep(seed: Floats32, ceiling: Floats32, first: int, step: int) -> None:
    """Let row after row of `seed` grow from the one before it, from `first` on in steps of 1 or -1.

    A row then grows from its left and its right at the same time: a processor does both while it would wait
    for one.
    """
    height, width = seed.shape
    grown = np.empty(width, np.float32)
    back = grown[::-1]
    for number in range(height - 2):
        row = first + number * step
        before, here, limit = seed[row - step], seed[row], ceiling[row]
        for column in range(width):
            value = here[column] if here[column] > before[column] else before[column]
            here[column] = value if value < limit[column] else limit[column]
        here_back, limit_back = here[::-1], limit[::-1]
        right, left = np.float32(0), np.float32(0)
        for column in range(width):
            right = right if right < limit[column] else limit[column]
            right = right if right > here[column] else here[column]
            left = left if left < limit_back[column] else limit_back[column]
            left = left if left > here_back[column] else here_back[column]
            back[column] = left
            here[column] = right
        for column in range(width):
            here[column] = here[column] if here[column] > grown[column] else grown[column]


@kernel
def _rising(seed: Floats32, ceiling: Floats32, waiting: Ints) -> int:
    """List pixels that could still raise the one below; return their number."""
    height, width = seed.shape
    raises = np.empty(width, np.bool_)
    count = 0
    for row in range(1, height - 2):
        here, below, limit = seed[row], seed[row + 1], ceiling[row + 1]
        for column in range(width):
            value = here[column] if here[column] < limit[column] else limit[column]
            raises[column] = value > below[column]
        for column in range(width):
            if raises[column]:
                waiting[count] = row * width + column
                count += 1
    return count


@kernel
def reconstruct(seed: Floats32, ceiling: Floats32, waiting: Ints, listed: Mask) -> None:
    """Let `seed` grow under `ceiling` from side neighbour to side neighbour until nothing changes.

    Both are not negative and 0 on the margin. Where `seed` is above `ceiling` it is cut. `waiting` and
    `listed`, as long as there are pixels, are room to work in; `listed` is and stays False.
    Source: Vincent 1993, "Morphological grayscale reconstruction in image analysis": a sweep each way, then
    only the pixels that can still raise a neighbour.
    """
    height, width = seed.shape
    _sweep(seed, ceiling, 1, 1)
    _sweep(seed, ceiling, height - 2, -1)
    count = _rising(seed, ceiling, waiting)
    flat, limit = seed.ravel(), ceiling.ravel()
    for index in range(count):
        listed[waiting[index]] = True
    while count > 0:
        count -= 1
        at = waiting[count]
        listed[at] = False
        for step in (-width, -1, 1, width):
            near = at + step
            value = min(flat[at], limit[near])
            if value > flat[near]:
                flat[near] = value
                if not listed[near]:
                    waiting[count] = near
                    listed[near] = True
                    count += 1


@kernel
def _total(plane: Floats32) -> float:
    """Sum a plane in double precision, column by column."""
    columns = np.zeros(plane.shape[1], np.float64)
    for row in range(len(plane)):
        line = plane[row]
        for column in range(len(columns)):
            columns[column] += line[column]
    return in_order(columns)


@kernel
def granularity(planes: Floats32, mask: Mask, steps: int) -> Floats:
    """Measure the share of a channel's mean that every further opening takes away, shape (channels, steps).

    `planes` are not negative and 0 outside the mask, which is not empty. Openings by reconstruction have
    radii of 1 to `steps` pixels. NaN where the channel is black.
    """
    out = np.full((len(planes), steps), np.nan)
    outside = np.where(mask, np.float32(0), np.float32(np.inf))
    waiting = np.empty(mask.size, np.int64)
    listed = np.zeros(mask.size, np.bool_)
    eroded, further = np.empty_like(outside), np.full_like(outside, np.inf)
    opened, seed = np.empty_like(outside), np.zeros_like(outside)
    for channel in range(len(planes)):
        before = total = _total(planes[channel])
        if total <= 0.0:
            continue
        opened[:] = planes[channel]
        eroded[:] = np.maximum(opened, outside)
        for step in range(steps):
            erode(eroded, outside, further)
            eroded, further = further, eroded
            seed[1:-1] = eroded[1:-1]
            reconstruct(seed, opened, waiting, listed)
            opened, seed = seed, opened
            now = _total(opened)
            out[channel, step] = max(0.0, before - now) / total
            before = now
    return out
