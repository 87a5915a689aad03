"""Intensities of a region in order: distinct ones, ranks, grey levels and Otsu's threshold."""

import numpy as np
from numpy.typing import NDArray

from features.jit import Bytes, Floats, Ints, Ints32, kernel

FEW = 512
"""Channels with at most so many distinct intensities, as 8-bit pictures have, are ranked without sorting."""

_SLOTS = 4096
_DIGIT = 11


@kernel
def _keys(values: Floats) -> NDArray[np.uint32]:
    """Return integers in the order of the intensities, which are of single precision."""
    keys = (values.astype(np.float32) + np.float32(0)).view(np.uint32)  # -0 becomes 0
    for index in range(len(keys)):
        if keys[index] >> np.uint32(31):
            keys[index] = ~keys[index]
        else:
            keys[index] |= np.uint32(0x80000000)
    return keys


@kernel
def _few_ranks(keys: NDArray[np.uint32], ranks: Ints32, examples: Ints) -> int:
    """Rank keys of few distinct values by a hash table; return their number, 0 where there are more.

    Writes every key's rank into `ranks` and a pixel of every rank into `examples`.
    """
    slots = np.full(_SLOTS, -1, np.int32)
    known = np.empty(FEW, np.uint32)
    count = 0
    for index in range(len(keys)):
        key = keys[index]
        slot = (np.uint64(key) * np.uint64(2654435761) & np.uint64(0xFFFFFFFF)) >> np.uint64(20)
        while slots[slot] >= 0 and known[slots[slot]] != key:
            slot = (slot + np.uint64(1)) & np.uint64(_SLOTS - 1)
        if slots[slot] < 0:
            if count == FEW:
                return 0
            slots[slot], known[count], examples[count] = count, key, index
            count += 1
        ranks[index] = slots[slot]
    order = np.empty(count, np.int32)
    for number in range(count):
        position = number
        while position > 0 and known[order[position - 1]] > known[number]:
            order[position] = order[position - 1]
            position -= 1
        order[position] = number
    rank = np.empty(count, np.int32)
    first = examples[:count].copy()
    for position in range(count):
        rank[order[position]] = position
        examples[position] = first[order[position]]
    for index in range(len(keys)):
        ranks[index] = rank[ranks[index]]
    return count


@kernel
def _many_ranks(keys: NDArray[np.uint32], ranks: Ints32, examples: Ints) -> int:
    """Do as `_few_ranks` for any number of distinct keys, by a radix sort."""
    count, buckets = len(keys), 1 << _DIGIT
    order = np.arange(count).astype(np.int32)
    other = np.empty(count, np.int32)
    ends = np.empty(buckets, np.int64)
    for shift in range(0, 32, _DIGIT):
        ends[:] = 0
        for index in range(count):
            ends[(keys[index] >> np.uint32(shift)) & np.uint32(buckets - 1)] += 1
        start = 0
        for bucket in range(buckets):
            start, ends[bucket] = start + ends[bucket], start
        for index in order:
            bucket = (keys[index] >> np.uint32(shift)) & np.uint32(buckets - 1)
            other[ends[bucket]] = index
            ends[bucket] += 1
        order, other = other, order
    found = 0
    for position in range(count):
        index = order[position]
        if position == 0 or keys[index] != keys[order[position - 1]]:
            examples[found] = index
            found += 1
        ranks[index] = found - 1
    return found


@kernel
def distinct(values: Floats) -> tuple[Ints32, Floats]:
    """Find each channel's distinct intensities, of single precision, and rank its pixels among them.

    Returns dense ranks from 0 (equal values share one and the next is one more) and the intensities by rank,
    shape (channels, largest number of distinct ones); what is beyond a channel's last is undefined.
    """
    channels, count = values.shape
    ranks = np.empty((channels, count), np.int32)
    steps = np.zeros((channels, count), np.float64)
    examples = np.empty(max(count, FEW), np.int64)
    most = 0
    for channel in range(channels):
        keys = _keys(values[channel])
        found = _few_ranks(keys, ranks[channel], examples)
        if found == 0:
            found = _many_ranks(keys, ranks[channel], examples)
        for step in range(found):
            steps[channel, step] = values[channel, examples[step]]
        most = max(most, found)
    return ranks, steps[:, :most].copy()


