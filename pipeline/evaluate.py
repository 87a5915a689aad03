"""The stage `evaluate`: out-of-fold answers in, scores with their protocol and intervals out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from models.metrics import all_positive_macro_f1, balanced_f1, count, interval, per_location, resampled_counts
from models.stack import STACK, TOP_TWO
from pipeline.errors import PipelineError
from pipeline.layout import Workspace
from pipeline.locations import LOCATIONS
from pipeline.progress import Progress
from pipeline.records import file_digest, replacing, write_record


class EvaluateOptions(BaseModel):
    """What `evaluate` is asked to do.

    Attributes
    ----------
    work : Path
        Folder of a finished `train`.
    draws : int
        Bootstrap samples of groups.
    seed : int
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    work: Path
    draws: int = Field(default=1000, ge=100)
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class Answered:
    """Out-of-fold answers of one model; tables are rows x locations, in the order of `groups`."""

    truth: pd.DataFrame
    probability: pd.DataFrame
    chosen: pd.DataFrame
    groups: pd.Series
    folds: int


@dataclass(frozen=True)
class Score:
    """A score and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Scores:
    """What `evaluate` found.

    Attributes
    ----------
    protocol : str
        Which pictures, folds and classes the scores are of.
    table : DataFrame
        One row per trained location: F1 of the stack (with ``low`` and ``high``), precision, recall,
        average precision, support, and F1 of the location's binary model.
    totals : dict
        Name to `Score`.
    baselines : dict
        Macro-F1 of knowing nothing: answering every location, or at random by prevalence.
    balanced : float
        Mean over trained locations of the binary models' F1 at 1:1, where always yes scores 0.667.
    top_two : DataFrame or None
        The two-location model, its F1 beside answering always.
    left_out : dict
        Locations without a model, with the reason.
    """

    protocol: str
    table: pd.DataFrame
    totals: Mapping[str, Score]
    baselines: Mapping[str, float]
    balanced: float
    top_two: pd.DataFrame | None
    left_out: Mapping[str, str]


def inputs(options: EvaluateOptions) -> dict[str, str]:
    """Return the fingerprints of what `evaluate` would read now, by name.

    Raises
    ------
    PipelineError
        If nothing has been trained.
    """
    work = Workspace(options.work)
    _check(work)
    settings = {f"option {name}": str(getattr(options, name)) for name in ("draws", "seed")}
    return {"out-of-fold answers": file_digest(work.out_of_fold)} | settings


def evaluate(options: EvaluateOptions, progress: Progress) -> Scores:
    """Score the out-of-fold answers and write metrics.json.

    Raises
    ------
    PipelineError
        If nothing has been trained.
    """
    work = Workspace(options.work)
    now = inputs(options)
    answers = read_answers(work)
    card = json.loads((work.model / "card.json").read_text())
    with progress.track("Scoring", 1) as advance:
        scores = _marked(score(answers, card["left_out"], options), card.get("leaks", []))
        advance(1)
    with replacing(work.metrics) as temporary:
        temporary.write_text(json.dumps(_as_json(scores), indent=1))
    write_record(work.record("evaluate"), "evaluate", options, now)
    return scores


def read_answers(work: Workspace) -> dict[str, Answered]:
    """Read the outer out-of-fold answers of every model: the stack, the top two, each location's binary."""
    table = pd.read_parquet(work.out_of_fold)
    answers = {}
    for name, part in table.groupby("model", observed=True):
        order = list(dict.fromkeys(part["location"]))
        wide = {
            value: part.set_index(["Id", "location"])[value].unstack()[order]  # noqa: PD010 - keeps the types
            for value in ("truth", "probability", "chosen")
        }
        groups = part.drop_duplicates("Id").set_index("Id")["group"].loc[wide["truth"].index]
        folds = int(part["fold"].max()) + 1
        answers[str(name)] = Answered(wide["truth"], wide["probability"], wide["chosen"], groups, folds)
    return answers


