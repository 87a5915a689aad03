"""Handcrafted features, single cells and CNN embeddings: together, and without each, on the same folds.

    python benchmarks/embed_blocks.py composites ../shared/real/duloc --work work/composites
    python benchmarks/embed_blocks.py simulated --work work/simulated28 --pictures 2000

Runs the project's own commands and prints what `evaluate --ablation` does: grouped out-of-fold macro-F1 of
the stack, of each block alone and without each, intervals (95 %, bootstrap over groups) and paired
differences. Nothing is tuned. Killed and run again, it goes on where it was. Needs the project's folder as
current directory.
"""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from scipy.stats import pearsonr, spearmanr

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.stack_model import STACK
from pipeline.core.workspace import Workspace
from pipeline.data.locations import LOCATIONS

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
Work = Annotated[Path, typer.Option(help="Folder for everything computed; what is there is not repeated.")]


def command(*words: object) -> None:
    """Run a command of the project."""
    subprocess.run([sys.executable, "run.py", *map(str, words)], check=True)


def train(work: Path, labels: Path, embedding: Path, folds: int, jobs: int, *more: object) -> None:
    """Train with default settings."""
    given = ["--labels", labels, "--work", work, "--embeddings", embedding, "--folds", folds, "--jobs", jobs]
    command("train", *given, "--trials", 0, *more)


@app.command()
def simulated(
    work: Work, pictures: int = 2000, seed: int = 28, folds: int = 5, jobs: int = 2, variation: float = 0.0
) -> None:
    """Compare on simulated pictures with all 28 locations: features, single cells and the shipped network.

    Cells are scored, too; --variation is the share of cells that lack the protein, or one of its locations.
    """
    data, space = work / "data", Workspace(work / "work")
    made = ["--pictures", pictures, "--seed", seed, "--locations", "all", "--variation", variation]
    command("simulate", data, *made, "--jobs", jobs)
    table = ["--images", data / "images", "--samples", data / "samples.csv", "--work", space.root]
    command("extract", *table, "--jobs", jobs)
    command("embed", *table, "--network", "builtin", "--jobs", jobs)
    embedding = space.embeddings / "builtin.parquet"
    train(space.root, data / "labels.csv", embedding, folds, jobs, "--cells")
    command("evaluate", "--work", space.root, "--ablation", "--per", "cell", "--truth", data / "cells.csv")


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
    labels = pd.read_csv(folder / "labels.csv", dtype=str).set_index("Id")
    work.mkdir(parents=True, exist_ok=True)
    groups = labels["combination"] + ": " + labels["fractions"] + " of " + labels["Target"]
    groups.rename("group").to_csv(work / "groups.csv")
    source = ["--images", folder / "images", "--work", work, "--segmenter", segmenter]
    command("extract", *source, "--jobs", jobs)
    embedding = folder / "bestfitting_densenet121.npz"
    train(work, folder / "labels.csv", embedding, folds, jobs, "--groups", work / "groups.csv")
    command("evaluate", "--work", work, "--ablation")
    correlations(Workspace(work), true_fractions(labels))


def true_fractions(labels: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each pattern that a picture's combination has, else NaN; pictures x locations."""
    fractions = pd.DataFrame(float("nan"), index=labels.index, columns=LOCATIONS)
    for _, some in labels.groupby("combination"):
        patterns = sorted({int(word) for text in some["Target"] for word in text.split()})
        fractions.loc[some.index, [LOCATIONS[pattern] for pattern in patterns]] = 0.0
    for sample, target, shares in labels[["Target", "fractions"]].itertuples():
        there = [float(share) for share in shares.split() if float(share) > 0]
        for pattern, share in zip(target.split(), there, strict=True):
            fractions.loc[sample, LOCATIONS[int(pattern)]] = share
    return fractions


def correlations(work: Workspace, fractions: pd.DataFrame) -> None:
    """Print how the stack's out-of-fold probability follows the true fraction, location by location."""
    answers = pd.read_parquet(work.out_of_fold).query(f"model == '{STACK}'")
    print(
        "Correlation of the out-of-fold probability with the true fraction, pictures of the location's pairs"
    )
    for location, rows in answers.groupby("location", observed=True):
        true = fractions[str(location)].dropna()
        probability = rows.set_index("Id")["probability"].loc[true.index]
        print(
            f"{location}: Pearson {pearsonr(probability, true).statistic:.2f}, Spearman "
            f"{spearmanr(probability, true).statistic:.2f}, {len(true)} pictures"
        )


if __name__ == "__main__":
    app()
