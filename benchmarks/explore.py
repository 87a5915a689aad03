"""How fast the pages of `explore` answer with as many pictures as Kaggle's, and what its queue finds.

    python benchmarks/explore.py pages --like demo/work --pictures 31072

The work folder is made up: tables of so many pictures with 28 locations, an embedding of 1,024 columns and
20 cells per picture; pictures and label images are hard links to those of a small one, so that listing and
drawing them costs what it does. `explore` runs in a process of its own and is asked over HTTP, every page
with other questions each time; times are from request to the last byte. Reasons are not asked for: they
depend on the model, not on the number of pictures.

    python benchmarks/explore.py queue --like demo/work --labels demo/data/labels.csv

gives one location of every picture of some groups to another one, trains on the tables of embeddings, and
counts how many of the wrong groups are among the first that the queue shows; several times with other
groups. Needs the project's folder as current directory, and an idle machine.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import psutil
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from models.stack_model import STACK
from pipeline.core.files import as_arrow, write_blocks, write_table
from pipeline.core.stage import SilentProgress, execute, read_made, read_record
from pipeline.core.workspace import Workspace
from pipeline.data.labels import read_labels
from pipeline.data.locations import KAGGLE2018
from pipeline.explorer.starting import opened
from pipeline.stages.explore_options import ExploreOptions
from pipeline.stages.options import TrainOptions
from pipeline.stages.train import Train

CELLS, COLUMNS, BLOCK = 20, 1024, 1024
MEASURED = ("cell__morphology__area", "nucleus__morphology__area", "cell__intensity__mean__protein")


def made_up(like: Workspace, root: Path, pictures: int) -> Workspace:
    """Make a work folder of many pictures, those of a small one again and again."""
    rng, work = np.random.default_rng(0), Workspace(root / "work")
    known = sorted(path.stem for path in like.masks.glob("*.tif"))
    record = read_record(like.record("extract"))
    assert record is not None
    images = Path(str(record.options["images"]))
    ids = [f"picture_{number:06}" for number in range(pictures)]
    (root / "images").mkdir()
    work.masks.mkdir(parents=True)
    for number, name in enumerate(ids):
        own = known[number % len(known)]
        os.link(like.mask(own), work.mask(name))
        for path in images.glob(f"{own}_*.png"):
            os.link(path, root / "images" / path.name.replace(own, name))
    groups = [f"protein_{number // 3:05}" for number in range(pictures)]
    plates = [f"plate_{number % 40}" for number in range(pictures)]
    about = {"group": groups, "Metadata_Plate": plates, "cells": CELLS, "height": 512, "width": 512}
    write_table(work.samples, pd.DataFrame({"Id": ids, "pixel_size_um": 0.32, **about}))
    flags = np.where(rng.random(pictures) < 0.1, "saturated (protein)", "")
    write_table(work.quality, pd.DataFrame({"Id": ids, "flags": flags}))
    values = rng.normal(size=(pictures, COLUMNS)).astype(np.float32)
    embedded = pd.DataFrame(values, columns=[f"cnn__made__e{column:04}" for column in range(COLUMNS)])
    embedded.insert(0, "Id", ids)
    write_table(work.embedding("made"), embedded)
    write_blocks(
        work.cells, (as_arrow(_cells(rng, ids[at : at + BLOCK])) for at in range(0, pictures, BLOCK))
    )
    _answers(rng, work, root / "labels.csv", ids, groups)
    options = record.options | {"images": str(root / "images"), "samples": None, "work": str(work.root)}
    work.record("extract").parent.mkdir()
    kept = record.model_copy(update={"options": options, "outputs": {}})
    work.record("extract").write_text(kept.model_dump_json())
    return work


def _cells(rng: np.random.Generator, ids: list[str]) -> pd.DataFrame:
    table = pd.DataFrame({"Id": np.repeat(ids, CELLS), "label": np.tile(np.arange(1, CELLS + 1), len(ids))})
    table["touches_border"] = False
    for name in MEASURED:
        table[name] = rng.random(len(table), dtype=np.float32)
    return table


def _answers(
    rng: np.random.Generator, work: Workspace, labels: Path, ids: list[str], groups: list[str]
) -> None:
    names = np.array(KAGGLE2018.names)
    truth = rng.random((len(ids), len(names))) < 0.06
    probability = np.where(rng.random(truth.shape) < 0.02, ~truth, truth) * 0.9 + 0.05
    probability *= rng.random(truth.shape)
    table = {
        "Id": np.repeat(ids, len(names)),
        "group": np.repeat(groups, len(names)),
        "fold": np.int16(0),
        "model": pd.Categorical([STACK] * truth.size),
        "location": pd.Categorical(np.tile(names, len(ids)), categories=list(names)),
        "truth": truth.ravel(),
        "probability": probability.ravel(),
        "chosen": (probability > 0.4).ravel(),
    }
    write_table(work.out_of_fold, pd.DataFrame(table))
    targets = ["|".join(names[row]) for row in truth]
    pd.DataFrame({"Id": ids, "Target": targets}).to_csv(labels, index=False)


def questions(rng: np.random.Generator, pictures: int) -> dict[str, Callable[[], str]]:
    """Return pages by what they are, each with a question that differs every time."""
    names = [name.replace(" ", "+").replace("&", "%26") for name in KAGGLE2018.names]

    def some(words: list[str]) -> str:
        return words[rng.integers(len(words))]

    def one() -> str:
        return f"picture_{rng.integers(pictures):06}"

    def box() -> str:
        x, y = rng.integers(0, 800, 2)
        return f"/?lasso={x},{y},{x + 200},{y},{x + 200},{y + 200},{x},{y + 200}&order=disagreement"

    return {
        "the queue, any page": lambda: f"/?page={rng.integers(1, pictures // 48)}",
        "one location, missed, by probability": lambda: (
            f"/?location={some(names)}&show=missed&order=probability"
        ),
        "one plate, flagged, by disagreement": lambda: (
            f"/?plate=plate_{rng.integers(40)}&quality=flagged&order=disagreement"
        ),
        "a part of the Id": lambda: f"/?text={rng.integers(1000):03}",
        "a lasso": box,
        "one picture": lambda: f"/picture/{one()}?order=disagreement",
        "its cells": lambda: f"/picture/{one()}/cells",
        "the map": lambda: f"/map?location={some(names)}",
        "the points of the map": lambda: f"/map.json?location={some(names)}",
        "a small picture, first time": lambda: (
            f"/image/{one()}.webp?side=256&channels=microtubules.protein.nucleus&outlines=1"
        ),
    }


def seconds(address: str, form: bytes | None = None) -> float:
    """Return how long an answer takes."""
    origin = re.match(r"http://[^/]+", address)
    assert origin
    asked = urllib.request.Request(address, form, {"Origin": origin[0]})  # noqa: S310 - of this machine
    start = time.perf_counter()
    with urllib.request.urlopen(asked) as answer:  # noqa: S310 - the same
        answer.read()
    return time.perf_counter() - start


def measured(base: str, pictures: int, repeats: int) -> dict[str, list[float]]:
    """Ask for every page several times; labels are saved last."""
    rng = np.random.default_rng(1)
    found = {
        what: [seconds(base + page()) for _ in range(repeats)]
        for what, page in questions(rng, pictures).items()
    }
    again = f"/image/picture_{0:06}.webp?side=256&channels=protein&outlines=1"
    seconds(base + again)
    found["a small picture, again"] = [seconds(base + again) for _ in range(repeats)]
    found["saving a label and the next picture"] = [
        seconds(f"{base}/picture/picture_{rng.integers(pictures):06}/labels", b"location=Cytosol")
        for _ in range(repeats)
    ]
    return found


app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def pages(
    like: Annotated[Path, typer.Option(help="Work folder whose pictures are shown again and again.")],
    pictures: int = 31_072,
    repeats: int = 20,
    output: Path | None = None,
) -> None:
    """Print medians and the slowest of each page, in milliseconds."""
    root = Path(tempfile.mkdtemp(prefix="explore-", dir=like.resolve().parent))
    try:
        work = made_up(Workspace(like.resolve()), root, pictures)
        words = [sys.executable, "run.py", "explore", "--work", str(work.root), "--port", "0"]
        start = time.perf_counter()
        process = subprocess.Popen(
            [*words, "--labels", str(root / "labels.csv")], stdout=subprocess.PIPE, text=True, bufsize=1
        )
        try:
            assert process.stdout is not None
            said = next(line for line in process.stdout if "until Ctrl-C" in line)
            ready = time.perf_counter() - start
            base = said.split(" at ")[1].split("/ ")[0]
            found = measured(base, pictures, repeats)
            memory = psutil.Process(process.pid).memory_info().rss / 2**20
        finally:
            process.terminate()
            process.wait(30)
    finally:
        shutil.rmtree(root)
    print(f"{pictures:,} pictures: ready in {ready:.1f} s, {memory:,.0f} MB of memory")
    for what, times in found.items():
        print(f"{what:<42} {1000 * statistics.median(times):6.0f} ms, slowest {1000 * max(times):6.0f} ms")
    if output is not None:
        output.write_text(json.dumps({"ready": ready, "memory": memory, "seconds": found}, indent=1))


def mislabelled(rng: np.random.Generator, targets: pd.DataFrame, groups: pd.Series, wrong: int) -> set[str]:
    """Exchange one location of some groups, in place; return these groups."""
    some = {str(one) for one in rng.choice(sorted(set(groups)), wrong, replace=False)}
    common = targets.columns[targets.sum() >= 5]
    for group in sorted(some):
        rows = groups.index[groups == group]
        has = targets.columns[targets.loc[rows].any()]
        lacks = common.difference(has)
        targets.loc[rows, [rng.choice(has), rng.choice(lacks)]] = [False, True]
    return some


@app.command()
def queue(
    like: Annotated[Path, typer.Option(help="Work folder with groups and embeddings.")],
    labels: Annotated[Path, typer.Option(help="Its labels, taken to be right.")],
    wrong: Annotated[int, typer.Option(help="Groups whose labels are made wrong.")] = 4,
    repeats: Annotated[int, typer.Option(help="Trainings on other wrong labels.")] = 10,
) -> None:
    """Print how many of the wrong groups are among the first groups of the queue, and of a random order."""
    given, rng = Workspace(like.resolve()), np.random.default_rng(0)
    groups = read_made(given.samples).set_index("Id")["group"]
    found = np.zeros((repeats, 3), int)
    for repeat in range(repeats):
        with tempfile.TemporaryDirectory(prefix="explore-") as folder:
            work = Workspace(Path(folder) / "work")
            shutil.copytree(given.embeddings, work.embeddings)
            shutil.copy(given.samples, work.samples)
            targets = read_labels(labels).targets
            made_wrong = mislabelled(rng, targets, groups, wrong)
            cells = ["|".join(targets.columns[row]) for row in targets.to_numpy()]
            pd.DataFrame({"Id": targets.index, "Target": cells}).to_csv(work.root / "labels.csv", index=False)
            tables = tuple(sorted(work.embeddings.glob("*.parquet")))
            asked = {"labels": work.root / "labels.csv", "work": work.root, "embeddings": tables, "trials": 0}
            execute(Train(), TrainOptions(**asked, folds=3, jobs=1, boosters=("linear",)), SilentProgress())
            with opened(ExploreOptions(work=work.root), SilentProgress()) as explorer:
                order = np.argsort(explorer.index.rank)
                shown = list(dict.fromkeys(explorer.index.about["group"].to_numpy()[order]))
            found[repeat] = [len(made_wrong & set(shown[: times * wrong])) for times in (1, 2, 4)]
    number = groups.nunique()
    for times, share in zip((1, 2, 4), found.mean(axis=0) / wrong, strict=True):
        chance = times * wrong / number
        said = f"first {times * wrong} of {number} groups"
        print(f"{said}: {share:.0%} of {wrong} wrong ones, by chance {chance:.0%}")


if __name__ == "__main__":
    app()
