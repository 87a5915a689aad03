"""Near-duplicate pictures: a perceptual hash of the channels, and groups of nearly equal hashes.

Two fields of cells differ in where their cells lie, a copy does not, even re-compressed, brighter or
moved. The hash says of each of the slowest waves that make up a channel whether it is stronger than
usual for its wavelength. Strengths do not change when a picture moves, and a factor in brightness changes
all of them alike.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from features.jit import kernel

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
Words = NDArray[np.uint64]


def perceptual_hash(pixels: NDArray[np.float32]) -> str:
    """Return the hash of a picture as hexadecimal digits, 32 per channel.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width)

    Returns
    -------
    str
        A flat channel's digits are all 0, which no other channel's are.
    """
    return b"".join(_channel_bits(plane) for plane in pixels).hex()


def duplicate_groups(hashes: Sequence[str]) -> NDArray[np.int64]:
    """Group pictures that are copies of each other, or of a third.

    Parameters
    ----------
    hashes : sequence of str
        What `perceptual_hash` gives, of pictures with the same channels; empty where unknown.

    Returns
    -------
    ndarray of int, shape (pictures,)
        For every picture the place of the first one of its group; its own, where it has no copies.
    """
    width = max((len(text) for text in hashes), default=0)
    filled = "".join(text.ljust(width, "0") for text in hashes)
    words = np.frombuffer(bytes.fromhex(filled), dtype=">u8").astype(np.uint64)
    parent = np.arange(len(hashes), dtype=np.int64)
    if width:
        _join(words.reshape(len(hashes), -1, _WORDS), len(_slow_waves()[0]), DIFFERENT, parent)
    return parent


@cache
def _slow_waves() -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the places of the waves that count in a flat half spectrum, and a line's design matrix."""
    down = np.fft.fftfreq(SIDE)[:, None] * SIDE
    right = np.fft.rfftfreq(SIDE)[None] * SIDE
    length = np.hypot(down, right)
    # Waves straight down occur twice in the half spectrum.
    wanted = (length >= WAVES[0]) & (length < WAVES[1]) & ~((right == 0) & (down < 0))
    places = np.flatnonzero(wanted)
    design = np.column_stack([np.log(length.ravel()[places]), np.ones(len(places))])
    return places, design


def _channel_bits(plane: NDArray[np.float32]) -> bytes:
    places, design = _slow_waves()
    small = cv2.resize(plane, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    if np.ptp(small) < 1e-6:
        return bytes(8 * _WORDS)
    strength = np.log(np.abs(np.fft.rfft2(small)).ravel()[places] + 1e-9)
    usual = design @ np.linalg.lstsq(design, strength, rcond=None)[0]
    unusual = strength - usual
    bits = np.packbits(unusual > np.median(unusual))
    return bits.tobytes().ljust(8 * _WORDS, b"\0")


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def _ones(_: Any, word: Any) -> Any:  # noqa: ARG001 - numba goes by the number of arguments
    """Count the bits of a word that are 1 by the processor's own instruction."""
    return types.int64(types.uint64), lambda _context, builder, _signature, words: builder.ctpop(words[0])


@kernel
def _join(words: Words, bits: int, different: float, parent: NDArray[np.int64]) -> None:
    """Join copies; every pair is compared."""
    for one in range(len(words)):
        for other in range(one):
            if _alike(words[one], words[other], bits, different):
                _unite(parent, one, other)
    for one in range(len(words)):
        parent[one] = _root(parent, one)


@kernel
def _alike(one: Words, other: Words, bits: int, different: float) -> bool:
    """Say whether few bits differ in the channels that are flat in neither; stops once they are too many."""
    compared = 0
    for channel in range(len(one)):
        compared += one[channel, 0] != 0 and other[channel, 0] != 0
    limit = different * bits * compared
    differing = 0
    for channel in range(len(one)):
        if one[channel, 0] == 0 or other[channel, 0] == 0:
            continue
        for word in range(one.shape[1]):
            differing += _ones(one[channel, word] ^ other[channel, word])
        if differing >= limit:
            return False
    return differing < limit


@kernel
def _root(parent: NDArray[np.int64], place: int) -> int:
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place


@kernel
def _unite(parent: NDArray[np.int64], one: int, other: int) -> None:
    first, second = _root(parent, one), _root(parent, other)
    parent[max(first, second)] = min(first, second)
