"""Texture matrices: grey-level run lengths, size zones, dependences and neighbourhood tone differences."""

import numpy as np

from features.cells import Region
from features.jit import Bytes, Floats, Ints, Ints32, kernel
from features.registry import BITS, NONE, Output, feature

STEPS = np.array([[0, 1], [1, 1], [1, 0], [1, -1], [0, -1], [-1, -1], [-1, 0], [-1, 1]])
"""The eight neighbours."""

DIRECTIONS = 4
EMPHASIS = 16
"""Numbers in a summary, in the order of `emphasis`."""

LEVELS = 32

EMPHASES = {
    "small": ("{small} emphasis", NONE),
    "large": ("{large} emphasis", NONE),
    "low": ("low grey-level {entry} emphasis", NONE),
    "high": ("high grey-level {entry} emphasis", NONE),
    "small_low": ("{small} low grey-level emphasis", NONE),
    "small_high": ("{small} high grey-level emphasis", NONE),
    "large_low": ("{large} low grey-level emphasis", NONE),
    "large_high": ("{large} high grey-level emphasis", NONE),
    "level_nonuniformity": ("grey-level non-uniformity", NONE),
    "level_nonuniformity_normalised": ("normalised grey-level non-uniformity", NONE),
    "size_nonuniformity": ("{size} non-uniformity", NONE),
    "size_nonuniformity_normalised": ("normalised {size} non-uniformity", NONE),
    "percentage": ("{entry} percentage", NONE),
    "level_variance": ("grey-level variance", NONE),
    "size_variance": ("{size} variance", NONE),
    "entropy": ("{size} entropy", BITS),
}
MATRICES = {
    "run": ("run-length", "short-run", "long-run", "run", "run-length"),
    "zone": ("size-zone", "small-zone", "large-zone", "zone", "zone-size"),
    "dependence": ("dependence", "low-dependence", "high-dependence", "count", "dependence-count"),
}
"""The matrices' names, and what is said of them: of small and large entries, an entry, and its size."""

TONES = ("coarseness", "contrast", "busyness", "complexity", "strength")
AREA_BOUND = {"level_nonuniformity", "size_nonuniformity"}
"""Left out: they grow with the region, and their normalised twins say the rest."""

HISTOGRAM_BOUND = {"low", "high", "level_nonuniformity_normalised", "percentage", "level_variance"}
"""Left out of dependences, where they only repeat the histogram (every pixel has one dependence)."""


def _kept(matrix: str, name: str) -> bool:
    return name not in AREA_BOUND and (matrix != "dependence" or name not in HISTOGRAM_BOUND)


ALL = [(matrix, name) for matrix in MATRICES for name in EMPHASES] + [("tone", name) for name in TONES]
KEPT = [index for index, (matrix, name) in enumerate(ALL) if _kept(matrix, name)]


def _output(matrix: str, name: str) -> Output:
    if matrix == "tone":
        return Output(f"{name} of the neighbourhood grey-tone difference matrix")
    title, small, large, entry, size = MATRICES[matrix]
    words, unit = EMPHASES[name]
    named = words.format(small=small, large=large, entry=entry, size=size)
    return Output(f"{named} of the grey-level {title} matrix", unit)


OUTPUTS = {f"{matrix}_{name}": _output(matrix, name) for matrix, name in (ALL[index] for index in KEPT)}


@feature(family="zones", resampled=True, per="channel", regions=("cell",), outputs=OUTPUTS)
def zone_matrices(region: Region) -> Floats:
    """Summarise run, zone, dependence and neighbourhood-difference matrices, shape (channels, 42).

    Units: entropies are in bits, the rest has none; 32 levels between the region's own extremes.
    Runs are averaged over four directions, zones are 8-connected, dependences are of distance 1 and
    equal level. The five tone differences are NaN where no pixel has a neighbour, and all but
    complexity in a flat region.

    Source: Image Biomarker Standardisation Initiative (Zwanenburg et al. 2020), two-dimensional:
    GLRLM (Galloway 1975), GLSZM (Thibault 2014), NGLDM (Sun and Wee 1983), NGTDM (Amadasun and King
    1989).
    """
    numbers: Floats = matrices_of_planes(region.quantised(LEVELS), LEVELS)[:, KEPT]
    return numbers


