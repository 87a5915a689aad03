"""Segmentation without a network: nuclei by threshold, distance and watershed; cells grown from them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.morphology import reconstruction, remove_small_holes
from skimage.segmentation import watershed

from pipeline.data.dataset_options import Scale
from pipeline.data.masks import Segmentation
from pipeline.data.pictures import Picture
from pipeline.segmentation.label_images import drop_debris, match, median_area, median_diameter, smooth_labels

Plane = NDArray[np.float32]
Labels = NDArray[np.int32]

VERSION = 2
"""Raise it when the same parameters give other masks than before."""

SOLID = 0.75
"""Share of its convex hull that a nucleus fills; below, it is lobed or ring-shaped and left as it is."""


@dataclass(frozen=True)
class WatershedSegmenter:
    """Finds nuclei in the nucleus plane, and cells around them in microtubules and ER.

    Attributes
    ----------
    smoothing : float
        Standard deviation, in pixels, of the blur against camera noise.
    seed_depth : float
        How much deeper than the saddle between them two nuclei must be, in nuclear radii, to be parted.
    reach : float
        Longest distance of a cell's outline from its nucleus, in median nuclear radii.
    toll : float
        Weight of distance over brightness where cells meet; 0 lets bright cells flow around dim nuclei.
    """

    smoothing: float = 1.0
    seed_depth: float = 0.12
    reach: float = 5.0
    toll: float = 1.0
    name: ClassVar[str] = "watershed"
    uses_torch: ClassVar[bool] = False

    def settings(self) -> Mapping[str, str | float | int | None]:
        """Return the parameters and the version of the method."""
        return {**asdict(self), "name": self.name, "version": VERSION}

    def measure_nuclei(
        self,
        pictures: Sequence[Picture],
        factors: Sequence[float],
        expected: float = 0.0,  # noqa: ARG002 - protocol
    ) -> float:
        """Return the median diameter of the nuclei of some pictures."""
        found = [median_diameter(self.find_nuclei(one.plane("nucleus"))) for one in pictures]
        seen = [diameter * factor for diameter, factor in zip(found, factors, strict=True) if diameter]
        return round(float(np.median(seen)), 1) if seen else 0.0

    def measure_cells(self, pictures: Sequence[Picture], factors: Sequence[float], nuclei: float) -> None:
        """Return nothing: cells are grown from nuclei, whatever their size."""

    def at(self, scale: Scale) -> Self:  # noqa: ARG002 - protocol
        """Return itself: everything is relative to the nuclei of each picture."""
        return self

    def segment(self, picture: Picture, threads: int = 1) -> Segmentation:  # noqa: ARG002 - is quick
        """Segment one picture; empty where the nucleus plane holds no nucleus."""
        nuclei = self.nuclei_in(picture)
        return match(self.cells_around(nuclei, picture), nuclei)

    def nuclei_in(self, picture: Picture) -> Labels:
        """Return the nuclei of the nucleus plane, without debris."""
        return drop_debris(self.find_nuclei(picture.plane("nucleus")), picture.pixel_size_um)

    def cells_around(self, nuclei: Labels, picture: Picture) -> Labels:
        """Return cells grown from nuclei in microtubules and ER."""
        return self.grow_cells(nuclei, cytoplasm_signal(picture))

    def find_nuclei(self, plane: Plane) -> Labels:
        """Return a label image of the nuclei of a nucleus plane."""
        blurred = cv2.GaussianBlur(plane, (0, 0), self.smoothing)
        inside = _bright_regions(blurred, float((plane - blurred).std()))
        if not inside.any():
            return np.zeros(plane.shape, np.int32)
        distance = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        radius = _typical_radius(distance)
        seeds = self._seeds(distance, radius)
        nuclei = watershed(-distance, seeds, mask=inside).astype(np.int32)
        return smooth_labels(_close_notches(_refine_edges(nuclei, blurred)), 0.12 * radius)

    def _seeds(self, distance: Plane, radius: float) -> Labels:
        smooth = cv2.GaussianBlur(distance, (0, 0), max(0.5, 0.15 * radius))
        floor = reconstruction(smooth - self.seed_depth * radius, smooth)
        seeds, _ = ndi.label(smooth - floor >= 0.999 * self.seed_depth * radius, np.ones((3, 3)))
        return np.asarray(seeds, np.int32)

    def grow_cells(self, nuclei: Labels, signal: Plane) -> Labels:
        """Return a label image of cells: every cell holds the nucleus of its number.

        Cells meet where the smoothed signal is weakest between their nuclei, with a toll on distance.
        """
        if not nuclei.any():
            return np.zeros_like(nuclei)
        radius = 0.5 * median_diameter(nuclei)
        away = cv2.distanceTransform((nuclei == 0).astype(np.uint8), cv2.DIST_L2, 5)
        near = away <= self.reach * radius
        inside = (foreground(signal, nuclei) & near) | (nuclei > 0)
        valley = -cv2.GaussianBlur(signal, (0, 0), max(1.0, 0.12 * radius))
        cells = watershed(valley + self.toll * away / (self.reach * radius), nuclei, mask=inside).astype(
            np.int32
        )
        return smooth_labels(cells, 0.15 * radius, keep=nuclei)


def _bright_regions(blurred: Plane, noise: float) -> NDArray[np.bool_]:
    """Return where a blurred plane is bright: Otsu's threshold on its logarithm.

    The logarithm keeps dim nuclei beside bright ones (mitosis) and makes uneven light additive.
    Flat planes, and planes without two distinct levels, have no bright region: in pure noise Otsu's levels
    are half of `noise` (the standard deviation of what the blur took away) apart, here it must be 0.8.
    """
    low, high = np.percentile(blurred, (1, 99.8))
    nothing = np.zeros(blurred.shape, bool)
    if high - low < 1e-3:
        return nothing
    logarithm = np.log(np.clip(blurred - low, 0, None) + 0.03 * (high - low))
    bright = logarithm > threshold_otsu(logarithm)
    above, below = float(blurred[bright].mean()), float(blurred[~bright].mean())
    distinct = above > 1.3 * below and above - below > 0.8 * noise
    return np.asarray(ndi.binary_fill_holes(bright)) if distinct else nothing


def _typical_radius(distance: Plane) -> float:
    """Return the radius of typical bright regions, in pixels: the weighted median of inner radii."""
    peaks = distance[tuple(peak_local_max(distance, min_distance=3, exclude_border=False).T)]
    if not peaks.size:
        return 1.0
    peaks = np.sort(peaks)
    weight = np.cumsum(peaks**2)
    return float(max(1.0, peaks[np.searchsorted(weight, weight[-1] / 2)]))


def _refine_edges(nuclei: Labels, blurred: Plane) -> Labels:
    """Cut every nucleus at half its own brightness above the dark, so that bright ones have no halo."""
    numbers = np.arange(1, nuclei.max() + 1)
    if not numbers.size:
        return nuclei
    dark = np.median(blurred[nuclei == 0]) if (nuclei == 0).any() else 0.0
    level = ndi.median(blurred, nuclei, numbers) - dark
    threshold = np.concatenate([[np.inf], dark + 0.5 * level])
    return np.where(blurred > threshold[nuclei], nuclei, 0).astype(np.int32)


def _close_notches(nuclei: Labels) -> Labels:
    """Fill notches at the rim of nuclei, where a dark nucleolus lies at the edge.

    Each nearly convex nucleus is closed by a disc of half its own radius; neighbours keep their pixels.
    """
    closed = nuclei.copy()
    for number, box in enumerate(ndi.find_objects(nuclei), start=1):
        if box is None:
            continue
        mask = (nuclei[box] == number).astype(np.uint8)
        points = cv2.findNonZero(mask)
        area = int(mask.sum())
        if area < SOLID * cv2.contourArea(cv2.convexHull(points)):
            continue
        reach = max(1, round(0.5 * np.sqrt(area / np.pi)))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        whole = cv2.morphologyEx(np.pad(mask, 2 * reach), cv2.MORPH_CLOSE, disc)
        inner = whole[2 * reach : -2 * reach, 2 * reach : -2 * reach]
        closed[box][(inner > 0) & (nuclei[box] == 0)] = number
    return closed


def cytoplasm_channels(recorded: Sequence[str]) -> tuple[str, ...]:
    """Return what shows the cytoplasm: microtubules and ER, whichever there are, else the protein."""
    return tuple(name for name in ("microtubules", "er") if name in recorded) or ("protein",)


def cytoplasm_signal(picture: Picture) -> Plane:
    """Return what shows the cytoplasm in one plane: the root of each marker scaled to its range, averaged."""
    roots = [_scaled_root(picture.plane(channel)) for channel in cytoplasm_channels(picture.channels)]
    return np.asarray(sum(roots) / np.float32(len(roots)), np.float32)


def _scaled_root(plane: Plane) -> Plane:
    low, high = np.percentile(plane, (1, 99.5))
    if high - low < 1e-3:
        return np.zeros_like(plane)
    return np.asarray(np.sqrt(np.clip((plane - low) / (high - low), 0, 1)), np.float32)


def foreground(signal: Plane, nuclei: Labels, share: float = 0.45, above: float = 0.05) -> NDArray[np.bool_]:
    """Return where cells are: the signal above a threshold between dark gaps and the rims of nuclei.

    The threshold is at most a share of the signal on nuclei, and so much more.
    """
    blurred = cv2.GaussianBlur(signal, (0, 0), 2.0)
    if float(np.ptp(blurred)) < 1e-3:
        return nuclei > 0
    threshold = min(float(threshold_otsu(blurred)), share * float(np.median(blurred[nuclei > 0])) + above)
    inside = blurred > threshold
    # dark holes up to the size of a nucleus are vacuoles and nucleoli; larger ones are gaps between cells
    largest_hole = int(0.5 * median_area(nuclei))
    return np.asarray(remove_small_holes(inside | (nuclei > 0), max_size=largest_hole))
