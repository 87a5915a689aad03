"""Handcrafted features and CNN embeddings: together, against each alone, in one stack, on the same folds.

    python benchmarks/embed_blocks.py composites ../shared/real/duloc --work work/composites
    python benchmarks/embed_blocks.py simulated --work work/simulated28 --pictures 2000

Prints grouped out-of-fold macro-F1 with intervals (95 %, bootstrap over groups) and paired differences.
Killed and run again, it goes on where it was. Needs the project's folder as current directory.
"""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from scipy.stats import pearsonr, spearmanr
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.crossfit import Block, Level0
from models.heads import Answers, Head, nested_answers
from models.metrics import all_positive_macro_f1, count, interval, resampled_counts
from models.nested import Nested, nested_margins
from models.settings import KINDS
from models.stack import STACK
from models.training import COVERED
from pipeline.console import RichProgress
from pipeline.layout import Workspace
from pipeline.locations import LOCATIONS
from pipeline.training.dataset import FEATURES, Dataset, read_dataset
from pipeline.training.store import FileStore

TOGETHER = "together"
RULE = "f1_shrunk"

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
Work = Annotated[Path, typer.Option(help="Folder for everything computed; what is there is not repeated.")]


def command(*words: object) -> None:
    """Run a command of the project."""
    subprocess.run([sys.executable, "run.py", *map(str, words)], check=True)