@kernel
def _zone_sizes(levels: Bytes, size: int) -> tuple[Ints, Ints]:
    """Find the 8-connected zones of equal level; return their sizes, by level, and where each level ends."""
    width = levels.shape[1]
    left = levels.copy().ravel()
    stack = np.empty(left.size, np.int64)
    zone_levels = np.empty(left.size, np.int64)
    zone_sizes = np.empty(left.size, np.int64)
    around = STEPS[:, 0] * width + STEPS[:, 1]
    ends = np.zeros(size + 2, np.int64)
    zones = 0
    for start in range(left.size):
        level = left[start]
        if level == 0:
            continue
        left[start] = 0
        stack[0] = start
        waiting, area = 1, 0
        while waiting > 0:
            waiting -= 1
            at = stack[waiting]
            area += 1
            for step in range(8):
                near = at + around[step]
                if left[near] == level:
                    left[near] = 0
                    stack[waiting] = near
                    waiting += 1
        zone_levels[zones], zone_sizes[zones] = level, area
        ends[level + 1] += 1
        zones += 1
    ends = np.cumsum(ends)
    free = ends.copy()
    by_level = np.empty(zones, np.int64)
    for zone in range(zones):
        by_level[free[zone_levels[zone]]] = zone_sizes[zone]
        free[zone_levels[zone]] += 1
    return by_level, ends


@kernel
def zones(levels: Bytes, size: int) -> Ints:
    """Count 8-connected zones of equal level: level, area and count, shape (n, 3).

    `levels`, shape (height, width), are 1 to `size`; 0 outside and along a margin of one pixel.
    """
    sizes, ends = _zone_sizes(levels, size)
    entries = np.empty((len(sizes), 3), np.int64)
    entry_of = np.full(sizes.max() + 1, -1, np.int64)
    found = 0
    for level in range(1, size + 1):
        first = found
        for zone in range(ends[level], ends[level + 1]):
            area = sizes[zone]
            if entry_of[area] < first:
                entry_of[area] = found
                entries[found] = level, area, 0
                found += 1
            entries[entry_of[area], 2] += 1
    return entries[:found]


@kernel
def neighbourhoods(levels: Bytes, size: int) -> tuple[Ints, Floats, Floats]:
    """Compare every pixel of `levels`, as for `zones`, with its eight neighbours in the mask.

    Returns dependences, shape (n, 3): level, number of neighbours of the same level plus one, and count. And
    per level, shape (size + 1,), the sum of absolute differences to the mean of the neighbours, and the
    number of pixels that have a neighbour.
    """
    height, width = levels.shape
    dependences = np.zeros((size + 1, 10), np.int64)
    differences = np.zeros(size + 1, np.float64)
    counts = np.zeros(size + 1, np.float64)
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            level = int(levels[row, column])
            if level == 0:
                continue
            same, inside, total = 1, 0, 0
            for down in range(-1, 2):
                for right in range(-1, 2):
                    near = int(levels[row + down, column + right])
                    total += near
                    inside += 1 if near > 0 else 0
                    same += 1 if near == level else 0
            dependences[level, same - 1] += 1
            if inside > 1:
                counts[level] += 1.0
                differences[level] += abs(level - (total - level) / (inside - 1))
    return entries_of(dependences), differences, counts


@kernel
def tone_differences(differences: Floats, counts: Floats) -> Floats:
    """Summarise `neighbourhoods`: coarseness, contrast, busyness, complexity, strength, shape (5,).

    NaN where nothing has a neighbour or, but for complexity, where all levels are equal.
    """
    out = np.full(5, np.nan)
    total = counts.sum()
    if total == 0.0:
        return out
    shares = counts / total
    used = 0
    weighted, spread, busy, complexity, strength = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(counts)):
        if shares[i] == 0.0:
            continue
        used += 1
        weighted += shares[i] * differences[i]
        for j in range(len(counts)):
            if shares[j] > 0.0:
                gap = abs(i - j)
                spread += shares[i] * shares[j] * gap * gap
                busy += abs(i * shares[i] - j * shares[j])
                both = shares[i] * differences[i] + shares[j] * differences[j]
                complexity += gap * both / (shares[i] + shares[j])
                strength += (shares[i] + shares[j]) * gap * gap
    out[3] = complexity / total
    if used > 1 and weighted > 0.0:
        out[0] = 1.0 / weighted
        out[1] = spread / (used * (used - 1.0)) * differences.sum() / total
        out[2] = weighted / busy if busy > 0.0 else np.nan
        out[4] = strength / differences.sum()
    return out


