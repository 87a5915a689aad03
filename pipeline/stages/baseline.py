"""Experts as the baseline model: score annotators like a model, and a model against them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.annotators import agreement, compared, majority_vote, pooled
from models.metrics import count, interval
from models.stacking import STACK
from pipeline.core.errors import PipelineError
from pipeline.core.problems import Problem
from pipeline.core.workspace import Workspace
from pipeline.data.labels import parse_target, read_labels, read_table
from pipeline.data.locations import LOCATIONS
from pipeline.stages.evaluate import read_answers
from pipeline.stages.options import BaselineOptions
from pipeline.stages.protocols import Score

MAJORITY, POOLED = "majority vote", "pooled"
_TARGETS = ("Target", "Guess")


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
        skipped), ``over`` (locations that macro_f1 is over), ``macro_f1_all`` (all 28, undefined
        0), ``micro_f1, exact`` (share of pictures with exactly the labels).
    locations : DataFrame
        Per location: ``f1`` of the pooled answers, ``alpha_labels`` (Krippendorff's alpha between majority
        vote and labels), ``alpha_annotators`` (among annotators; NaN for one).
    comparison : Comparison or None
    problems : list of Problem
        Answers that could not be used.
    """

    annotators: pd.DataFrame
    locations: pd.DataFrame
    comparison: Comparison | None
    problems: list[Problem]


def baseline(options: BaselineOptions) -> Baseline:
    """Score annotators against the labels.

    Raises
    ------
    PipelineError
        If a table cannot be used, or no answered picture has a label.
    """
    truth = read_labels(options.labels).targets
    annotations, problems = read_annotations(options.answers, truth.index)
    vote = majority_vote(annotations)
    everything = pooled(annotations)
    named = {**annotations, MAJORITY: vote, POOLED: everything} if len(annotations) > 1 else annotations
    scores = pd.DataFrame({name: _scores(truth, answers) for name, answers in named.items()}).T
    f1 = count(truth.loc[everything.index].to_numpy(), everything.to_numpy()).f1(undefined=np.nan)
    locations = pd.DataFrame({"f1": f1}, index=pd.Index(LOCATIONS, name="location"))
    locations["alpha_labels"] = agreement({"labels": truth.loc[vote.index], "vote": vote})
    locations["alpha_annotators"] = agreement(annotations)
    comparison = None if options.work is None else _compare(options, vote)
    return Baseline(scores, locations, comparison, problems)


def read_annotations(path: Path, known: pd.Index) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    """Read annotators' answers about the `known` pictures.

    Returns
    -------
    dict
        Annotator to a table of bool, pictures x locations.
    list of Problem
        Rows that could not be used.

    Raises
    ------
    PipelineError
        If the table has no column of answers, or no row can be used.
    """
    table = read_table(path, ("Id",))
    column = next((name for name in _TARGETS if name in table.columns), None)
    if column is None:
        raise PipelineError(f"{path}: no column Target or Guess; add the class indices, separated by spaces")
    annotators = table["Annotator"] if "Annotator" in table.columns else pd.Series("experts", table.index)
    rows: dict[str, dict[str, NDArray[np.bool_]]] = {}
    problems = []
    for sample, annotator, text in zip(table["Id"], annotators, table[column], strict=True):
        answers = rows.setdefault(str(annotator), {})
        problem = _problem(path, sample, annotator, text, known, answers)
        if problem is None:
            answers[sample] = np.isin(np.arange(len(LOCATIONS)), list(parse_target(text)))
        else:
            problems.append(problem)
    usable = {name: _table(answers) for name, answers in rows.items() if answers}
    if not usable:
        raise PipelineError(
            f"{path}: no answer about a labelled picture; its ids must be those of the labels"
        )
    return usable, problems


def _problem(
    path: Path, sample: str, annotator: str, text: str, known: pd.Index, answers: Mapping[str, object]
) -> Problem | None:
    if sample not in known:
        return Problem(sample, path.name, "no label", "add it to the labels, or leave it out")
    if sample in answers:
        return Problem(sample, path.name, f"answered twice by {annotator}", "keep one answer")
    try:
        parse_target(text)
    except ValueError as error:
        return Problem(sample, path.name, str(error), "write class indices 0-27 separated by spaces")
    return None


def _table(answers: Mapping[str, NDArray[np.bool_]]) -> pd.DataFrame:
    index = pd.Index(sorted(answers), name="Id")
    return pd.DataFrame(np.stack([answers[sample] for sample in index]), index=index, columns=list(LOCATIONS))


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


def _compare(options: BaselineOptions, vote: pd.DataFrame) -> Comparison:
    work = Workspace(options.work or Path())
    if not work.out_of_fold.is_file():
        raise PipelineError(f"{work.root}: no trained model there; run train with --work {work.root} first")
    stack = read_answers(work)[STACK]
    ids = stack.truth.index.intersection(vote.index)
    if ids.empty:
        raise PipelineError(f"{work.root}: its model was trained on none of the answered pictures")
    names = list(stack.truth.columns)
    truth, ours = stack.truth.loc[ids], stack.chosen.loc[ids]
    value, drawn = compared(truth, ours, vote.loc[ids, names], draws=options.draws, seed=options.seed)
    return Comparison(len(ids), len(names), Score(value, *interval(drawn)))
