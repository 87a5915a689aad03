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
def _few_places(keys: NDArray[np.uint32], places: Ints32, examples: Ints) -> int:
    """Rank keys of few distinct values by a hash table; return their number, 0 where there are more.

    Writes every key's rank into `places` and a pixel of every rank into `examples`.
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
        places[index] = slots[slot]
    order = np.empty(count, np.int32)
    for number in range(count):
        place = number
        while place > 0 and known[order[place - 1]] > known[number]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = number
    rank = np.empty(count, np.int32)
    first = examples[:count].copy()
    for place in range(count):
        rank[order[place]] = place
        examples[place] = first[order[place]]
    for index in range(len(keys)):
        places[index] = rank[places[index]]
    return count


@kernel
def _many_places(keys: NDArray[np.uint32], places: Ints32, examples: Ints) -> int:
    """Do as `_few_places` for any number of distinct keys, by a radix sort."""
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
    for place in range(count):
        index = order[place]
        if place == 0 or keys[index] != keys[order[place - 1]]:
            examples[found] = index
            found += 1
        places[index] = found - 1
    return found


@kernel
def distinct(values: Floats) -> tuple[Ints32, Floats]:
    """Find each channel's distinct intensities, of single precision, and rank its pixels among them.

    Returns
    -------
    places : ndarray, shape (channels, n), int32
        Dense ranks from 0: equal values share one and the next is one more.
    steps : ndarray, shape (channels, largest number of distinct intensities), float64
        The intensities by rank; what is beyond a channel's last is undefined.
    """
    channels, count = values.shape
    places = np.empty((channels, count), np.int32)
    steps = np.zeros((channels, count), np.float64)
    examples = np.empty(max(count, FEW), np.int64)
    most = 0
    for channel in range(channels):
        keys = _keys(values[channel])
        found = _few_places(keys, places[channel], examples)
        if found == 0:
            found = _many_places(keys, places[channel], examples)
        for place in range(found):
            steps[channel, place] = values[channel, examples[place]]
        most = max(most, found)
    return places, steps[:, :most].copy()


@kernel
def sort_places(places: Ints32, steps: Floats) -> Floats:
    """Sort every channel's intensities, given their ranks among `steps`, from one count of each.

    `steps` are those of `distinct`, of the same pixels or of a region that holds them.
    """
    channels, count = places.shape
    ascending = np.empty((channels, count), np.float64)
    for channel in range(channels):
        counts = np.zeros(steps.shape[1], np.int64)
        for place in places[channel]:
            counts[place] += 1
        start = 0
        for place in range(len(counts)):
            if counts[place] > 0:
                ascending[channel, start : start + counts[place]] = steps[channel, place]
                start += counts[place]
    return ascending


@kernel
def rank(places: Ints32, among: int) -> tuple[Floats, Ints32]:
    """Rank every channel's pixels, given their ranks among `among` intensities.

    Returns ranks from 0 with ties averaged, and dense ones: equal values share one and the next is one more.
    """
    channels, count = places.shape
    averaged = np.empty((channels, count), np.float64)
    dense = np.empty((channels, count), np.int32)
    middle = np.empty(among, np.float64)
    number = np.empty(among, np.int32)
    for channel in range(channels):
        counts = np.zeros(among, np.int64)
        for place in places[channel]:
            counts[place] += 1
        start, present = 0, 0
        for place in range(among):
            middle[place] = 0.5 * (2 * start + counts[place] - 1)
            number[place] = present
            start += counts[place]
            present += 1 if counts[place] > 0 else 0
        for index in range(count):
            averaged[channel, index] = middle[places[channel, index]]
            dense[channel, index] = number[places[channel, index]]
    return averaged, dense


@kernel
def quantise(
    places: Ints32, steps: Floats, positions: Ints, box: tuple[int, int, int, int], levels: int
) -> Bytes:
    """Divide each channel's range into `levels` equal bins, numbered from 1; 0 outside the region.

    Parameters
    ----------
    places, steps : ndarray
        As for `sort_places`.
    positions : ndarray, shape (2, n), int64
    box : tuple of int
        Top, bottom, left and right of the result, shape (channels, height, width).
    levels : int
        At most 255.
    """
    channels, count = places.shape
    top, bottom, left, right = box
    out = np.zeros((channels, bottom - top, right - left), np.uint8)
    level = np.empty(steps.shape[1], np.uint8)
    for channel in range(channels):
        first, last = places[channel].min(), places[channel].max()
        low, high = steps[channel, first], steps[channel, last]
        scale = levels / (high - low) if high > low else 0.0
        for place in range(first, last + 1):
            level[place] = min(int((steps[channel, place] - low) * scale), levels - 1) + 1
        plane = out[channel]
        for index in range(count):
            plane[positions[0, index] - top, positions[1, index] - left] = level[places[channel, index]]
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
