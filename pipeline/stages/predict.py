"""The stage `predict`: new pictures and a trained model in, a table of locations out."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from models.bundle import Model
from models.stack_model import Prediction
from pipeline.core.errors import PipelineError, Problem, SampleError, write_problems
from pipeline.core.names import slug
from pipeline.core.stage import (
    Progress,
    Record,
    Stage,
    Summary,
    execute,
    file_inputs,
    option_inputs,
    read_made,
    read_record,
    table_inputs,
)
from pipeline.core.workers import map_chunks, share_out
from pipeline.core.workspace import Workspace
from pipeline.data.flat_fields import even_samples
from pipeline.data.layouts import PLATE
from pipeline.data.locations import of_card
from pipeline.data.pictures import read_picture
from pipeline.data.plates import as_trained, check_samples
from pipeline.data.quality_control import doubt
from pipeline.data.samples import Sample, picture_inputs, samples_of
from pipeline.data.tables import Note, all_ids, embedding_name, match, unmatched
from pipeline.networks.inference import embed_pictures
from pipeline.networks.leak_guard import TableCard, read_given
from pipeline.stages.answered_cells import cell_table, network_of, write_cells
from pipeline.stages.answered_groups import check_groups, groups_of, write_groups
from pipeline.stages.answered_pictures import (
    ANSWERED,
    NO_ANSWER,
    NOT_SURE,
    SKIPPED,
    STATUSES,
    answers_of,
    is_per_cell,
    metadata_of,
    outputs_of,
    with_unlike,
    write_answers,
)
from pipeline.stages.channel_views import told_lacking, told_once
from pipeline.stages.extract import Extract, is_of
from pipeline.stages.heads import NEITHER, answered_by, check_head
from pipeline.stages.options import PredictOptions
from pipeline.stages.reliance import judged, level_in_use, named, why_unnamed
from pipeline.stages.trained_models import (
    columns_of,
    extract_options,
    not_a_card,
    open_model,
    read_as_trained,
    read_card,
    start_columns,
    told_unused,
)

LACKS = ("lacks a channel that the network needs", "add the file")
"""Why a picture that no model's network can embed has no answer, and the remedy."""

_BEGINNINGS = b"Id,locations", b"Id,Predicted", b"Id,label,", b"ID,ImageWidth", b"group,pictures"
"""How tables of predictions begin."""


class PredictSummary(Summary):
    """What became of every picture.

    Attributes
    ----------
    statuses : dict of str to int
        Pictures of each of `STATUSES` that occurs.
    unanswered : dict of str to str
        Pictures that no location could be named for, with the reason.
    problems : list of Problem
        Samples that were skipped.
    """

    statuses: Mapping[str, int]
    unanswered: Mapping[str, str]
    problems: list[Problem]

    @property
    def rows(self) -> int:
        """Number of pictures."""
        return sum(self.statuses.values())


