"""Features against their peers: CPU time per field, on the same simulated fields, in one run and one thread.

Installs nothing. A peer that is missing is named and left out; cp_measure, nyxus, mahotas and
scikit-image each need no more than ``pip install`` into an environment of its own:

    python benchmarks/features_vs_peers.py --fields 20

Times are CPU seconds of this process: what else runs on the machine counts little. Every tool
measures all four channels of a field before the next tool does; the figure is the median over fields.
Ours measures cells, nuclei and cytoplasm (and rings), the peers measure the cells only.
"""

# ruff: noqa: E402 - the number of threads must be set before numpy is imported
import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_variable] = "1"

import argparse
import importlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import combinations
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from features import CHANNELS, family_versions, measure, measure_field
from features.cells import cut
from features.inputs import check_field
from features.registry import REGISTRY
from pipeline.simulation.field import SimulatedPicture, simulate_picture

SHARED = ["morphology", "intensity", "radial", "zernike", "haralick", "granularity", "colocalization"]
"""Our families that hold what cp_measure measures."""

BARS = {"cp_measure": 20.0, "whole catalogue": 0.35}
HARALICK_DISTANCES = (1, 2, 4)
CELLS = 15


@dataclass(frozen=True)
class Contender:
    """Something to time on one field."""

    name: str
    run: Callable[[SimulatedPicture], object]


def ours() -> list[Contender]:
    """Our shared families together, everything together, and each family alone."""

    def measured(families: list[str] | None) -> Callable[[SimulatedPicture], object]:
        def run(field: SimulatedPicture) -> None:
            measure(field.picture.pixels, field.cells, field.nuclei, families=families)
            if families is None:
                measure_field(field.picture.pixels)

        return run

    alone = [Contender(f"ours: {family}", measured([family])) for family in family_versions()]
    like = Contender("ours: what cp_measure measures", counterparts)
    return [
        like,
        Contender("ours: shared families", measured(SHARED)),
        Contender("ours: everything", measured(None)),
        *alone,
    ]


COUNTERPARTS = {
    "morphology": {"size_and_shape"},
    "intensity": {"distribution", "placement"},
    "radial": {"outward", "inward"},
    "zernike": {"of_shape", "of_intensity"},
    "haralick": {"haralick"},
    "granularity": {"granularity_spectrum"},
    "colocalization": {"colocalization"},
}
"""Our functions for what cp_measure measures of a cell."""


def counterparts(field: SimulatedPicture) -> None:
    """Measure of the cells, and only of them, what cp_measure measures."""
    checked = check_field(field.picture.pixels, field.cells, field.nuclei, CHANNELS, None)
    functions = [
        one.function for one in REGISTRY if one.function.__name__ in COUNTERPARTS.get(one.family, ())
    ]
    for cell in cut(checked):
        for function in functions:
            function(cell.whole)


