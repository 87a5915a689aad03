"""Cleaning label images: smooth outlines, one piece per label, debris away."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

Labels = NDArray[np.int32]

SMALLEST_NUCLEUS_UM2 = 15.0
"""Nuclei below this area are debris where the pixel size is known: a small human nucleus has 40 µm²."""

SMALLEST_SHARE = 0.12
"""Nuclei below this share of the picture's median nucleus are debris where the pixel size is not known.

A mitotic plate seen from its side has about a fifth of the area of the flat nucleus it came from.
"""

SMALLEST_PIXELS = 12
"""No object of fewer pixels can be measured, whatever its size in micrometres."""


def drop_debris(nuclei: Labels, pixel_size_um: float | None) -> Labels:
    """Remove nuclei too small to be one; the rest keep their numbers.

    The limit is `SMALLEST_NUCLEUS_UM2` where the pixel size is known, else `SMALLEST_SHARE` of the
    median area of the picture's nuclei; and never below `SMALLEST_PIXELS`.
    """
    measurable = drop_small(nuclei, SMALLEST_PIXELS)
    if pixel_size_um is not None:
        return drop_small(measurable, SMALLEST_NUCLEUS_UM2 / pixel_size_um**2)
    return drop_small(measurable, SMALLEST_SHARE * median_area(measurable))


def drop_small(labels: Labels, least: float) -> Labels:
    """Remove objects of fewer than `least` pixels; the rest keep their numbers."""
    large = np.bincount(labels.ravel()) >= least
    return np.where(large[labels], labels, 0).astype(np.int32)


def median_area(labels: NDArray[np.integer[Any]]) -> float:
    """Return the median area, in pixels, of the objects of a label image; 0 where there are none."""
    areas = np.bincount(labels.ravel())[1:]
    areas = areas[areas > 0]
    return float(np.median(areas)) if areas.size else 0.0


def median_diameter(labels: NDArray[np.integer[Any]]) -> float:
    """Return the median diameter of the objects of a label image, in pixels; 0 where there are none.

    A diameter is that of the disc of equal area, as in Cellpose.
    """
    return float(2.0 * np.sqrt(median_area(labels) / np.pi))


def smooth_labels(labels: Labels, sigma: float, keep: Labels | None = None) -> Labels:
    """Round the outlines of every label by blurring its mask; labels stay apart, holes close.

    Parameters
    ----------
    labels : ndarray, shape (height, width), int32
    sigma : float
        Standard deviation of the blur in pixels; outlines bend no sharper than about this.
    keep : ndarray, optional
        Label image whose pixels never change hands (nuclei inside cells).
    """
    result = enlarge_labels(labels, (labels.shape[0], labels.shape[1]), sigma)
    if keep is not None:
        result[keep > 0] = keep[keep > 0]
    return result


def enlarge_labels(labels: Labels, shape: tuple[int, int], sigma: float = 0.8) -> Labels:
    """Scale a label image with smooth outlines: each mask is blurred, scaled to `shape` and cut at one half.

    `sigma` is the standard deviation of the blur in pixels of `labels`.
    """
    result = np.zeros(shape, np.int32)
    best = np.full(shape, 0.5, np.float32)
    margin = int(np.ceil(3 * sigma)) + 1
    for number, box in enumerate(ndi.find_objects(labels), start=1):
        if box is None:
            continue
        source = [slice(max(0, side.start - margin), side.stop + margin) for side in box]
        mask = ndi.binary_fill_holes(labels[*source] == number).astype(np.float32)
        mask = cv2.GaussianBlur(mask, (0, 0), max(0.3, sigma), borderType=cv2.BORDER_REPLICATE)
        window, share = _scaled_window(mask, source, labels.shape, shape)
        wins = share > best[window]
        best[window][wins] = share[wins]
        result[window][wins] = number
    return result


def _scaled_window(
    mask: NDArray[np.float32], source: list[slice], old: tuple[int, ...], new: tuple[int, int]
) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
    """Return where a mask's window lies in the scaled picture, and the mask interpolated there."""
    if old == new:
        return (source[0], source[1]), mask
    window, centres = [], []
    for side, before, after in zip(source, old, new, strict=True):
        factor = after / before
        start, stop = int(side.start * factor), min(after, int(np.ceil(side.stop * factor)))
        window.append(slice(start, stop))
        # centres of pixels, not corners, are what is sampled
        centres.append((np.arange(start, stop) + 0.5) / factor - 0.5 - side.start)
    rows, columns = np.meshgrid(*centres, indexing="ij")
    points = columns.astype(np.float32), rows.astype(np.float32)
    share = cv2.remap(mask, *points, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return (window[0], window[1]), share


def largest_pieces(labels: Labels) -> Labels:
    """Keep only the largest connected piece of every label."""
    result = np.zeros_like(labels)
    for number, box in enumerate(ndi.find_objects(labels), start=1):
        if box is None:
            continue
        pieces, count = ndi.label(labels[box] == number)
        if count > 1:
            pieces = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
        result[box][pieces > 0] = number
    return result
