"""How fast one answer is: by the command, by a fresh process, warm, and by several clients of the service.

Run from the project's folder on an idle machine:
``python benchmarks/serving.py --model WORK/model --images DIR``. All figures are of one run; the ratios are
what is compared. The command runs in a folder of one picture, as does a fresh process that loads the
predictor and answers once. Warm answers are over ``--fields`` pictures (those of the folder again and again),
in memory; the size of the process is looked at after a tenth of them and at the end. Processor time is what
an answer takes where nothing else runs.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pipeline.core.workers import torch_threads
from pipeline.data.pictures import Picture, read_picture
from pipeline.data.samples import Sample, find_samples
from pipeline.serving import Predictor

ROOT = Path(__file__).resolve().parents[1]

LARGE = 20
"""Enlarged fields that are answered."""

FIRST = """
import time; start = time.perf_counter()
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
from pipeline.serving import Predictor
imported = time.perf_counter()
predictor = Predictor.load(sys.argv[2] or None, warm=False)
loaded = time.perf_counter()
predictor.predict_folder(Path(sys.argv[3]))
print(imported - start, loaded - imported, time.perf_counter() - loaded)
"""


def alone(sample: Sample, folder: Path) -> Path:
    """Copy the files of one picture into a folder of their own."""
    made = folder / "alone"
    made.mkdir()
    for path in sample.paths:
        shutil.copy(path, made)
    return made


def by_command(folder: Path, model: Path | None) -> float:
    """Return the seconds of `predict` on one picture."""
    words = [sys.executable, "run.py", "predict", "--images", str(folder), "--jobs", "1"]
    words += ["--output", str(folder.parent / "out.csv"), *(["--model", str(model)] if model else [])]
    start = time.perf_counter()
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - start


def first_answer(folder: Path, model: Path | None) -> list[float]:
    """Return the seconds of import, load and first answer of a fresh process."""
    words = [sys.executable, "-c", FIRST, str(ROOT), str(model or ""), str(folder)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return list(map(float, done.stdout.split()))


def warm(predictor: Predictor, pictures: list[Picture], fields: int) -> dict[str, float]:
    """Return percentiles of seconds, mean seconds of the parts, and the growth of memory."""
    process, seconds, parts, busy = psutil.Process(), [], [], []
    early = process.memory_info().rss
    for number in range(fields):
        start = time.process_time()
        answer = predictor.answer(pictures[number % len(pictures)], str(number))
        busy.append(time.process_time() - start)
        seconds.append(answer.seconds.total)
        parts.append(answer.seconds.model_dump())
        if number == fields // 10:
            early = process.memory_info().rss
    found = statistics.quantiles(seconds, n=100)
    means = {f"mean {part}": statistics.fmean(one[part] for one in parts) for part in parts[0]}
    worked = statistics.median(busy)
    return {
        "p50": found[49],
        "p95": found[94],
        "p50 of processor time": worked,
        **means,
        "memory": process.memory_info().rss / early,
    }


def enlarged(picture: Picture, times: int) -> Picture:
    """Return the same field in pixels so many times as fine, as a camera of more pixels would show it."""
    planes = [
        cv2.resize(plane, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC).clip(0, 1)
        for plane in picture.pixels
    ]
    size = picture.pixel_size_um
    return replace(picture, pixels=np.stack(planes), pixel_size_um=size and size / times)


def together(predictor: Predictor, pictures: list[Picture], clients: int, jobs: int) -> float:
    """Return how many times as many answers several threads get in the time of one."""

    def ask(number: int) -> object:
        return predictor.answer(pictures[number % len(pictures)], "p").locations

    numbers = range(4 * clients)
    start = time.perf_counter()
    one = list(map(ask, numbers))
    single = time.perf_counter() - start
    with ThreadPoolExecutor(jobs) as pool:
        start = time.perf_counter()
        assert list(pool.map(ask, numbers)) == one
        return single / (time.perf_counter() - start)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of a model; the shipped network unless given")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--fields", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--enlarged", type=int, default=1, help="also answer fields so many times as large")
    parser.add_argument("--pixel-size-um", type=float, help="of the pictures, where they state none")
    asked = parser.parse_args()
    samples = find_samples(asked.images)[0][:50]
    with tempfile.TemporaryDirectory() as place:
        folder = alone(samples[0], Path(place))
        command = by_command(folder, asked.model)
        imported, loaded, answered = first_answer(folder, asked.model)
    told: dict[str, float] = {"command": command, "import": imported, "load": loaded, "first": answered}
    predictor = Predictor.load(asked.model)
    size = asked.pixel_size_um
    read = map(read_picture, samples)
    pictures = [one if one.pixel_size_um else replace(one, pixel_size_um=size) for one in read]
    with torch_threads(1):
        told |= warm(predictor, pictures, asked.fields)
        if asked.enlarged > 1:
            large = [enlarged(one, asked.enlarged) for one in pictures[:LARGE]]
            told |= {f"enlarged, {name}": value for name, value in warm(predictor, large, LARGE).items()}
    told["command / p50"] = command / told["p50"]
    told["throughput of several threads over one"] = together(predictor, pictures, asked.clients, asked.jobs)
    print(json.dumps({name: round(value, 3) for name, value in told.items()}, indent=1))


if __name__ == "__main__":
    main()
