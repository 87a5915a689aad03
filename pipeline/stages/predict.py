"""The stage `predict`: new pictures and a trained model in, a table of locations out."""

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from models.bundle import Model, load_model
from pipeline.core.errors import PipelineError, Problem
from pipeline.core.files import replacing
from pipeline.core.names import slug
from pipeline.core.stage import (
    Progress,
    Record,
    Stage,
    Summary,
    execute,
    file_inputs,
    option_inputs,
    read_record,
    table_inputs,
)
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import read_features
from pipeline.data.locations import LOCATIONS
from pipeline.data.prediction_tables import read_outputs
from pipeline.data.samples import find_samples, picture_inputs
from pipeline.data.tables import embedding_name, read_embedding
from pipeline.networks.inference import embed_pictures
from pipeline.networks.leak_guard import TableCard
from pipeline.stages.extract import Extract, Extraction, of_other_pictures
from pipeline.stages.options import ExtractOptions, PredictOptions


class PredictSummary(Summary):
    """Rows that were written, and samples that were skipped."""

    rows: int
    problems: list[Problem]


class Predict(Stage[PredictOptions, PredictSummary]):
    """Measure new pictures as the training pictures were, and name their locations."""

    name = "predict"
    options = PredictOptions
    summary = PredictSummary

    def inputs(self, options: PredictOptions) -> dict[str, str]:
        """Return fingerprints of the model, the pictures, the given tables and where the output lies."""
        extraction = _extract_options(options, read_card(options.model))
        return {
            **file_inputs({"model": options.model / "manifest.json"}),
            **(_pictures(options) if extraction is None else Extract().inputs(extraction)),
            **table_inputs(options.embeddings, options.outputs),
            **option_inputs(options, "format"),
            # beside the work folder: of two outputs of one name each must find its own record
            "option output": os.path.relpath(options.output, options.work),
        }

    def outputs(self, options: PredictOptions) -> tuple[Path, ...]:
        """Return the table of predictions."""
        return (options.output,)

    def record(self, options: PredictOptions) -> Path:
        """Return one record for each output: several may share a work folder."""
        return Workspace(options.work).record(f"{self.name}-{slug(options.output.name)}")

    def check_replaced(self, options: PredictOptions, record: Record | None, now: Mapping[str, str]) -> None:
        """Refuse a work folder of other pictures, unless they were predicted too."""
        extraction, work = _extract_options(options, read_card(options.model)), Workspace(options.work)
        extracted = read_record(work.record("extract"))
        if extraction is None or extracted is None:
            return
        Extract().check_replaced(extraction, extracted, now)
        predicted = record is not None or any(work.record("").parent.glob("predict-*.json"))
        if not predicted and of_other_pictures(extraction.images, extracted, now):
            raise PipelineError(
                f"{work.root}: holds the features of {extracted.options['images']}, which would be replaced; "
                "give another --work"
            )

    def run(self, options: PredictOptions, progress: Progress) -> PredictSummary:
        """Measure what is new, embed, and write the predictions.

        Raises
        ------
        PipelineError
            If the model is damaged, or was trained on other columns than this program computes.
        """
        model = open_model(options.model)
        extraction = _extract_options(options, model.card)
        problems = [] if extraction is None else execute(Extract(), extraction, progress).problems
        table = _read_columns(options, model, progress)
        prediction = model.predict(table)
        with replacing(options.output) as temporary:
            if options.format == "kaggle":
                _write_kaggle(temporary, prediction.probability, prediction.chosen)
            else:
                _write_csv(temporary, prediction.probability, prediction.chosen)
        return PredictSummary(rows=len(table), problems=problems)


def open_model(folder: Path) -> Model:
    """Load a trained model.

    Raises
    ------
    PipelineError
        If the folder is missing or damaged.
    """
    _check(folder)
    try:
        return load_model(folder)
    except ValueError as error:
        raise PipelineError(str(error)) from error