class Predict(Stage[PredictOptions, PredictSummary]):
    """Measure new pictures as the training pictures were, and name their locations."""

    name = "predict"
    options = PredictOptions
    summary = PredictSummary

    def inputs(self, options: PredictOptions) -> dict[str, str]:
        """Return fingerprints of the model, the pictures, the given tables and where the output lies."""
        _check_work(options)
        card = read_card(options.model)
        level_in_use(card, options.risk, options.model)
        options = read_as_trained(options, card)
        extraction = extract_options(options, card)
        if card.get("normalisation") is not None:
            check_samples(card, list(metadata_of(_listed(options)).columns), options.model)
        return {
            **file_inputs({"model": options.model / "manifest.json"}),
            **table_inputs(options.embeddings, options.outputs),
            **({} if options.groups is None else file_inputs({"groups": options.groups})),
            **(_pictures(options) if extraction is None else Extract().inputs(extraction)),
            **option_inputs(options, "format", "risk", "per"),
            **({} if options.head == "stack" else option_inputs(options, "head")),
            # beside the work folder: of two outputs of one name each must find its own record
            "option output": os.path.relpath(options.output, options.work),
        }

    def outputs(self, options: PredictOptions) -> tuple[Path, ...]:
        """Return the table of predictions."""
        return outputs_of(options)

    def check_replaced(
        self,
        options: PredictOptions,
        record: Record | None,
        now: Mapping[str, str],  # noqa: ARG002
    ) -> None:
        """Refuse to write over what is no table of predictions."""
        path = options.output
        if not path.exists() or (record is not None and path.is_file()):
            return
        start = b"a folder"
        if path.is_file():
            with path.open("rb") as stream:
                start = stream.read(max(map(len, _BEGINNINGS)))
        if start and not start.startswith(_BEGINNINGS):
            raise PipelineError(f"{path}: is there, but no table of predictions; give another --output")

    def record(self, options: PredictOptions) -> Path:
        """Return one record for each output: several may share a work folder."""
        return Workspace(options.work).record(f"{self.name}-{slug(options.output.name)}")

    def run(self, options: PredictOptions, progress: Progress) -> PredictSummary:
        """Measure what is new, embed, and write the predictions.

        Raises
        ------
        PipelineError
            If the model is damaged, or was trained on other columns than this program computes.
        """
        model = open_model(options.model)
        check_head(options, model, progress.note)
        if is_per_cell(options):
            network_of(model, options.model)
        for line in told_unused(options, model.card):
            progress.note(line)
        options = read_as_trained(options, model.card)
        samples = _listed(options)
        groups = groups_of(options, samples)
        check_groups(options, model, groups, progress.note)
        given = _read_given(options, model, samples, progress.note)
        if options.groups is not None:
            match(options.groups, groups.index, _pictures_of(samples, given), progress.note)
        extraction = extract_options(options, model.card)
        measured = None if extraction is None else execute(Extract(), extraction, progress)
        problems = measured.problems if measured else []
        table, started, more = _read_columns(options, model, given, progress)
        problems = sorted({*problems, *more})
        write_problems(Workspace(options.work).problems, "predict", more)
        prediction, alone, level = answered_by(options, model, table, started)
        seen = looked_at(options, samples, progress) if measured is None else _counted(options)
        chosen = named(prediction.probability, prediction.chosen, level)
        both = options.head == "two-locations"
        answers = answers_of(samples, chosen, seen, problems, NEITHER if both else why_unnamed(level))
        if both:  # neither is an answer, too
            answers["status"] = answers["status"].replace(NOT_SURE, ANSWERED)
        like = judged(model, table, groups, _batches(samples, table.index))
        for line in like.told:
            progress.note(line)
        answers = with_unlike(answers, like.reasons)
        lacking = told_lacking(model.card, samples)
        for line in told_once(lacking):
            progress.note(line)
        flagged, told = (measured.flagged, measured.told) if measured else ({}, "")
        warned = {sample: f"flagged: {flags}" for sample, flags in flagged.items()}
        answers["reason"] = [
            "; ".join(filter(None, [why, *(one.get(sample, "") for one in (alone, warned, lacking)), told]))
            for sample, why in zip(answers.index.astype(str), answers["reason"], strict=True)
        ]
        write_answers(options, answers, prediction.probability, of_card(model.card).indices)
        if is_per_cell(options):
            answered, work = Prediction(prediction.probability, chosen), Workspace(options.work)
            cells = cell_table(model, options.model, work, answered, answers["status"], progress)
            write_cells(options, cells, model, answers.index, work)
        if options.per == "group":
            write_groups(options, model, prediction.probability, answers["status"], groups)
        return summarised(answers, problems)


def _check_work(options: PredictOptions) -> None:
    """Refuse a work folder of other pictures, unless they were predicted too."""
    work = Workspace(options.work)
    extracted = read_record(work.record("extract"))
    if extracted is None or options.images is None or is_of(options.images, extracted):
        return
    if work.has_model or not any(work.record("").parent.glob("predict-*.json")):
        raise PipelineError(
            f"{work.root}: holds the features of {extracted.options['images']}, which would be replaced; "
            "give another --work"
        )


def _listed(options: PredictOptions) -> list[Sample]:
    """List the pictures, if any are given."""
    return samples_of(options)[0] if options.images else []


def _pictures(options: PredictOptions) -> dict[str, str]:
    """Return the fingerprint of pictures that are embedded but not measured, if there are any."""
    if options.images is None:
        return {}
    return picture_inputs(*samples_of(options), Workspace(options.work))


def _read_given(
    options: PredictOptions, model: Model, samples: Sequence[Sample], note: Note
) -> dict[Path, pd.DataFrame]:
    """Read the tables that are given, before anything is measured, and say which pictures they have."""
    made = [name for name, card in embedding_cards(model).items() if card.embedder is not None]
    tables = read_given(options.model, model, options.embeddings, options.outputs, made)
    for path, table in tables.items():
        match(path, table.index, _pictures_of(samples, tables), note)
    return tables


def _pictures_of(samples: Sequence[Sample], tables: Mapping[Path, pd.DataFrame]) -> pd.Index:
    """Return the ids of the pictures, or those in the tables where there are none."""
    return pd.Index([one.id for one in samples]) if samples else all_ids(tables.values())


def embedding_cards(model: Model) -> dict[str, TableCard]:
    """Return what is known of the model's embeddings, by block."""
    known = model.card.get("embeddings", {})
    try:
        return {name: TableCard.model_validate(card) for name, card in known.items() if card is not None}
    except (ValidationError, AttributeError) as error:
        raise not_a_card(Path("card.json"), error) from error