def score(answers: Mapping[str, Answered], left_out: Mapping[str, str], options: EvaluateOptions) -> Scores:
    """Score the answers of all models; see `Scores`."""
    stack = answers[STACK]
    truth, chosen = stack.truth.to_numpy(), stack.chosen.to_numpy()
    resampled = resampled_counts(truth, chosen, stack.groups, draws=options.draws, seed=options.seed)
    exact = count(truth, chosen)
    table = per_location(stack.truth, stack.chosen, stack.probability)
    bounds = np.quantile(resampled.f1(), [0.025, 0.975], axis=0)
    table.insert(1, "low", bounds[0])
    table.insert(2, "high", bounds[1])
    table["binary_f1"] = [_f1(answers[name]) for name in table.index]
    trained = f"{len(table)} trained locations"
    share = len(table) / len(LOCATIONS)
    totals = {
        f"macro-F1 over {trained}": _with_interval(exact.macro_f1(), resampled.macro_f1()),
        f"macro-F1 over all {len(LOCATIONS)}, missing ones 0": _with_interval(
            exact.macro_f1() * share, resampled.macro_f1() * share
        ),
        f"micro-F1 over {trained}": _with_interval(exact.micro_f1(), resampled.micro_f1()),
    }
    always = all_positive_macro_f1(truth)
    baselines = {
        f"answering every location, over {trained}": always,
        f"answering every location, over all {len(LOCATIONS)}": always * share,
        f"answering at random by prevalence, over {trained}": float(truth.mean()),
    }
    balanced = float(np.mean([_balanced(answers[name]) for name in table.index]))
    top_two = _top_two(answers[TOP_TWO]) if TOP_TWO in answers else None
    return Scores(_protocol(stack), table, totals, baselines, balanced, top_two, left_out)


def _marked(scores: Scores, leaks: list[str]) -> Scores:
    """Say with every score which embeddings may have answered from memory."""
    return replace(scores, protocol=" ".join([scores.protocol, *(f"MARKED: {leak}." for leak in leaks)]))


def _f1(answered: Answered) -> float:
    return float(count(answered.truth.to_numpy(), answered.chosen.to_numpy()).f1()[0])


def _balanced(answered: Answered) -> float:
    return balanced_f1(answered.truth.to_numpy()[:, 0], answered.probability.to_numpy()[:, 0])


def _with_interval(value: Any, resampled: Any) -> Score:
    return Score(float(value), *interval(resampled))


def _top_two(answered: Answered) -> pd.DataFrame:
    table = per_location(answered.truth, answered.chosen, answered.probability)
    truth = answered.truth.to_numpy()
    table["always_f1"] = count(truth, np.ones_like(truth)).f1()
    return table


def _protocol(stack: Answered) -> str:
    pictures, groups = len(stack.truth), stack.groups.nunique()
    if groups == pictures:
        kind = "(C) each picture its own group: optimistic if pictures of one antibody are among them"
    else:
        kind = f"(B) in {groups} groups that no fold splits"
    return (
        f"{stack.folds}-fold cross-validation of {pictures} pictures, {kind}. Every answer comes from "
        "boosters, settings, weights and thresholds that saw nothing of the picture's fold. "
        "Intervals: 95 %, bootstrap over groups."
    )


def _as_json(scores: Scores) -> dict[str, Any]:
    return {
        "protocol": scores.protocol,
        "totals": {name: vars(score) for name, score in scores.totals.items()},
        "baseline_macro_f1": dict(scores.baselines),
        "balanced_binary_f1": scores.balanced,
        "locations": _records(scores.table),
        "top_two": None if scores.top_two is None else _records(scores.top_two),
        "left_out": dict(scores.left_out),
    }


def _records(table: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Return rows by name; NaN, which JSON does not know, becomes null."""
    return {
        str(name): {str(key): None if pd.isna(value) else float(value) for key, value in row.items()}
        for name, row in table.iterrows()
    }


def _check(work: Workspace) -> None:
    if not work.out_of_fold.is_file() or not (work.model / "card.json").is_file():
        raise PipelineError(f"{work.root}: no trained model there; run train with --work {work.root} first")
