"""Which pictures no fold may split: the groups that are given, and near-duplicates.

Near-duplicates have nearly equal perceptual hashes. Two fields of cells differ in where their cells lie, a
copy does not, even re-compressed, brighter or moved. The hash says of each of the slowest waves that make up
a channel whether it is stronger than usual for its wavelength. Strengths do not change when a picture moves,
and a factor in brightness changes all of them alike.
"""

from collections.abc import Sequence
from functools import cache
from itertools import combinations_with_replacement
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.core.stage import read_made
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import CHANNELS
from pipeline.data.table_files import MISSING
from pipeline.data.tables import Note, match, read_column

HASH_VERSION = 1
"""Changes when the hash does."""

SIDE = 128
"""Pixels of the picture that the waves are taken from."""

WAVES = (1.5, 9.0)
"""Shortest and longest wave vectors that count, in waves per picture."""

DIFFERENT = 0.2
"""Share of bits from which two pictures are no copies.

Of 70 real pictures no two differ in less than 0.40 of the bits, of 120 simulated ones in less than 0.39;
copies (JPEG of quality 50, 1.5 times as bright, moved by 16 of 512 pixels) differ in at most 0.15. At
quality 20 a picture of two grey levels on average differs in 0.25, the other 69 in at most 0.12.
"""

_WORDS = 2
_BLOCK = 512
"""Pictures compared with as many others at a time: 2 MB, which the processor keeps at hand."""

Words = NDArray[np.uint64]
Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]


class Grouping(NamedTuple):
    """Groups of pictures, those whose own was found, and how many are in one only as near-duplicates."""

    groups: pd.Series
    found: pd.Index
    copies: int


def read_groups(work: Workspace, path: Path | None, ids: pd.Index, note: Note) -> Grouping:
    """Group pictures by `path` (``Id,group``), or as the samples say.

    Pictures without a group are grouped with their near-duplicates: with one that has a group, if any.
    Groups that were given are never joined.

    Raises
    ------
    PipelineError
        If the table cannot be used, or has none of the pictures.
    """
    table = _named(samples_column(work, "group")) if path is None else groups_in(path)
    if path is not None or ids.isin(table.index).any():
        match(path or work.samples, table.index, ids, note)
    given = table.reindex(ids).to_numpy(dtype=object)
    cluster = duplicate_groups(samples_column(work, "hash").reindex(ids).fillna("").tolist())
    known = ids.isin(table.index)
    shared = dict(zip(cluster[known][::-1], given[known][::-1], strict=True))  # the first one's counts
    groups = [
        given[row] if known[row] else shared.get(first, f"picture {ids[first]}")
        for row, first in enumerate(cluster)
    ]
    copied = np.bincount(cluster, minlength=len(ids))[cluster] > 1
    named = pd.Series(groups, index=ids, name="group", dtype=object)
    return Grouping(named, ids[known], int((copied & ~known).sum()))


def groups_in(path: Path) -> "pd.Series[str]":
    """Read the group of every picture that has one from a table ``Id,group``."""
    return _named(read_column(path, "group"))


def _named(groups: "pd.Series[str]") -> "pd.Series[str]":
    return groups[groups.notna() & ~groups.isin(MISSING)]


def samples_column(work: Workspace, column: str) -> "pd.Series[str]":
    """Read one column of the samples by Id; no row where there is none."""
    if work.samples.is_file():
        table = read_made(work.samples)
        if column in table.columns:
            return table.set_index("Id")[column]
    return pd.Series([], index=pd.Index([], name="Id"), dtype=object)


def perceptual_hash(pixels: NDArray[np.float32], channels: Sequence[str] = CHANNELS) -> str:
    """Return the hash of a picture, shape (channels, height, width), as 32 hexadecimal digits per channel.

    There are digits of all `CHANNELS`. Those of a flat channel, and of one that was not recorded, are all 0,
    which no other channel's are.
    """
    planes = dict(zip(channels, pixels, strict=True))
    nothing = bytes(8 * _WORDS)
    return b"".join(_channel_bits(planes[name]) if name in planes else nothing for name in CHANNELS).hex()


def duplicate_groups(hashes: Sequence[str]) -> NDArray[np.int64]:
    """Return, for every picture, the index of the first of its group of copies; its own where it has none.

    A copy of a copy belongs to it. Hashes are from `perceptual_hash`, of equal channels; empty where unknown.
    """
    width = max((len(text) for text in hashes), default=0)
    filled = "".join(text.ljust(width, "0") for text in hashes)
    words = np.frombuffer(bytes.fromhex(filled), dtype=">u8").astype(np.uint64)
    if not width:
        return np.arange(len(hashes))
    pairs = _close_pairs(words.reshape(len(hashes), -1, _WORDS), len(_slow_waves()[0]))
    graph = coo_array((np.ones(len(pairs[0]), bool), pairs), shape=(len(hashes), len(hashes)))
    _, group = connected_components(graph, directed=False)
    _, first = np.unique(group, return_index=True)
    return np.asarray(first[group], np.int64)


@cache
def _slow_waves() -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the indices of the waves that count in a flattened half spectrum, and a line's design matrix."""
    down = np.fft.fftfreq(SIDE)[:, None] * SIDE
    right = np.fft.rfftfreq(SIDE)[None] * SIDE
    length = np.hypot(down, right)
    # Waves straight down occur twice in the half spectrum.
    wanted = (length >= WAVES[0]) & (length < WAVES[1]) & ~((right == 0) & (down < 0))
    indices = np.flatnonzero(wanted)
    design = np.column_stack([np.log(length.ravel()[indices]), np.ones(len(indices))])
    return indices, design


def _channel_bits(plane: NDArray[np.float32]) -> bytes:
    indices, design = _slow_waves()
    small = cv2.resize(plane, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    if np.ptp(small) < 1e-6:
        return bytes(8 * _WORDS)
    strength = np.log(np.abs(np.fft.rfft2(small)).ravel()[indices] + 1e-9)
    usual = design @ np.linalg.lstsq(design, strength, rcond=None)[0]
    unusual = strength - usual
    bits = np.packbits(unusual > np.median(unusual))
    return bits.tobytes().ljust(8 * _WORDS, b"\0")


def _close_pairs(words: Words, bits: int) -> Pairs:
    """Return the indices of all pairs of pictures that differ in few bits of the channels not flat in either.

    Words have the shape (pictures, channels, 2); `bits` of each channel count.
    """
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(words), _BLOCK)]
    pairs = [_close_in(words, one, other, bits) for one, other in combinations_with_replacement(blocks, 2)]
    return np.concatenate([one for one, _ in pairs]), np.concatenate([other for _, other in pairs])


def _close_in(words: Words, one: slice, other: slice, bits: int) -> Pairs:
    """Return the close pairs of two blocks of pictures."""
    first, second = words[one], words[other]
    compared = np.zeros((len(first), len(second)), np.uint16)
    differing = np.zeros_like(compared)
    for channel in range(words.shape[1]):
        both = np.logical_and.outer(first[:, channel, 0] != 0, second[:, channel, 0] != 0)
        compared += both
        for word in range(_WORDS):
            unequal = np.bitwise_xor.outer(first[:, channel, word], second[:, channel, word])
            differing += np.bitwise_count(unequal) * both
    rows, columns = np.nonzero(differing < DIFFERENT * bits * compared)
    return rows + one.start, columns + other.start