def _read_columns(
    options: PredictOptions, model: Model, given: Mapping[Path, pd.DataFrame], progress: Progress
) -> tuple[pd.DataFrame, pd.DataFrame, list[Problem]]:
    """Bring together the model's columns, one row per picture that has an embedding; list the others.

    Returned are also the `start_columns`, as the network gave them.

    Raises
    ------
    PipelineError
        If a column is missing.
    """
    computed, problems = _embedded(options, model, progress)
    work = Workspace(options.work)
    table = columns_of(model, options.model, work, [*computed, *given.values()])
    for path in options.embeddings:
        absent = table.index.difference(given[path].index)
        problems += unmatched(absent, path.name, "no embedding", "add its row")
    table = table.drop([one.sample for one in problems], errors="ignore")
    for path in options.outputs:  # what one network lacks, the others may make up for
        absent = table.index.difference(given[path].dropna(how="all").index)
        problems += unmatched(absent, path.name, "no prediction", "add its row; it counts as unknown")
    normal, unplaced = as_trained(table[model.columns], model, work, progress.note, options.model)
    return normal, table.loc[normal.index, start_columns(model.card)], [*problems, *unplaced]


def _embedded(
    options: PredictOptions, model: Model, progress: Progress
) -> tuple[list[pd.DataFrame], list[Problem]]:
    """Make the embeddings that the model was trained with, except those that are given; list who has none."""
    given = {embedding_name(path) for path in options.embeddings}
    cards = [card for block, card in embedding_cards(model).items() if block not in given]
    embedders = {card.name: card.embedder for card in cards if card.embedder is not None}
    absent = sorted(options.weights.keys() - embedders.keys())
    if absent:
        known = ", ".join(embedders) or "none"
        raise PipelineError(f"the model has no embedding '{absent[0]}' to give weights for; it has: {known}")
    if not embedders:
        return [], []
    if options.images is None:
        raise PipelineError(f"{options.model}: embeds pictures by '{next(iter(embedders))}'; give --images")
    work, jobs, tables = Workspace(options.work), options.jobs, []
    samples, problems = even_samples(options, work)
    for name, embedder in embedders.items():
        here = embedder.model_copy(update={"weights": options.weights.get(name, embedder.weights)})
        table, more = embed_pictures(here, samples, work, jobs, progress)
        if table.empty:  # all pictures lack a channel that it needs: nothing is known of its columns
            table = table.reindex(
                columns=list(embedding_cards(model)[name].names) or list(model.stack.blocks[name])
            )
        tables.append(table)
        problems += more
        if model.card["extraction"] is None:
            there = [*table.index, *(one.sample for one in more)]
            left = pd.Index([one.id for one in samples]).difference(there)
            problems += unmatched(left, name, *LACKS)
    return tables, problems


def _counted(options: PredictOptions) -> pd.DataFrame:
    """Return every measured picture's number of cells, and what is wrong with it."""
    return read_made(Workspace(options.work).samples, ["Id", "cells", "doubt"]).set_index("Id")


def looked_at(options: PredictOptions, samples: Sequence[Sample], progress: Progress) -> pd.DataFrame:
    """Look at pictures that are not measured: return what is wrong with each, and no number of cells."""
    found: dict[str, str] = {}
    with progress.track("Looking at pictures", len(samples)) as advance:
        for chunk, doubts in map_chunks(_doubts, share_out(samples, options.jobs), options.jobs):
            found |= doubts
            advance(len(chunk))
    return pd.DataFrame({"cells": pd.NA, "doubt": pd.Series(found, dtype=object)})


def _doubts(samples: Sequence[Sample]) -> dict[str, str]:
    found: dict[str, str] = {}
    for sample in samples:
        with suppress(SampleError):  # is listed by what embeds it
            picture = read_picture(sample)
            found[sample.id] = doubt(picture.pixels, channels=picture.channels)
    return found


def _batches(samples: Sequence[Sample], ids: pd.Index) -> "pd.Series[str]":
    """Return every picture's plate, by Id; drifts are looked for in each, or in all where none is known."""
    known = metadata_of(samples)
    plates = known[PLATE] if PLATE in known else pd.Series(dtype=object)
    return plates.reindex(ids).fillna("these pictures")


def summarised(answers: pd.DataFrame, problems: list[Problem]) -> PredictSummary:
    """Count what became of the pictures."""
    without = answers[answers["status"].isin((NO_ANSWER, SKIPPED))]
    counts = answers["status"].value_counts()
    return PredictSummary(
        statuses={status: int(counts[status]) for status in STATUSES if status in counts},
        unanswered=dict(zip(without.index.astype(str), without["reason"], strict=True)),
        problems=problems,
    )
