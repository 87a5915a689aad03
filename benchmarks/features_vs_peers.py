"""Features against their peers: CPU time per field, on the same simulated fields, in one run and one thread.

Installs nothing. A peer that is missing is named and left out. cp_measure and nyxus ask for an older
pillow than the project pins; without it they do as well:

    pip install --no-deps --target peers cp_measure==0.3.0 centrosome deprecation nyxus==0.11.0
    PYTHONPATH=peers python benchmarks/features_vs_peers.py

Times are CPU seconds of this process: what else runs on the machine counts little. Every tool measures all
four channels of a field before the next field's turn. Our totals are taken again before every peer,
so that a machine that slows down slows down both; a field's figure is their median, ratios are taken field
by field, and the median over fields is shown. Ours measures cells, nuclei and cytoplasm (and rings)
and the field as a whole, the peers measure the cells only.
"""

# ruff: noqa: E402 - the number of threads must be set before numpy is imported
import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_variable] = "1"

import argparse
import platform
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import PEERS, Contender

from features import CHANNELS, family_versions, measure, measure_field
from features.cells import cut
from features.inputs import check_field
from features.registry import REGISTRY
from pipeline.simulation.field import SimulatedPicture, simulate_picture

SHARED = ["morphology", "intensity", "radial", "zernike", "haralick", "granularity", "colocalization"]
"""Our families that hold what cp_measure measures."""

BARS = {"cp_measure": 20.0, "whole catalogue": 0.35}
CELLS = 15


def measured(families: list[str] | None) -> Callable[[SimulatedPicture], object]:
    """Return a measurement of some of our families, or of everything."""

    def run(field: SimulatedPicture) -> None:
        measure(field.picture.pixels, field.cells, field.nuclei, families=families)
        if families is None:
            measure_field(field.picture.pixels)

    return run


LIKE, WIDER, EVERYTHING = "ours: what cp_measure measures", "ours: shared families", "ours: everything"


def totals() -> list[Contender]:
    """Return our quantities that cp_measure also has, the families that hold them, and everything."""
    return [
        Contender(LIKE, counterparts),
        Contender(WIDER, measured(SHARED)),
        Contender(EVERYTHING, measured(None)),
    ]


def ours() -> list[Contender]:
    """Return each of our families alone, with what it shares with others."""
    return [Contender(f"ours: {family} alone", measured([family])) for family in family_versions()]


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


def installed(without: list[str]) -> dict[str, list[Contender]]:
    """Return the contenders by package, ours first; say versions and what is missing."""
    print(f"Python {platform.python_version()}, {platform.machine()}")
    for package in ("numpy", "scipy", "numba"):
        print(f"{package} {version(package)}")
    found = {"ours": ours()}
    for package in sorted(set(PEERS) - set(without)):
        try:
            print(f"{package} {version(package)}")
        except PackageNotFoundError:
            print(f"{package}: not installed, left out")
            continue
        found[package] = PEERS[package]()
    return found


def timed(contender: Contender, field: SimulatedPicture) -> float:
    """Return the CPU seconds of one run."""
    start = time.process_time()
    contender.run(field)
    return time.process_time() - start


def race(fields: list[SimulatedPicture], groups: dict[str, list[Contender]]) -> dict[str, np.ndarray]:
    """Time everybody on every field, shape (fields,) each; our totals anew before every group."""
    everybody = [*totals(), *chain.from_iterable(groups.values())]
    for contender in everybody:
        contender.run(fields[0])  # compiles
    times = {one.name: np.empty(len(fields)) for one in everybody}
    for number, field in enumerate(fields):
        print(f"field {number + 1} of {len(fields)}", end="\r", file=sys.stderr, flush=True)
        again: dict[str, list[float]] = {one.name: [] for one in totals()}
        for group in groups.values():
            for one in totals():
                again[one.name].append(timed(one, field))
            for one in group:
                times[one.name][number] = timed(one, field)
        for name, seconds in again.items():
            times[name][number] = np.median(seconds)
    return times


def main() -> None:
    """Time everybody and compare with the bars."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fields", type=int, default=20, help="number of simulated fields of 512 x 512 px")
    parser.add_argument("--without", nargs="*", default=[], help="peers to leave out, by package name")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # of peers, about cells in which something of theirs is undefined
    groups = installed(arguments.without)
    fields = fields_of(arguments.fields)
    area = np.mean([np.count_nonzero(field.cells) / field.cells.max() for field in fields])
    print(f"{len(fields)} fields of 512 px with {CELLS} cells of {area:.0f} px on average; one thread")
    times = race(fields, groups)
    for name, seconds in times.items():
        print(f"{name:40s} {1000 * np.median(seconds):9.1f} ms per field")
    summary(times)


def summary(times: dict[str, np.ndarray]) -> None:
    """Print totals, ratios and whether the bars are met."""
    whole = np.median(times[EVERYTHING])
    verdict = "met" if whole <= BARS["whole catalogue"] else "missed"
    print(
        f"our whole catalogue: {whole:.3f} s per field (bar: at most {BARS['whole catalogue']} s, {verdict})"
    )
    sets: dict[str, np.ndarray] = {}
    for name, seconds in times.items():
        package = name.split(":")[0]
        if package != "ours":
            sets[package] = sets.get(package, 0.0) + seconds
    for name, seconds in sets.items():
        if name.startswith("cp_measure"):
            ratio, wider = np.median(seconds / times[LIKE]), np.median(seconds / times[WIDER])
            bar = ""
            if name.endswith("numba"):
                verdict = "met" if ratio >= BARS["cp_measure"] else "missed"
                bar = f" (bar: at least {BARS['cp_measure']:.0f}, {verdict})"
            print(f"{name} over ours, the same quantities of cells: {ratio:.1f}{bar}")
            print(f"{name} over ours, our families that hold them, in all regions: {wider:.1f}")
        over = np.median(seconds / times[EVERYTHING])
        verdict = "met" if over > 1 else "missed"
        print(
            f"{name}, its own set: {np.median(seconds):.3f} s per field, {over:.1f} times our whole "
            f"catalogue (bar: more than 1, {verdict})"
        )


if __name__ == "__main__":
    main()
