"""Quality control: what is wrong with a picture so that no location can be named from it, in words.

Every limit lies beyond all simulated pictures and all real ones that were tried, with their darkest and
brightest planes: a picture that can be answered has no doubt.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.data.layouts import CHANNELS
from pipeline.data.masks import Segmentation

Plane = NDArray[np.float32]

VERSION = 2
"""Raise it when the same picture is judged otherwise than before."""

SMALLEST_SIDE = 32
"""Pixels: a nucleus of fewer than some ten pixels shows no location."""

FLAT = 1e-4
"""Share of pixels that may differ from the darkest one in a channel without signal: dead pixels."""

OFFSET = 0.3
"""Darkest value, of a range from 0 to 1, from which values have an offset, or the picture is not dark."""

SATURATED = 0.3
"""Share of pixels at the file format's largest value from which a channel is over-exposed or inverted."""

NOISE = 0.15
"""Correlation of neighbouring pixels, and of squares of them, below which a channel is noise.

Of 70 real pictures of the Human Protein Atlas the faintest protein has 0.06 between pixels and 0.37 between
squares.
"""

UNEVEN, CONTRAST = 0.7, 15.0
"""Standard deviation within a nucleus over its mean (the median of the nuclei), and brightness of nuclei over
that of the rest of their cells: a stain of DNA is neither above the one nor below the other.
"""

_SQUARE = 4
"""Side, in pixels, of the squares whose means are compared: they show a signal below the pixels' noise."""


def doubt(
    pixels: NDArray[np.float32], found: Segmentation | None = None, channels: Sequence[str] = CHANNELS
) -> str:
    """Say why no location can be named from a picture; empty where nothing speaks against it.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width)
        In [0, 1].
    found : Segmentation, optional
        Its cells; unless given, a picture without cells is not told from others.
    channels : sequence of str
        What the planes show.
    """
    return next(_doubts(dict(zip(channels, pixels, strict=True)), pixels.shape[1:], found), "")


def _doubts(planes: Mapping[str, Plane], shape: tuple[int, ...], found: Segmentation | None) -> Iterator[str]:
    height, width = shape
    if min(height, width) < SMALLEST_SIDE:
        yield f"{width} × {height} pixels are too few for a cell; give the whole field"
    for channel, plane in planes.items():
        if float(plane.min()) >= OFFSET:
            yield (
                f"the darkest pixel of {channel} is at {plane.min():.0%} of the range (offset); "
                "subtract the offset, or export the picture again"
            )
        if float((plane >= 1).mean()) >= SATURATED:
            share = (plane >= 1).mean()
            yield f"{share:.0%} of {channel} are at the largest value; expose less, or invert the picture"
    yield from _doubtful_channels(planes)
    if found is not None and found.count and "nucleus" in planes and _is_uneven(planes["nucleus"], found):
        yield (
            "what was taken for nuclei is stained unevenly, and so is what lies around; check the outlines, "
            "and that nucleus is not the channel of the protein"
        )
    if found is not None and not found.count:
        yield "no cell was found; check that cells are in focus, and which file is which channel"


def _doubtful_channels(planes: Mapping[str, Plane]) -> Iterator[str]:
    """Say which of the channels that decide show nothing, or what another one shows."""
    for channel in [name for name in ("protein", "nucleus") if name in planes]:
        if float((planes[channel] != planes[channel].min()).mean()) <= FLAT:
            yield f"{channel} is black or flat; export the channel again"
        elif not has_signal(planes[channel]):
            yield f"{channel} is noise without a signal; check the staining, and which file is which channel"
    for channel in [name for name in planes if name != "protein"]:
        if np.array_equal(planes["protein"], planes[channel]):
            yield f"protein and {channel} are the same picture; check which file is which channel"


def _is_uneven(nucleus: Plane, found: Segmentation) -> bool:
    """Say whether a stain differs more within nuclei, and less from their cells, than one of DNA."""
    inside, around = found.nuclei > 0, (found.cells > 0) & (found.nuclei == 0)
    if not around.any() or not inside.any():
        return False
    nuclei = pd.Series(nucleus[inside].astype(float)).groupby(found.nuclei[inside])  # labels may have gaps
    spread = nuclei.std(ddof=0) / nuclei.mean().clip(lower=1e-6)
    dark = np.percentile(nucleus, 1)
    contrast = (nucleus[inside].mean() - dark) / max(nucleus[around].mean() - dark, 1e-6)
    return bool(spread.median() > UNEVEN and contrast < CONTRAST)


def has_signal(plane: Plane) -> bool:
    """Say whether neighbouring pixels, or squares of them, are alike: those of a camera's noise are not."""
    height, width = (side // _SQUARE * _SQUARE for side in plane.shape)
    squares = plane[:height, :width].reshape(height // _SQUARE, _SQUARE, -1, _SQUARE).mean(axis=(1, 3))
    return max(map(neighbour_correlation, (plane, squares))) >= NOISE


def neighbour_correlation(plane: Plane) -> float:
    """Return the correlation of pixels with their neighbours to the right and below; 1 in a flat plane."""
    away = plane - plane.mean()
    variance = float(np.square(away).mean())
    if not variance:
        return 1.0
    return float((away[:, 1:] * away[:, :-1]).mean() + (away[1:] * away[:-1]).mean()) / (2 * variance)