@kernel
def sort_by_rank(ranks: Ints32, steps: Floats) -> Floats:
    """Sort every channel's intensities, given their ranks among `steps`, from one count of each.

    `steps` are those of `distinct`, of the same pixels or of a region that holds them.
    """
    channels, count = ranks.shape
    ascending = np.empty((channels, count), np.float64)
    for channel in range(channels):
        counts = np.zeros(steps.shape[1], np.int64)
        for step in ranks[channel]:
            counts[step] += 1
        start = 0
        for step in range(len(counts)):
            if counts[step] > 0:
                ascending[channel, start : start + counts[step]] = steps[channel, step]
                start += counts[step]
    return ascending


@kernel
def rank(ranks: Ints32, among: int) -> tuple[Floats, Ints32]:
    """Rank every channel's pixels, given their ranks among `among` intensities.

    Returns ranks from 0 with ties averaged, and dense ones: equal values share one and the next is one more.
    """
    channels, count = ranks.shape
    averaged = np.empty((channels, count), np.float64)
    dense = np.empty((channels, count), np.int32)
    middle = np.empty(among, np.float64)
    number = np.empty(among, np.int32)
    for channel in range(channels):
        counts = np.zeros(among, np.int64)
        for step in ranks[channel]:
            counts[step] += 1
        start, present = 0, 0
        for step in range(among):
            middle[step] = 0.5 * (2 * start + counts[step] - 1)
            number[step] = present
            start += counts[step]
            present += 1 if counts[step] > 0 else 0
        for index in range(count):
            averaged[channel, index] = middle[ranks[channel, index]]
            dense[channel, index] = number[ranks[channel, index]]
    return averaged, dense


@kernel
def quantise(
    ranks: Ints32, steps: Floats, positions: Ints, box: tuple[int, int, int, int], levels: int
) -> Bytes:
    """Divide each channel's range into `levels` equal bins, numbered from 1; 0 outside the region.

    Ranks and steps are as for `sort_by_rank`, at most 255 levels; `box` is top, bottom, left and right.
    """
    channels, count = ranks.shape
    top, bottom, left, right = box
    out = np.zeros((channels, bottom - top, right - left), np.uint8)
    level = np.empty(steps.shape[1], np.uint8)
    for channel in range(channels):
        first, last = ranks[channel].min(), ranks[channel].max()
        low, high = steps[channel, first], steps[channel, last]
        scale = levels / (high - low) if high > low else 0.0
        for step in range(first, last + 1):
            level[step] = min(int((steps[channel, step] - low) * scale), levels - 1) + 1
        plane = out[channel]
        for index in range(count):
            plane[positions[0, index] - top, positions[1, index] - left] = level[ranks[channel, index]]
    return out


@kernel
def otsu(ascending: Floats) -> float:
    """Find the value that splits sorted values into two classes of largest variance between them.

    The largest value of the lower class; infinite where all values are equal.
    Source: Otsu 1979, on the values themselves instead of a histogram.
    """
    count = len(ascending)
    base = ascending[0]
    total = 0.0
    for value in ascending:
        total += value - base
    best, threshold, below = 0.0, np.inf, 0.0
    for index in range(count - 1):
        below += ascending[index] - base
        if ascending[index + 1] == ascending[index]:
            continue
        lower = index + 1.0
        gap = below / lower - (total - below) / (count - lower)
        between = lower * (count - lower) * gap * gap
        if between > best:
            best, threshold = between, ascending[index]
    return threshold
