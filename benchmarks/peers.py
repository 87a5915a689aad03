"""The peers of `features_vs_peers.py`: what each measures of one field; imported when asked for."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pipeline.simulation.field import SimulatedPicture

HARALICK_DISTANCES = (1, 2, 4)


@dataclass(frozen=True)
class Contender:
    """Something to time on one field."""

    name: str
    run: Callable[[SimulatedPicture], object]


def cp_measure() -> list[Contender]:
    """cp_measure's functions, which follow CellProfiler, family by family: with numba, and as they are."""
    return of_backend("numba") + of_backend(None)


def of_backend(backend: str | None) -> list[Contender]:
    """Return cp_measure's functions with one backend."""
    package = importlib.import_module("cp_measure")
    bulk = importlib.import_module("cp_measure.bulk")
    package.set_accelerator(backend)
    core, pairs = bulk.get_core_measurements(), bulk.get_correlation_measurements()
    prefix = f"cp_measure {backend or 'plain'}"

    def per_channel(name: str) -> Callable[[SimulatedPicture], object]:
        def run(field: SimulatedPicture) -> None:
            labels = field.cells.astype(np.int32)
            scales = [{"scale": step} for step in HARALICK_DISTANCES] if name == "texture" else [{}]
            shape = name in {"sizeshape", "zernike", "feret"}
            for plane in field.picture.pixels[: 1 if shape else None].astype(np.float64):
                for options in scales:
                    core[name](labels, plane, **options)

        return run

    def per_pair(name: str) -> Callable[[SimulatedPicture], object]:
        def run(field: SimulatedPicture) -> None:
            labels = field.cells.astype(np.int32)
            options = {"scale_max": 255} if name == "costes" else {}
            for one, other in combinations(field.picture.pixels.astype(np.float64), 2):
                pairs[name](one, other, labels, **options)

        return run

    return [Contender(f"{prefix}: {name}", per_channel(name)) for name in core] + [
        Contender(f"{prefix}: {name}", per_pair(name)) for name in pairs
    ]


def nyxus() -> list[Contender]:
    """All features of nyxus with 64 grey levels, channel by channel."""
    package = importlib.import_module("nyxus")
    engine = package.Nyxus(["*ALL*"], n_feature_calc_threads=1, coarse_gray_depth=64)

    def run(field: SimulatedPicture) -> None:
        for plane in (field.picture.pixels * 255).astype(np.uint32):
            engine.featurize(plane, field.cells.astype(np.uint32))

    return [Contender("nyxus: all", run)]


def mahotas() -> list[Contender]:
    """Haralick, binary patterns, threshold adjacency and Zernike of mahotas, cell by cell."""
    kinds = importlib.import_module("mahotas").features

    def haralick(crop: np.ndarray) -> None:
        for distance in HARALICK_DISTANCES:
            kinds.haralick(crop, ignore_zeros=True, distance=distance)

    def lbp(crop: np.ndarray) -> None:
        for radius in (1, 2):
            kinds.lbp(crop, radius, 8)

    def zernike(crop: np.ndarray) -> None:
        kinds.zernike_moments(crop, max(crop.shape) / 2, degree=9)

    runs = {"haralick": haralick, "lbp": lbp, "threshold adjacency": kinds.pftas, "zernike": zernike}
    return [Contender(f"mahotas: {name}", of_crops(run)) for name, run in runs.items()]


def of_crops(run: Callable[[np.ndarray], object]) -> Callable[[SimulatedPicture], object]:
    """Apply a function to every cell's crop in every channel, 8 bits, 0 outside the cell."""

    def everywhere(field: SimulatedPicture) -> None:
        levels = (field.picture.pixels * 255).astype(np.uint8)
        for label in range(1, int(field.cells.max()) + 1):
            rows, columns = np.nonzero(field.cells == label)
            box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
            for crop in np.where(field.cells[box] == label, levels[:, *box], 0):
                run(crop)

    return everywhere


PROPERTIES = (
    *("area", "perimeter", "axis_major_length", "axis_minor_length", "eccentricity", "solidity", "extent"),
    *("feret_diameter_max", "moments_hu", "euler_number", "intensity_mean", "intensity_max", "intensity_min"),
)


def scikit_image() -> list[Contender]:
    """scikit-image's region properties, co-occurrence of 32 levels, and binary patterns."""
    regions = importlib.import_module("skimage.measure")
    texture = importlib.import_module("skimage.feature")
    angles = np.arange(4) * np.pi / 4

    def properties(field: SimulatedPicture) -> None:
        pixels = np.moveaxis(field.picture.pixels, 0, -1)
        regions.regionprops_table(field.cells.astype(np.int32), pixels, properties=PROPERTIES)

    def cooccurrence(crop: np.ndarray) -> None:
        matrix = texture.graycomatrix(crop // 8, HARALICK_DISTANCES, angles, 32, symmetric=True, normed=True)
        for name in ("contrast", "dissimilarity", "homogeneity", "ASM", "correlation", "entropy"):
            texture.graycoprops(matrix, name)

    def lbp(crop: np.ndarray) -> None:
        for radius in (1, 2):
            texture.local_binary_pattern(crop, 8, radius, method="uniform")

    return [
        Contender("scikit-image: regionprops", properties),
        Contender("scikit-image: cooccurrence", of_crops(cooccurrence)),
        Contender("scikit-image: lbp", of_crops(lbp)),
    ]


PEERS = {"cp_measure": cp_measure, "nyxus": nyxus, "mahotas": mahotas, "scikit-image": scikit_image}