@kernel
def matrices_of_planes(levels: Bytes, size: int) -> Floats:
    """Summarise runs (mean over directions), zones, dependences and tone differences, shape (channels, 53).

    `levels`, shape (channels, height, width), are as for `zones` and not empty. Thrice the 16 numbers of
    `emphasis`, then 5 of `tone_differences`.
    """
    channels = len(levels)
    out = np.zeros((channels, 3 * EMPHASIS + 5), np.float64)
    for channel in range(channels):
        plane = levels[channel]
        pixels = np.count_nonzero(plane)
        for runs in run_lengths(plane, size):
            out[channel, :EMPHASIS] += emphasis(entries_of(runs), pixels) / DIRECTIONS
        out[channel, EMPHASIS : 2 * EMPHASIS] = emphasis(zones(plane, size), pixels)
        dependences, differences, counts = neighbourhoods(plane, size)
        out[channel, 2 * EMPHASIS : 3 * EMPHASIS] = emphasis(dependences, pixels)
        out[channel, 3 * EMPHASIS :] = tone_differences(differences, counts)
    return out


@kernel
def _follow(before: Ints32, above: Bytes, here: Bytes, out: Ints32) -> None:
    """Write how manieth of its run every pixel of a row is, 0 outside; `before` holds the row above's."""
    for column in range(len(out)):
        position = before[column] + 1 if above[column] == here[column] else 1
        out[column] = position if here[column] > 0 else 0


@kernel
def _positions(levels: Bytes, row: int, before: Ints32, out: Ints32) -> None:
    """Write how manieth of its run every pixel of a row is in each direction, shape (4, width), 0 outside."""
    above, here = levels[row - 1], levels[row]
    last = here.size - 1
    _follow(before[1], above, here[1:], out[1, 1:])
    _follow(before[2], above, here, out[2])
    _follow(before[3, 1:], above[1:], here, out[3, :last])
    along, position = out[0], 0
    for column in range(1, last):
        position = position + 1 if here[column] == here[column - 1] else 1
        along[column] = position if here[column] > 0 else 0


@kernel
def _falls(counts: Ints32, longest: int) -> Ints:
    """Return by what counts fall from each position to the next, up to the longest run's last."""
    directions, levels, _ = counts.shape
    falls = np.zeros((directions, levels, longest + 1), np.int64)
    for direction in range(directions):
        for level in range(levels):
            there, out = counts[direction, level], falls[direction, level]
            for position in range(1, longest):
                out[position] = there[position] - there[position + 1]
            out[longest] = there[longest]
    return falls


@kernel
def run_lengths(levels: Bytes, size: int) -> Ints:
    """Count runs of equal levels at 0, 45, 90 and 135 degrees up to the axis' sign.

    `levels` are as for `zones`. Runs by direction, level and length, shape (4, size + 1, longest + 1); row
    and column 0 are empty. Pixels are counted by how manieth of their run they are. Every run of n pixels
    has an n-th one, so what the count falls by from n to n + 1 is the number of runs of length n.
    """
    height, width = levels.shape
    room = np.uint32(max(height, width) + 1)
    counts = np.zeros((DIRECTIONS, (size + 1) * room), np.int32)
    one, two, three, four = counts
    positions = np.zeros((2, DIRECTIONS, width), np.int32)
    longest = 1
    for row in range(1, height - 1):
        now, here = positions[row % 2], levels[row]
        _positions(levels, row, positions[(row - 1) % 2], now)
        for position in now.ravel():
            longest = max(longest, position)
        along, falling, down, rising = now
        for column in range(1, width - 1):
            if here[column] > 0:
                start = np.uint32(here[column]) * room
                one[start + np.uint32(along[column])] += 1
                two[start + np.uint32(falling[column])] += 1
                three[start + np.uint32(down[column])] += 1
                four[start + np.uint32(rising[column])] += 1
    return _falls(counts.reshape(DIRECTIONS, size + 1, room), longest)


@kernel
def emphasis(entries: Ints, pixels: int) -> Floats:
    """Summarise (level, size, count) as the Image Biomarker Standardisation Initiative does, shape (16,).

    `entries`, shape (n, 3), are distinct pairs of level and size, with their counts; n >= 1. The order is
    that of `EMPHASES`; the percentage is the number over the region's `pixels`, the entropy in bits.
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
def entries_of(counts: Ints) -> Ints:
    """List the level, size and count of the entries of a dense matrix that are not 0, shape (n, 3)."""
    entries = np.empty((np.count_nonzero(counts), 3), np.int64)
    found = 0
    for level in range(counts.shape[0]):
        for size in range(counts.shape[1]):
            if counts[level, size] > 0:
                entries[found] = level, size, counts[level, size]
                found += 1
    return entries
