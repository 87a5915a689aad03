"""Experts as the baseline model: score annotators like a model, and a model against them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from models.annotators import agreement, compared, majority_vote, pooled
from models.metrics import count, interval_of_difference
from models.stack_model import STACK
from pipeline.core.errors import PipelineError, Problem
from pipeline.core.names import counted
from pipeline.core.workspace import Workspace, untrained
from pipeline.data.labels import read_annotations, read_labels
from pipeline.data.locations import LocationList, of_card, open_lists
from pipeline.data.tables import Note
from pipeline.stages.comparisons import Score
from pipeline.stages.evaluate import read_predictions
from pipeline.stages.options import BaselineOptions
from pipeline.stages.trained_models import read_card

MAJORITY, POOLED = "majority vote", "pooled"


@dataclass(frozen=True)
class Comparison:
    """A trained model and the majority vote on the same pictures and locations."""

    pictures: int
    locations: int
    difference: Score


@dataclass(frozen=True)
class Baseline:
    """What `baseline` found.

    Attributes
    ----------
    annotators : DataFrame
        One row per annotator, then majority vote and all pooled: ``pictures, macro_f1`` (undefined
        skipped), ``over`` (locations that macro_f1 is over), ``macro_f1_all`` (all locations, undefined
        0), ``micro_f1, exact`` (share of pictures with exactly the labels).
    locations : DataFrame
        Per location: ``f1`` of the pooled answers, ``alpha_labels`` (Krippendorff's alpha between majority
        vote and labels), ``alpha_annotators`` (among annotators; NaN for one).
    comparison : Comparison or None
    said : list of str
        How the tables were read, and how many of the answered pictures have labels.
    problems : list of Problem
        Answers that could not be used.
    """

    annotators: pd.DataFrame
    locations: pd.DataFrame
    comparison: Comparison | None
    said: list[str]
    problems: list[Problem]


def baseline(options: BaselineOptions) -> Baseline:
    """Score annotators against the labels; refuse tables of which no answered picture has a label."""
    said: list[str] = []
    lists = _lists(options)
    truth = read_labels(options.labels, *lists, said.append).targets
    annotations, problems = read_annotations(options.answers, truth.index, said.append, *lists)
    vote = majority_vote(annotations)
    everything = pooled(annotations)
    named = {**annotations, MAJORITY: vote, POOLED: everything} if len(annotations) > 1 else annotations
    scores = pd.DataFrame({name: _scores(truth, answers) for name, answers in named.items()}).T
    f1 = count(truth.loc[everything.index].to_numpy(), everything.to_numpy()).f1(undefined=np.nan)
    locations = pd.DataFrame({"f1": f1}, index=pd.Index(truth.columns, name="location"))
    locations["alpha_labels"] = agreement({"labels": truth.loc[vote.index], "vote": vote})
    locations["alpha_annotators"] = agreement(annotations)
    comparison = None if options.work is None else _compare(options, truth, vote, said.append)
    return Baseline(scores, locations, comparison, said, problems)


def _lists(options: BaselineOptions) -> tuple[LocationList, LocationList | None]:
    """Return what is told apart, which is what the model was trained with, and what labels are written in."""
    locations, written = open_lists(options)
    if options.work is None:
        return locations, written
    work = Workspace(options.work, options.name)
    if not work.model.is_dir():
        raise untrained(work)
    model = work.model
    known = of_card(read_card(model))
    if "locations" in options.model_fields_set and known.names != locations.names:
        raise PipelineError(
            f"{model}: tells apart {known.name}, not {locations.name}; leave out --locations, or --work"
        )
    return known, written


def _scores(truth: pd.DataFrame, answers: pd.DataFrame) -> dict[str, float]:
    known, given = truth.loc[answers.index].to_numpy(), answers.to_numpy()
    counts = count(known, given)
    return {
        "pictures": len(given),
        "macro_f1": float(counts.macro_f1(skip_undefined=True)),
        "over": int((~np.isnan(counts.f1(undefined=np.nan))).sum()),
        "macro_f1_all": float(counts.macro_f1()),
        "micro_f1": float(counts.micro_f1()),
        "exact": float((known == given).all(axis=1).mean()),
    }


def _compare(options: BaselineOptions, truth: pd.DataFrame, vote: pd.DataFrame, note: Note) -> Comparison:
    """Compare the model with the majority vote by the given labels; say where it was trained on others."""
    work = Workspace(options.work or Path(), options.name)
    if not work.out_of_fold.is_file():
        raise untrained(work)
    stack = read_predictions(work)[STACK]
    ids = stack.truth.index.intersection(vote.index)
    if ids.empty:
        raise PipelineError(f"{work.root}: its model was trained on none of the answered pictures")
    names = list(stack.truth.columns)
    known, ours = truth.loc[ids, names], stack.chosen.loc[ids]
    others = int((known.to_numpy(bool) != stack.truth.loc[ids].to_numpy(bool)).any(axis=1).sum())
    if others:
        note(
            f"Warning: {others:,} of {counted(len(ids), 'picture')} have other labels in "
            f"{options.labels.name} than in the training; model and annotators are compared by these"
        )
    asked = {"draws": options.draws, "seed": options.seed}
    value, drawn = compared(known, ours, vote.loc[ids, names], stack.units.loc[ids], **asked)
    return Comparison(len(ids), len(names), Score(value, *interval_of_difference(drawn, value)))
