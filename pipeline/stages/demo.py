"""The main job on simulated pictures, so that it runs anywhere, offline."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.stage import Progress, execute
from pipeline.core.weights import SHIPPED
from pipeline.core.workspace import Workspace
from pipeline.stages.embed import BUILTIN, Embed
from pipeline.stages.evaluate import Evaluate, Scores
from pipeline.stages.explain_options import ImportancesOptions
from pipeline.stages.extract import Extract
from pipeline.stages.figures import heat_map, save
from pipeline.stages.importances import Importances, grouped, read_shares
from pipeline.stages.options import (
    DemoOptions,
    EmbedOptions,
    EvaluateOptions,
    ExtractOptions,
    PredictOptions,
    SimulateOptions,
    TrainOptions,
)
from pipeline.stages.predict import Predict
from pipeline.stages.shipped_model import PredictShipped
from pipeline.stages.simulate import Simulate
from pipeline.stages.train import Train, TrainSummary

FOLDS = 3
TRIALS = 2
NEW_PICTURES = 8


@dataclass(frozen=True)
class DemoSummary:
    """Where everything lies, by what it is, in the order in which it was made, and how good the model is."""

    files: dict[str, Path]
    trained: TrainSummary
    scores: Scores


def demo(options: DemoOptions, progress: Progress) -> DemoSummary:
    """Simulate pictures, measure and embed them, train, score, explain, and predict pictures never seen.

    What is there already and up to date is not made again. The new pictures are of other proteins, from the
    next seed.
    """
    folder, seed = options.folder, options.seed
    known, new, work = folder / "data", folder / "new", Workspace(folder / "work")
    predictions, plot = folder / "predictions.csv", folder / "importances.png"
    unlabelled = folder / "predictions-without-labels.csv"
    progress.note(f"1/5 Simulating {options.pictures} pictures to train on and {NEW_PICTURES} to predict")
    execute(Simulate(), SimulateOptions(out=known, pictures=options.pictures, seed=seed), progress)
    execute(Simulate(), SimulateOptions(out=new, pictures=NEW_PICTURES, seed=seed + 1), progress)
    progress.note("2/5 Extracting: cells and nuclei, then features; embedding by the shipped network")
    shown = {"images": known / "images", "samples": known / "samples.csv", "work": work.root}
    execute(Extract(), ExtractOptions.model_validate(shown), progress)
    execute(Embed(), EmbedOptions.model_validate(shown | {"network": BUILTIN}), progress)
    embedding = work.embedding(BUILTIN)
    progress.note("3/5 Training: base learners per location, stacked, all scores out of fold")
    trained = execute(Train(), _training(known, work, embedding), progress)
    scores = execute(Evaluate(), EvaluateOptions(work=work.root, ablation=True), progress)
    progress.note("4/5 Explaining: shares of the features in the log-odds")
    execute(Importances(), ImportancesOptions(work=work.root, embeddings=(embedding,)), progress)
    save(heat_map(grouped(read_shares(work), "family")), plot)
    progress.note("5/5 Predicting the new pictures")
    asked = _prediction(new, work, predictions)
    execute(Predict(), asked, progress)
    alone = {"model": SHIPPED, "output": unlabelled, "work": folder / "unlabelled-work"}
    execute(PredictShipped(), asked.model_copy(update=alone), progress)
    files = {
        "pictures, labels, true outlines": known,
        "masks of cells and nuclei": work.masks,
        "features of cells": work.cells,
        "features of pictures": work.features,
        "embeddings of pictures": embedding,
        "trained model": work.model,
        "scores": work.metrics,
        "what decides every location": plot,
        "predictions of the new pictures": predictions,
        "the same by the shipped network alone": unlabelled,
    }
    return DemoSummary(files, trained, scores)


def _training(known: Path, work: Workspace, embedding: Path) -> TrainOptions:
    given = {"work": work.root, "labels": known / "labels.csv", "embeddings": (embedding,)}
    return TrainOptions.model_validate(given | {"folds": FOLDS, "trials": TRIALS, "cells": True})


def _prediction(new: Path, work: Workspace, output: Path) -> PredictOptions:
    return PredictOptions(
        images=new / "images",
        samples=new / "samples.csv",
        model=work.model,
        output=output,
        work=output.with_name("new-work"),
    )
