"""Measure the main job: cells found, memory, time, and scores beside their baselines.

    python benchmarks/main_job.py simulated --work work/simulated      # 300 simulated pictures
    python benchmarks/main_job.py real --images DIR --labels FILE --work work/real

Prints one line per figure, each with its protocol. Needs the project's folder as current directory.
"""

import json
import resource
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import features
from pipeline.commands.console import RichProgress
from pipeline.core.files import write_table
from pipeline.core.stage import execute
from pipeline.core.workspace import Workspace
from pipeline.data.masks import read_mask
from pipeline.data.pictures import read_picture
from pipeline.data.samples import find_samples
from pipeline.stages.evaluate import Evaluate
from pipeline.stages.options import EvaluateOptions, TrainOptions
from pipeline.stages.train import Train

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
Work = Annotated[Path, typer.Option(help="Folder for everything computed; what is there is not repeated.")]


def command(*words: object) -> float:
    """Run a command of the project; return its seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "run.py", *map(str, words)], check=True)
    return time.perf_counter() - start


def report_extraction(work: Workspace, seconds: float) -> None:
    """Print how many pictures got cells, how long it took, and the largest process."""
    samples = pd.read_parquet(work.samples)
    skipped = len(pd.read_csv(work.problems))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(
        f"extract: {len(samples)} pictures in {seconds:.0f} s, {skipped} skipped, "
        f"peak {peak:.2f} GiB per process"
    )
    print(
        f"pictures with 3 or more cells: {np.mean(samples['cells'] >= 3):.1%}; "
        f"median {samples['cells'].median():.0f} cells"
    )


def report_scores(work: Workspace, seconds: float) -> None:
    """Print the scores with their protocol, beside answering always."""
    scores = json.loads(work.metrics.read_text())
    print(f"train: {seconds:.0f} s; {scores['protocol']}")
    for name, score in scores["totals"].items():
        print(f"{name}: {score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f})")
    for name, value in scores["baseline_macro_f1"].items():
        print(f"macro-F1 of {name}: {value:.3f}")
    for location, row in (scores["top_two"] or {}).items():
        print(
            f"two-location model, {location}: F1 {row['f1']:.3f}, of answering always {row['always_f1']:.3f}"
        )


def train_and_report(work: Workspace, labels: Path) -> None:
    """Train with default settings and print what came out."""
    seconds = command("train", "--labels", labels, "--work", work.root)
    command("evaluate", "--work", work.root)
    report_scores(work, seconds)


@app.command()
def real(
    images: Annotated[Path, typer.Option(help="Folder of real pictures.")],
    labels: Annotated[Path, typer.Option(help="Their labels.csv.")],
    work: Work,
) -> None:
    """Measure on real pictures, with default settings."""
    space = Workspace(work)
    report_extraction(space, command("extract", "--images", images, "--work", work))
    train_and_report(space, labels)


@app.command()
def simulated(work: Work, pictures: int = 300, seed: int = 7) -> None:
    """Measure on simulated pictures, with the program's masks and with the true ones."""
    data, found, truth = work / "data", Workspace(work / "found"), Workspace(work / "truth")
    command("simulate", data, "--pictures", pictures, "--seed", seed, "--jobs", 2)
    table = ["--images", data / "images", "--samples", data / "samples.csv"]
    report_extraction(found, command("extract", *table, "--work", found.root))
    print("With the program's masks")
    train_and_report(found, data / "labels.csv")
    print("With the true masks")
    measure_truth(data, truth)
    progress = RichProgress()
    start = time.perf_counter()
    execute(Train(), TrainOptions(work=truth.root, labels=data / "labels.csv"), progress)
    execute(Evaluate(), EvaluateOptions(work=truth.root), progress)
    report_scores(truth, time.perf_counter() - start)


def measure_truth(data: Path, work: Workspace) -> None:
    """Measure the features of pictures inside their true outlines."""
    if work.features.exists():
        return
    samples, _ = find_samples(data / "images", data / "samples.csv")
    rows = []
    with RichProgress().track("Measuring true cells", len(samples)) as advance:
        for sample in samples:
            picture, true = read_picture(sample), read_mask(data / "truth" / f"{sample.id}.tif")
            size = picture.pixel_size_um
            cells = features.measure(picture.pixels, true.cells, true.nuclei, pixel_size_um=size)
            found = features.aggregate(cells, touches_border=features.touches_border(true.cells))
            field = features.measure_field(picture.pixels, pixel_size_um=size)
            rows.append(dict(chain(*(numbers.items() for numbers in (*found.values(), *field.values())))))
            advance(1)
    table = pd.DataFrame(rows)[features.picture_columns()].astype("float32")
    table.insert(0, "Id", [sample.id for sample in samples])
    groups = pd.DataFrame({"Id": table["Id"], "group": [sample.group for sample in samples]})
    write_table(work.samples, groups)
    work.extraction.write_text(json.dumps({"segmenter": "truth"}))
    write_table(work.features, table)


if __name__ == "__main__":
    app()
