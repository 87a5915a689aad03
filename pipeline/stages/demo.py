"""The main job on an embedded default: simulated pictures, so that it runs anywhere, offline."""

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.progress import Progress
from pipeline.core.workspace import Workspace
from pipeline.stages.embed import BUILTIN, EmbedOptions, embed
from pipeline.stages.evaluate import EvaluateOptions, Scores, evaluate
from pipeline.stages.extract import ExtractOptions, extract
from pipeline.stages.importances import ImportancesOptions, importances, of_location
from pipeline.stages.plots import plot_shares
from pipeline.stages.predict import PredictOptions, predict
from pipeline.stages.simulate import simulate
from pipeline.stages.train import TrainSummary, train
from pipeline.stages.train_options import TrainOptions

FOLDS = 3
TRIALS = 2
NEW_PICTURES = 8


@dataclass(frozen=True)
class DemoSummary:
    """Where everything is, and how good the model is.

    Attributes
    ----------
    files : dict of str to Path
        What it is to where it lies, in the order in which it was made.
    trained : TrainSummary
    scores : Scores
    """

    files: dict[str, Path]
    trained: TrainSummary
    scores: Scores


def demo(folder: Path, pictures: int, seed: int, progress: Progress) -> DemoSummary:
    """Simulate pictures, measure and embed them, train, score, explain, and predict pictures never seen.

    Parameters
    ----------
    folder : Path
        Everything goes here; what is there already and up to date is not made again.
    pictures : int
        Simulated pictures to train on.
    seed : int
        The new pictures are of other proteins, from the next seed.
    progress : Progress
    """
    known, new, work = folder / "data", folder / "new", Workspace(folder / "work")
    predictions, plot = folder / "predictions.csv", folder / "importances.png"
    progress.note(f"1/5 Simulating {pictures} pictures to train on and {NEW_PICTURES} to predict")
    jobs = os.cpu_count() or 1
    simulate(known, pictures, seed, jobs=jobs, progress=progress)
    simulate(new, NEW_PICTURES, seed + 1, jobs=jobs, progress=progress)
    progress.note("2/5 Extracting: cells and nuclei, then features; embedding by the shipped network")
    images, samples = known / "images", known / "samples.csv"
    extract(ExtractOptions(images=images, samples=samples, work=work.root), progress)
    embedded = embed(EmbedOptions(images=images, samples=samples, work=work.root, network=BUILTIN), progress)
    progress.note("3/5 Training: boosters per location, stacked, all scores out of fold")
    trained = train(_training(known, work, embedded.path), progress)
    scores = evaluate(EvaluateOptions(work=work.root), progress)
    progress.note("4/5 Explaining: shares of the features in the log-odds")
    shares = importances(ImportancesOptions(work=work.root, embeddings=(embedded.path,)), progress)
    plot_shares(of_location(shares, trained.trained[0], "feature", 15), plot)
    progress.note("5/5 Predicting the new pictures")
    predict(_prediction(new, work, predictions), progress)
    files = {
        "pictures, labels, true outlines": known,
        "masks of cells and nuclei": work.masks,
        "features of cells": work.cells,
        "features of pictures": work.features,
        "embeddings of pictures": embedded.path,
        "trained model": work.model,
        "scores": work.metrics,
        f"importances for {trained.trained[0]}": plot,
        "predictions of the new pictures": predictions,
    }
    return DemoSummary(files, trained, scores)


def _training(known: Path, work: Workspace, embedding: Path) -> TrainOptions:
    return TrainOptions(
        work=work.root, labels=known / "labels.csv", embeddings=(embedding,), folds=FOLDS, trials=TRIALS
    )


def _prediction(new: Path, work: Workspace, output: Path) -> PredictOptions:
    return PredictOptions(
        images=new / "images",
        samples=new / "samples.csv",
        model=work.model,
        output=output,
        work=output.with_name("new-work"),
    )
