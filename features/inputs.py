"""What is measured, checked: intensities as floats, label images as int32, at a known or unknown scale."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from features.jit import Floats32, Ints32
from features.naming import check_channels

Labels = NDArray[np.integer[Any]]

LARGEST_LABEL = 1_000_000
"""Tables of labels are as long as the largest one."""

COMMON_UM = 0.32
"""The pixel size at which textures and spots are measured where the pixel size is known: that of most
Human Protein Atlas pictures scaled to 512 px (2048 px of 0.08 µm)."""

CLOSE = 0.02
"""Pixel sizes that differ by less than this share are taken as equal."""


@dataclass(frozen=True)
class Field:
    """A field of view with its label images.

    Attributes
    ----------
    pixels : ndarray, shape (channels, height, width), float32
        Intensities, C-contiguous.
    cells, nuclei : ndarray, shape (height, width), int32
        Label images, C-contiguous.
    channels : tuple of str
        Names of the planes.
    pixel_size_um : float or None
        Side of a pixel in micrometres; None where unknown.
    """

    pixels: Floats32
    cells: Ints32
    nuclei: Ints32
    channels: tuple[str, ...]
    pixel_size_um: float | None = None

    def at_common_scale(self) -> "Field":
        """Return the field with pixels of `COMMON_UM`; itself where that is so already, or the size unknown.

        Pictures are smoothed before they are made smaller (half a new pixel less half an old one) and
        interpolated linearly, labels taken from the nearest pixel. A cell may vanish.
        """
        if self.pixel_size_um is None or abs(self.pixel_size_um / COMMON_UM - 1) < CLOSE:
            return self
        factor = self.pixel_size_um / COMMON_UM
        shape = tuple(max(1, round(side * factor)) for side in self.cells.shape)
        sigma = max(0.0, (1 / factor - 1) / 2)
        planes = [gaussian_filter(plane, sigma) if sigma else plane for plane in self.pixels]
        return Field(
            np.array([_resized(plane, shape, 1) for plane in planes]),
            _resized(self.cells, shape, 0),
            _resized(self.nuclei, shape, 0),
            self.channels,
            COMMON_UM,
        )


def _resized(plane: NDArray[Any], shape: tuple[int, ...], order: int) -> NDArray[Any]:
    """Resample a plane to a shape by interpolation of an order, pixel edges to pixel edges."""
    factors = [new / old for new, old in zip(shape, plane.shape, strict=True)]
    resized: NDArray[Any] = zoom(plane, factors, order=order, mode="nearest", grid_mode=True)
    return np.ascontiguousarray(resized)


def check_field(
    picture: NDArray[np.generic],
    cells: Labels | None,
    nuclei: Labels | None,
    channels: tuple[str, ...],
    pixel_size_um: float | None,
) -> Field:
    """Check and convert what a user gives; ValueError where it is not as described in `features.measure`.

    Without label images there are no cells.
    """
    names = check_channels(channels)
    pixels = _as_float(picture, names)
    if pixel_size_um is not None and not 0 < pixel_size_um < np.inf:
        raise ValueError(f"pixel size {pixel_size_um} µm; expected a positive number, or None where unknown")
    none = np.zeros(pixels.shape[1:], np.int32)
    return Field(
        pixels,
        none if cells is None else as_labels(cells, none.shape, "cell"),
        none if nuclei is None else as_labels(nuclei, none.shape, "nucleus"),
        names,
        pixel_size_um,
    )


def _as_float(picture: NDArray[np.generic], channels: tuple[str, ...]) -> Floats32:
    """Return intensities in [0, 1]: integers over the largest value of their type, floats as they are."""
    if picture.ndim != 3 or len(picture) != len(channels):
        raise ValueError(
            f"picture has shape {picture.shape}; expected ({len(channels)}, height, width) for "
            f"channels {', '.join(channels)}"
        )
    if np.issubdtype(picture.dtype, np.integer):
        largest = np.float32(np.iinfo(str(picture.dtype)).max)
        return np.ascontiguousarray(picture, dtype=np.float32) / largest
    if not np.issubdtype(picture.dtype, np.floating):
        raise ValueError(f"picture is of type {picture.dtype}; expected integers or floats")
    pixels = np.ascontiguousarray(picture, dtype=np.float32)
    if not np.isfinite(pixels).all():
        raise ValueError("picture holds values that are not finite; replace them first")
    return pixels


def as_labels(labels: Labels, shape: tuple[int, ...], what: str) -> Ints32:
    """Return a label image as int32; ValueError if it has another shape or values than allowed."""
    if labels.shape != shape:
        raise ValueError(f"{what} labels have shape {labels.shape}; the picture has {shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{what} labels are of type {labels.dtype}; expected integers")
    if labels.size and (labels.min() < 0 or labels.max() > LARGEST_LABEL):
        raise ValueError(
            f"{what} labels run from {labels.min()} to {labels.max()}; expected 0 to {LARGEST_LABEL}"
        )
    return np.ascontiguousarray(labels, dtype=np.int32)
