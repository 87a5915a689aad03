"""The stage `predict`: new pictures and a trained model in, a table of locations out."""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from models.bundle import Model, load_model
from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing
from pipeline.core.progress import Progress
from pipeline.core.workspace import Workspace
from pipeline.data.embedding_tables import embedding_name, read_embedding
from pipeline.data.locations import LOCATIONS
from pipeline.data.prediction_tables import read_outputs
from pipeline.data.samples import find_samples
from pipeline.networks.card import EmbeddingCard
from pipeline.networks.inference import embed_pictures
from pipeline.stages.extract import ExtractOptions, ExtractSummary, extract
from pipeline.stages.extraction import Extraction, SegmenterOption


class PredictOptions(BaseModel):
    """What `predict` is asked to do.

    Attributes
    ----------
    images, samples : Path
        As for `extract`.
    model : Path
        Folder of a trained model.
    output : Path
        The csv file to write.
    work : Path
        Folder for masks and features of the new pictures.
    format : str
        "csv": names and probabilities; "kaggle": ``Id,Predicted`` with class indices.
    embeddings : tuple of Path
        Ready tables the model needs; those of networks are computed, unless given.
    outputs : tuple of Path
        Other networks' answers, where the model stands on some.
    weights : dict of str to Path
        Where the weights of an embedding, by name, lie now, if not where they did in training.
    segmenter_options : dict
        Paths of weights, where they lie elsewhere than they did in training.
    jobs : int, optional
        Number of processes; None for all processors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: Path
    model: Path
    output: Path
    work: Path
    samples: Path | None = None
    format: Literal["csv", "kaggle"] = "csv"
    embeddings: tuple[Path, ...] = ()
    outputs: tuple[Path, ...] = ()
    weights: dict[str, Path] = Field(default_factory=dict)
    segmenter_options: dict[str, SegmenterOption] = Field(default_factory=dict)
    jobs: int | None = None


@dataclass(frozen=True)
class PredictSummary:
    """What `predict` did: rows written, and how the pictures were read."""

    rows: int
    extracted: ExtractSummary


def predict(options: PredictOptions, progress: Progress) -> PredictSummary:
    """Measure new pictures as the training pictures were, and name their locations.

    Raises
    ------
    PipelineError
        If the model is missing, damaged, or was trained on other columns than this program computes.
    """
    model = open_model(options.model)
    extracted = extract(_extract_options(options, model), progress)
    table = _read_columns(options, model, progress)
    prediction = model.predict(table)
    with replacing(options.output) as temporary:
        if options.format == "kaggle":
            _write_kaggle(temporary, prediction.probability, prediction.chosen)
        else:
            _write_csv(temporary, prediction.probability, prediction.chosen)
    return PredictSummary(len(table), extracted)


def parse_weights(texts: Sequence[str]) -> dict[str, Path]:
    """Read ``NAME=FILE``.

    Raises
    ------
    PipelineError
        If a text has no name or no file.
    """
    pairs = [text.partition("=") for text in texts]
    for text, (name, _, file) in zip(texts, pairs, strict=True):
        if not name or not file:
            raise PipelineError(f"--weights {text}: give NAME=FILE, such as densenet=/data/densenet.pth")
    return {name: Path(file) for name, _, file in pairs}


def open_model(folder: Path) -> Model:
    """Load a trained model.

    Raises
    ------
    PipelineError
        If the folder is missing or damaged.
    """
    if not folder.is_dir():
        raise PipelineError(f"{folder}: no model there; run train, or give the folder it wrote as --model")
    try:
        return load_model(folder)
    except ValueError as error:
        raise PipelineError(str(error)) from error


def _extract_options(options: PredictOptions, model: Model) -> ExtractOptions:
    """Repeat what was done to the training pictures."""
    trained = Extraction.model_validate(model.card["extraction"])
    trained.check_families()
    trained.repeat_segmenter(options.segmenter_options)
    return ExtractOptions(
        images=options.images,
        samples=options.samples,
        work=options.work,
        segmenter=trained.segmenter,
        segmenter_options=trained.options | options.segmenter_options,
        families=tuple(trained.families),
        **({} if options.jobs is None else {"jobs": options.jobs}),
    )


def _read_columns(options: PredictOptions, model: Model, progress: Progress) -> pd.DataFrame:
    """Bring together the model's columns, handcrafted and embedded, one row per picture.

    Raises
    ------
    PipelineError
        If a column is missing, or a picture is in no embedding table; the message says which.
    """
    table = pd.read_parquet(Workspace(options.work).features).set_index("Id")
    for embedding in _embedded(options, model, progress):
        table = table.join(embedding)
    for path in options.embeddings:
        embedding = read_embedding(path)
        absent = table.index.difference(embedding.index)
        if len(absent):
            raise PipelineError(
                f"{path}: no row for {len(absent)} pictures, the first is {absent[0]}; add them"
            )
        table = table.join(embedding)
    if options.outputs:
        table = table.join(read_outputs(options.outputs))
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
        EmbeddingCard.model_validate(card)
        for block, card in model.card.get("embeddings", {}).items()
        if card is not None and block not in given
    ]
    embedders = {card.name: card.embedder for card in cards if card.embedder is not None}
    unknown = sorted(options.weights.keys() - embedders.keys())
    if unknown:
        known = ", ".join(embedders) or "none"
        raise PipelineError(f"the model has no embedding '{unknown[0]}' to give weights for; it has: {known}")
    samples, _ = find_samples(options.images, options.samples)
    work, jobs, tables = Workspace(options.work), options.jobs or os.cpu_count() or 1, []
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

    It has no "not sure": where nothing is chosen, the likeliest location is written.
    """
    likeliest = probability.idxmax(axis=1)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["Id", "Predicted"])
        for sample, names in zip(chosen.index, _names(chosen), strict=True):
            indices = sorted(LOCATIONS.index(name) for name in names or [str(likeliest[sample])])
            writer.writerow([sample, " ".join(map(str, indices))])