def read_card(folder: Path) -> Mapping[str, Any]:
    """Read what a model was trained on, without loading it.

    Raises
    ------
    PipelineError
        If there is no model, or its card is damaged.
    """
    _check(folder)
    path = folder / "card.json"
    try:
        card: Mapping[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise PipelineError(f"{path}: {error}; copy the model again, or train it again") from error
    return card


def _check(folder: Path) -> None:
    if not (folder / "manifest.json").is_file():
        inside = folder / "model"
        meant = f"; did you mean {inside}?" if inside.is_dir() else ""
        raise PipelineError(
            f"{folder}: no model there; run train, or give the folder it wrote as --model{meant}"
        )


def _extract_options(options: PredictOptions, card: Mapping[str, Any]) -> ExtractOptions | None:
    """Repeat what was done to the training pictures; None for a model of tables alone."""
    if card.get("extraction") is None:
        return None
    if options.images is None:
        raise PipelineError(f"{options.model}: was trained on pictures; give the new ones as --images")
    trained = Extraction.model_validate(card["extraction"])
    trained.check_families()
    trained.repeat_segmenter(options.segmenter_options)
    asked = trained.options | options.segmenter_options
    return ExtractOptions.model_validate(
        {
            "images": options.images,
            "samples": options.samples,
            "work": options.work,
            "segmenter": trained.segmenter,
            "families": tuple(trained.families),
            "jobs": options.jobs,
            **asked,
        }
    )


def _pictures(options: PredictOptions) -> dict[str, str]:
    """Return the fingerprint of pictures that are embedded but not measured, if there are any."""
    if options.images is None:
        return {}
    return picture_inputs(*find_samples(options.images, options.samples), Workspace(options.work))


def _read_columns(options: PredictOptions, model: Model, progress: Progress) -> pd.DataFrame:
    """Bring together the model's columns, handcrafted and embedded, one row per picture.

    Raises
    ------
    PipelineError
        If a column is missing, or a picture is in no embedding table; the message says which.
    """
    computed = _embedded(options, model, progress)
    given = {path: read_embedding(path) for path in options.embeddings}
    outputs = [read_outputs(options.outputs)] if options.outputs else []
    if model.card["extraction"] is not None:
        table = read_features(Workspace(options.work))
    else:
        ids = {sample for one in (*computed, *given.values(), *outputs) for sample in one.index}
        table = pd.DataFrame(index=pd.Index(sorted(ids), name="Id"))
    for path, embedding in given.items():
        absent = table.index.difference(embedding.index)
        if len(absent):
            raise PipelineError(
                f"{path}: no row for {len(absent)} pictures, the first is {absent[0]}; add them"
            )
    for one in (*computed, *given.values(), *outputs):
        table = table.join(one)
    missing = [column for column in model.columns if column not in table.columns]
    if missing:
        shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        raise PipelineError(
            f"{options.model}: {len(missing)} of its {len(model.columns)} columns are not here ({shown}); "
            "give the tables it was trained with as --embeddings or --outputs, or train again"
        )
    return table[model.columns]


def _embedded(options: PredictOptions, model: Model, progress: Progress) -> list[pd.DataFrame]:
    """Make the embeddings that the model was trained with, except those that are given."""
    given = {embedding_name(path) for path in options.embeddings}
    cards = [
        TableCard.model_validate(card)
        for block, card in model.card.get("embeddings", {}).items()
        if card is not None and block not in given
    ]
    embedders = {card.name: card.embedder for card in cards if card.embedder is not None}
    absent = sorted(options.weights.keys() - embedders.keys())
    if absent:
        known = ", ".join(embedders) or "none"
        raise PipelineError(f"the model has no embedding '{absent[0]}' to give weights for; it has: {known}")
    if not embedders:
        return []
    if options.images is None:
        raise PipelineError(f"{options.model}: embeds pictures by '{next(iter(embedders))}'; give --images")
    samples, _ = find_samples(options.images, options.samples)
    work, jobs, tables = Workspace(options.work), options.jobs, []
    for name, embedder in embedders.items():
        here = embedder.model_copy(update={"weights": options.weights.get(name, embedder.weights)})
        tables.append(embed_pictures(here, samples, work, jobs, progress)[0])
    return tables


def _names(chosen: pd.DataFrame) -> list[list[str]]:
    return [[name for name, yes in zip(chosen.columns, row, strict=True) if yes] for row in chosen.to_numpy()]


def _write_csv(path: Path, probability: pd.DataFrame, chosen: pd.DataFrame) -> None:
    """Write Id, the chosen locations by name, and the probability of every location."""
    table = probability.round(6)
    table.insert(0, "locations", ["; ".join(names) for names in _names(chosen)])
    table.to_csv(path, index_label="Id", lineterminator="\n")


def _write_kaggle(path: Path, probability: pd.DataFrame, chosen: pd.DataFrame) -> None:
    """Write what the competition accepts: Id and class indices separated by spaces.

    It has no "not sure": where nothing is chosen, the most probable location is written.
    """
    most_probable = probability.idxmax(axis=1)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["Id", "Predicted"])
        for sample, names in zip(chosen.index, _names(chosen), strict=True):
            indices = sorted(LOCATIONS.index(name) for name in names or [str(most_probable[sample])])
            writer.writerow([sample, " ".join(map(str, indices))])
