"""The pixels of a region as lists: where they are, how bright, in which order."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel

FEW = 512
"""Channels with at most so many distinct intensities, as 8-bit pictures have, are ranked without sorting."""

_SLOTS = 4096
_DIGIT = 11


@kernel
def gather(
    pixels: NDArray[np.float32], mask: NDArray[np.bool_], count: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """List the pixels of a mask in reading order.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
    mask : ndarray, shape (height, width), bool
    count : int
        Number of pixels in the mask, n.

    Returns
    -------
    values : ndarray, shape (channels, n), float64
    positions : ndarray, shape (2, n), int64
        Row and column.
    """
    channels, height, width = pixels.shape
    values = np.empty((channels, count), np.float64)
    positions = np.empty((2, count), np.int64)
    found = 0
    for row in range(height):
        first = found
        for column in range(width):
            if mask[row, column]:
                positions[0, found] = row
                positions[1, found] = column
                found += 1
        for channel in range(channels):
            line = pixels[channel, row]
            for index in range(first, found):
                values[channel, index] = line[positions[1, index]]
    return values, positions


@kernel
def centre(positions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean row and column of pixels, shape (2,).

    Parameters
    ----------
    positions : ndarray, shape (2, n), int64, n >= 1
    """
    rows, columns = 0, 0
    for index in range(positions.shape[1]):
        rows += positions[0, index]
        columns += positions[1, index]
    return np.array([rows, columns]) / positions.shape[1]


@kernel
def places_of_part(
    places: NDArray[np.int32], positions: NDArray[np.int64], mask: NDArray[np.bool_], count: int
) -> NDArray[np.int32]:
    """Pick the ranks of a part of a region.

    Parameters
    ----------
    places : ndarray, shape (channels, whole), int32
        Ranks of the whole region's pixels.
    positions : ndarray, shape (2, whole), int64
    mask : ndarray, shape (height, width), bool
        The part.
    count : int
        Number of its pixels, n.

    Returns
    -------
    ndarray, shape (channels, n), int32
    """
    channels, whole = places.shape
    out = np.empty((channels, count), np.int32)
    found = 0
    for index in range(whole):
        if mask[positions[0, index], positions[1, index]]:
            for channel in range(channels):
                out[channel, found] = places[channel, index]
            found += 1
    return out


@kernel
def _keys(values: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Return integers in the order of the intensities, which are of single precision."""
    keys = (values.astype(np.float32) + np.float32(0)).view(np.uint32)  # -0 becomes 0
    for index in range(len(keys)):
        if keys[index] >> np.uint32(31):
            keys[index] = ~keys[index]
        else:
            keys[index] |= np.uint32(0x80000000)
    return keys


@kernel
def _few_places(keys: NDArray[np.uint32], places: NDArray[np.int32], examples: NDArray[np.int64]) -> int:
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
def _many_places(keys: NDArray[np.uint32], places: NDArray[np.int32], examples: NDArray[np.int64]) -> int:
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
def distinct(values: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Find each channel's distinct intensities and rank its pixels among them.

    Parameters
    ----------
    values : ndarray, shape (channels, n), float64
        Numbers of single precision, n >= 1.

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
def sort_places(places: NDArray[np.int32], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sort every channel's intensities, given their ranks among `steps`, from one count of each.

    Parameters
    ----------
    places : ndarray, shape (channels, n), int32
    steps : ndarray, shape (channels, distinct), float64
        From `distinct`, of the same pixels or of a region that holds them.

    Returns
    -------
    ndarray, shape (channels, n), float64
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
def rank(places: NDArray[np.int32], among: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Rank every channel's pixels, given their ranks among `among` intensities.

    Parameters
    ----------
    places : ndarray, shape (channels, n), int32
    among : int

    Returns
    -------
    averaged : ndarray, shape (channels, n), float64
        Ranks from 0, ties averaged.
    dense : ndarray, shape (channels, n), int32
        Ranks from 0, equal values share one and the next is one more.
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