def cp_measure() -> list[Contender]:
    """cp_measure's functions with its numba backend, family by family."""
    package = importlib.import_module("cp_measure")
    bulk = importlib.import_module("cp_measure.bulk")
    package.set_accelerator("numba")
    core, pairs = bulk.get_core_measurements(), bulk.get_correlation_measurements()

    def per_channel(name: str) -> Callable[[SimulatedPicture], object]:
        def run(field: SimulatedPicture) -> None:
            labels = field.cells.astype(np.int32)
            scales = [{"scale": step} for step in HARALICK_DISTANCES] if name == "texture" else [{}]
            channels = (
                field.picture.pixels[:1]
                if name in {"sizeshape", "zernike", "feret"}
                else field.picture.pixels
            )
            for plane in channels.astype(np.float64):
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

    return [Contender(f"cp_measure: {name}", per_channel(name)) for name in core] + [
        Contender(f"cp_measure: {name}", per_pair(name)) for name in pairs
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
    """Haralick (three distances), binary patterns and threshold adjacency of mahotas, cell by cell."""
    kinds = importlib.import_module("mahotas").features

    def haralick(crop: np.ndarray) -> None:
        for distance in HARALICK_DISTANCES:
            kinds.haralick(crop, ignore_zeros=True, distance=distance)

    def lbp(crop: np.ndarray) -> None:
        for radius in (1, 2):
            kinds.lbp(crop, radius, 8)

    runs = {"haralick": haralick, "lbp": lbp, "threshold adjacency": kinds.pftas}
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


def scikit_image() -> list[Contender]:
    """scikit-image's table of region properties of shape and intensity."""
    package = importlib.import_module("skimage.measure")
    wanted = (
        *(
            "area",
            "perimeter",
            "axis_major_length",
            "axis_minor_length",
            "eccentricity",
            "solidity",
            "extent",
        ),
        *(
            "feret_diameter_max",
            "moments_hu",
            "euler_number",
            "intensity_mean",
            "intensity_max",
            "intensity_min",
        ),
    )

    def run(field: SimulatedPicture) -> None:
        pixels = np.moveaxis(field.picture.pixels, 0, -1)
        package.regionprops_table(field.cells.astype(np.int32), pixels, properties=wanted)

    return [Contender("scikit-image: regionprops", run)]


PEERS = {"cp_measure": cp_measure, "nyxus": nyxus, "mahotas": mahotas, "scikit-image": scikit_image}


def fields_of(count: int) -> list[SimulatedPicture]:
    """Simulate fields and keep the 15 largest cells of each, numbered from 1."""
    fields = []
    for protein in range(count):
        field = simulate_picture(1, protein)
        largest = np.argsort(np.bincount(field.cells.ravel())[1:])[::-1][:CELLS] + 1
        numbers = np.zeros(int(field.cells.max()) + 1, np.uint16)
        numbers[largest] = np.arange(1, len(largest) + 1)
        fields.append(replace(field, cells=numbers[field.cells], nuclei=numbers[field.nuclei]))
    return fields


def contenders() -> list[Contender]:
    """Return everything that is installed; say versions and what is missing."""
    found = ours()
    for package in ("numpy", "numba"):
        print(f"{package} {version(package)}")
    for package, make in PEERS.items():
        try:
            print(f"{package} {version(package)}")
        except PackageNotFoundError:
            print(f"{package}: not installed, left out")
            continue
        found += make()
    return found


def timed(contender: Contender, field: SimulatedPicture) -> float:
    """Return the CPU seconds of one run."""
    start = time.process_time()
    contender.run(field)
    return time.process_time() - start


def main() -> None:
    """Time everybody and compare with the bars."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fields", type=int, default=20, help="number of simulated fields of 512 x 512 px")
    parser.add_argument("--without", nargs="*", default=[], help="peers to leave out, by package name")
    arguments = parser.parse_args()
    for name in arguments.without:
        PEERS.pop(name)
    everybody = contenders()
    fields = fields_of(arguments.fields)
    area = np.mean([np.count_nonzero(field.cells) / field.cells.max() for field in fields])
    print(f"{len(fields)} fields of 512 px with {CELLS} cells of {area:.0f} px on average")
    for contender in everybody:
        contender.run(fields[0])  # compiles
    times = {one.name: np.empty(len(fields)) for one in everybody}
    for number, field in enumerate(fields):
        for contender in everybody:
            times[contender.name][number] = timed(contender, field)
    for name, seconds in times.items():
        print(f"{name:40s} {1000 * np.median(seconds):9.1f} ms per field")
    summary(times)


def summary(times: dict[str, np.ndarray]) -> None:
    """Print totals, ratios and whether the bars are met."""
    whole = np.median(times["ours: everything"])
    print(f"whole catalogue: {whole:.3f} s per field (bar {BARS['whole catalogue']} s)")
    theirs = [seconds for name, seconds in times.items() if name.startswith("cp_measure")]
    if theirs:
        ratio = np.median(np.sum(theirs, axis=0) / times["ours: what cp_measure measures"])
        wider = np.median(np.sum(theirs, axis=0) / times["ours: shared families"])
        print(f"cp_measure over ours, the same quantities of cells: {ratio:.1f} (bar {BARS['cp_measure']})")
        print(f"cp_measure over ours, our shared families in all regions: {wider:.1f}")
        print(f"cp_measure over ours, our whole catalogue: {np.median(np.sum(theirs, axis=0)) / whole:.1f}")
    if "nyxus: all" in times:
        print(f"nyxus over ours, everything: {np.median(times['nyxus: all']) / whole:.1f}")


if __name__ == "__main__":
    main()