def answered(data: Dataset, work: Workspace, jobs: int) -> dict[str, Answers]:
    """Answer every picture out of fold by each block alone and by all together, on the same boosters."""
    targets = data.targets[data.trained].to_numpy()
    blocks = [Block.of(name, table) for name, table in data.blocks.items()]
    total = len(KINDS) * len(blocks) * len(data.trained) * (data.folds * (data.folds + 1) // 2)
    progress = RichProgress()
    with progress.track("Fitting boosters", total) as advance, threadpool_limits(1, user_api="blas"):
        store = FileStore(work.root / "benchmark")
        level0 = Level0(blocks, targets, data.fold, store=store, jobs=jobs, finished=advance)
        nested = nested_margins(level0, trials=0, storage=None, note=progress.note)
        always = bool(targets.any(axis=1).mean() >= COVERED)
        head = Head(STACK, tuple(range(len(data.trained))), always)
        chosen = {block.name: [place] for place, block in enumerate(blocks)}
        chosen[TOGETHER] = list(range(len(blocks)))
        return {name: _stacked(head, nested, some, targets, data.fold) for name, some in chosen.items()}


def _stacked(head: Head, nested: Nested, blocks: list[int], targets: np.ndarray, fold: np.ndarray) -> Answers:
    """Join the boosters of some blocks by level 1."""
    kinds = len(KINDS)
    columns = [block * kinds + kind for block in blocks for kind in range(kinds)]
    inner = [table[:, :, columns] for table in nested.inner]
    return nested_answers(head, inner, nested.outer[:, :, columns], targets, fold, RULE)


def report(data: Dataset, answers: Mapping[str, Answers]) -> None:
    """Print macro-F1 of each stack, and how far the one with everything is ahead."""
    truth = data.targets[data.trained].to_numpy()
    print(
        f"{len(truth)} pictures, {data.groups.nunique()} groups that no fold splits, {data.folds} folds, "
        f"{len(data.trained)} locations; all answers nested out of fold, no tuning, rule {RULE}"
    )
    for name, reason in data.left_out.items():
        if data.targets[name].any():
            print(f"left out: {name}: {reason}")
    draws = {
        name: resampled_counts(truth, given.chosen, data.groups).macro_f1() for name, given in answers.items()
    }
    exact = {name: float(count(truth, given.chosen).macro_f1()) for name, given in answers.items()}
    print(f"macro-F1 of answering every location: {all_positive_macro_f1(truth):.3f}")
    for name, value in exact.items():
        low, high = interval(draws[name])
        width = f", {data.blocks[name].shape[1]} columns" if name in data.blocks else ""
        print(f"macro-F1 {name}{width}: {value:.3f} ({low:.3f} to {high:.3f})")
    for name in data.blocks:
        low, high = interval(draws[TOGETHER] - draws[name])
        print(f"{TOGETHER} minus {name}: {exact[TOGETHER] - exact[name]:+.3f} ({low:+.3f} to {high:+.3f})")
    table = pd.DataFrame({name: count(truth, given.chosen).f1() for name, given in answers.items()})
    table.insert(0, "pictures", truth.sum(axis=0))
    print("F1 per location")
    print(table.set_index(pd.Index(data.trained)).round(3).to_string())


@app.command()
def simulated(work: Work, pictures: int = 2000, seed: int = 28, folds: int = 5, jobs: int = 2) -> None:
    """Compare on simulated pictures with all 28 locations, by the network that comes with the project."""
    source, space = work / "data", Workspace(work / "work")
    table = ["--images", source / "images", "--samples", source / "samples.csv", "--work", space.root]
    command("simulate", source, "--pictures", pictures, "--seed", seed, "--locations", "all", "--jobs", jobs)
    command("extract", *table, "--jobs", jobs)
    command("embed", *table, "--network", "builtin", "--jobs", jobs)
    embedding = space.embeddings / "builtin.parquet"
    data = read_dataset(space, source / "labels.csv", None, (embedding,), folds, 0)
    report(data, answered(data, space, jobs))


@dataclass(frozen=True)
class Mixtures:
    """What is mixed in each composite: rows are pictures."""

    groups: pd.Series
    fractions: pd.DataFrame


def read_mixtures(labels: pd.DataFrame) -> Mixtures:
    """Return each picture's mixture and the true fraction of each pattern its combination has, else NaN."""
    fractions = pd.DataFrame(np.nan, index=labels["Id"], columns=LOCATIONS)
    for _, some in labels.groupby("combination"):
        patterns = sorted({int(word) for text in some["Target"] for word in text.split()})
        fractions.loc[some["Id"], [LOCATIONS[pattern] for pattern in patterns]] = 0.0
    for row in labels.itertuples():
        shares = [float(share) for share in row.fractions.split() if float(share) > 0]
        for pattern, share in zip(row.Target.split(), shares, strict=True):
            fractions.loc[row.Id, LOCATIONS[int(pattern)]] = share
    words = labels["combination"] + ": " + labels["fractions"] + " of " + labels["Target"]
    return Mixtures(pd.Series(words.to_numpy(), index=labels["Id"]), fractions)


@app.command()
def composites(
    folder: Annotated[Path, typer.Argument(help="Composites, labels.csv and bestfitting_densenet121.npz.")],
    work: Work,
    folds: int = 4,
    segmenter: str = "cellpose",
    jobs: int = 2,
) -> None:
    """Compare on composites of real cells that mix two patterns at known fractions.

    Groups are mixtures (a pair of patterns at one fraction, 20 of them): no fold is asked about a mixture
    that the others have seen. The embedding is the competition winner's, whose training pictures may
    include the cells, which would flatter it.
    """
    labels = pd.read_csv(folder / "labels.csv", dtype=str)
    mixtures = read_mixtures(labels)
    space = Workspace(work)
    work.mkdir(parents=True, exist_ok=True)
    groups = work / "groups.csv"
    mixtures.groups.rename_axis("Id").rename("group").to_csv(groups)
    source = ["--images", folder / "images", "--work", work, "--segmenter", segmenter]
    command("extract", *source, "--jobs", jobs)
    embedding = folder / "bestfitting_densenet121.npz"
    data = read_dataset(space, folder / "labels.csv", groups, (embedding,), folds, 0)
    answers = answered(data, space, jobs)
    report(data, answers)
    print("correlation of the probability with the true fraction, Pearson / Spearman, pictures of its pairs")
    for place, location in enumerate(data.trained):
        true = mixtures.fractions[location].reindex(data.targets.index)
        mixed = true.notna().to_numpy()
        words = [f"{location}, {mixed.sum()} pictures"]
        for name, given in answers.items():
            pair = given.probability[mixed, place], true[mixed]
            words.append(f"{name} {pearsonr(*pair).statistic:.2f} / {spearmanr(*pair).statistic:.2f}")
        print("; ".join(words))
    print(f"handcrafted features are the block '{FEATURES}'")


if __name__ == "__main__":
    app()
