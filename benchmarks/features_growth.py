"""Growth of the cost of features with cells and pixels: CPU time per field, one thread.

Fields of textured discs of one size, 5 to 150 of them, in pictures of 512 to 2048 px:

    python benchmarks/features_growth.py

Then 200 simulated pictures go through the process one after the other, and its memory is looked at.

Time is fitted as a sum of a share per cell, per 1000 pixels in cells, and per 1000 pixels of the
field; the slope of log time over log cells (in the largest field) is 1 where growth is linear.
"""

# ruff: noqa: E402 - the number of threads must be set before numpy is imported
import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_variable] = "1"

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, zoom
from scipy.optimize import nnls

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from features import measure, measure_field
from pipeline.simulation.field import simulate_picture

SIDES = (512, 1024, 2048)
COUNTS = (5, 15, 50, 150)
RADIUS = 58
REPEATS = 3


def field(side: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return picture, cells and nuclei; None where so many cells do not fit."""
    pitch = 2 * RADIUS + 4
    places = [(row, column) for row in range(side // pitch) for column in range(side // pitch)]
    if len(places) < count:
        return None
    cells, nuclei = np.zeros((side, side), np.int32), np.zeros((side, side), np.int32)
    down, right = np.indices((pitch, pitch)) - pitch / 2
    away = np.hypot(down, right)
    for number, (row, column) in enumerate(places[:count], 1):
        box = (slice(row * pitch, (row + 1) * pitch), slice(column * pitch, (column + 1) * pitch))
        cells[box][away < RADIUS] = number
        nuclei[box][away < 0.45 * RADIUS] = number
    generator = np.random.default_rng(0)
    planes = [gaussian_filter(generator.normal(size=(512, 512)), 1 + channel % 3) for channel in range(4)]
    tiled = [np.tile(plane / plane.std(), (side // 512, side // 512)) for plane in planes]
    picture = np.clip(80 + 30 * np.array(tiled), 0, 255) * (cells > 0)
    return picture.astype(np.uint8), cells, nuclei


def seconds(given: tuple[np.ndarray, np.ndarray, np.ndarray]) -> float:
    """Return the least CPU time of a few runs of the whole catalogue."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        measure(*given)
        measure_field(given[0])
        times.append(time.process_time() - start)
    return min(times)


def larger(given: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the same cells with twice the pixels in each direction."""
    picture, cells, nuclei = given
    return (
        np.array([zoom(plane, 2, order=1) for plane in picture]),
        *(np.repeat(np.repeat(labels, 2, axis=0), 2, axis=1) for labels in (cells, nuclei)),
    )


def memory(pictures: int) -> None:
    """Print the process' memory while pictures of different cells are measured."""
    fields = [simulate_picture(2, protein) for protein in range(10)]
    for number in range(pictures):
        given = fields[number % len(fields)]
        measure(given.picture.pixels, given.cells, given.nuclei)
        measure_field(given.picture.pixels)
        if number + 1 in {20, pictures // 2, pictures}:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            size = pages * resource.getpagesize() / 2**20
            print(f"after {number + 1:4d} pictures: {size:.0f} MiB resident", flush=True)


def main() -> None:
    """Time all sizes and fit; then look at memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=200, help="pictures for the look at memory")
    arguments = parser.parse_args()
    first = field(512, 5)
    assert first is not None
    measure(*first)
    measure_field(first[0])
    rows, times = [], []
    for side in SIDES:
        for count in COUNTS:
            given = field(side, count)
            if given is None:
                continue
            inside = np.count_nonzero(given[1])
            rows.append([count, inside / 1000, side * side / 1000])
            times.append(seconds(given))
            print(f"{side:5d} px {count:4d} cells {1000 * times[-1]:9.1f} ms", flush=True)
    both = larger(first)
    rows.append([5, np.count_nonzero(both[1]) / 1000, both[1].size / 1000])
    times.append(seconds(both))
    print(f" 1024 px    5 cells of twice the diameter {1000 * times[-1]:9.1f} ms")
    report(np.array(rows), np.array(times))
    memory(arguments.pictures)


def report(rows: np.ndarray, times: np.ndarray) -> None:
    """Print the fit and the slope."""
    shares, _ = nnls(rows / times[:, None], np.ones(len(times)))
    worst = np.abs(rows @ shares / times - 1).max()
    print(
        f"{1000 * shares[0]:.2f} ms per cell + {1000 * shares[1]:.3f} ms per 1000 pixels in cells "
        f"+ {1000 * shares[2]:.3f} ms per 1000 pixels of the field; off by at most {100 * worst:.0f} %"
    )
    largest = rows[:, 2] == rows[:, 2].max()
    fixed = shares[2] * rows[largest, 2]
    slope = np.polyfit(np.log(rows[largest, 0]), np.log(times[largest] - fixed), 1)[0]
    print(f"slope of log time over log cells, without the field's own share: {slope:.2f}")


if __name__ == "__main__":
    main()
