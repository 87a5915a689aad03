"""The stage `evaluate`: out-of-fold predictions in, scores with their protocol and intervals out."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.metrics import Counts, all_positive_macro_f1, count, interval, per_location, resampled_counts
from models.risk import Realised, held_out, realised
from models.stack_model import STACK, TOP_TWO
from pipeline.core.errors import PipelineError
from pipeline.core.files import write_text
from pipeline.core.stage import Progress, Stage, Summary, file_inputs, option_inputs, read_made
from pipeline.core.workspace import Workspace, untrained
from pipeline.data.locations import of_card
from pipeline.stages.against import Against, compare, training_of
from pipeline.stages.answered_groups import GIVEN, GroupScores, score_groups
from pipeline.stages.cell_scores import CellScores, inputs_of_cells, score_cells
from pipeline.stages.channel_views import is_view
from pipeline.stages.comparisons import (
    Ablation,
    OutOfFold,
    Protocol,
    Score,
    Selection,
    ablate,
    by_head,
    macro_f1,
    of_plates,
    protocols,
    selection,
)
from pipeline.stages.options import EvaluateOptions
from pipeline.stages.reliance import RISK
from pipeline.stages.trained_models import read_card

Rows = dict[str, dict[str, float]]
"""A table: name of a row to column to value."""


class Scores(Summary):
    """What `evaluate` found.

    Attributes
    ----------
    protocol : str
        Which pictures, folds and classes the scores are of.
    locations : dict
        One row per trained location: F1 of the stack (with ``low`` and ``high``), precision, recall,
        average precision, support, and F1 of the location's binary model.
    totals : dict
        Name to `Score`.
    baselines : dict
        Macro-F1 of knowing nothing: predicting every location, or at random by prevalence.
    protocols : list of Protocol
        The four protocols side by side.
    selection : Selection or None
        What selecting labels changed.
    channels : dict
        Macro-F1 of the stack without the columns of some markers, by which: what to expect of pictures that
        lack them, but for their cells, which were found with all.
    parents : dict or None
        Where the list of locations gives parents: a row for each, of its trained locations together.
    plates : dict or None
        Where folds are made of plates: a row for each, ``pictures, macro_f1, micro_f1``.
    pair : dict or None
        The two-location model, its F1 beside predicting always.
    heads : dict
        Macro-F1 of every model that answers by itself, over its locations: see `predict --head`.
    against : Against or None
        Another training beside this one; None unless asked for.
    left_out : dict
        Locations without a model, with the reason.
    risks : tuple of Realised
        What every calibrated risk becomes on held-out folds, by cuts that the other folds give; empty for a
        model of an older version.
    ablation : list of Ablation
        Empty unless asked for.
    cells : CellScores or None
        None unless asked for.
    groups : GroupScores or None
        None where no group has several pictures.
    """

    protocol: str
    locations: Rows
    totals: dict[str, Score]
    baselines: dict[str, float]
    protocols: list[Protocol]
    selection: Selection | None
    pair: Rows | None
    parents: Rows | None = None
    plates: Rows | None = None
    left_out: dict[str, str]
    channels: Mapping[str, Score]
    risks: tuple[Realised, ...] = ()
    ablation: tuple[Ablation, ...] = ()
    cells: CellScores | None = None
    groups: GroupScores | None = None
    heads: Mapping[str, Score] = {}
    against: Against | None = None

    @property
    def table(self) -> pd.DataFrame:
        """The locations as a table."""
        return pd.DataFrame.from_dict(self.locations, orient="index")

    @property
    def top_two(self) -> pd.DataFrame | None:
        """The two-location model as a table."""
        return None if self.pair is None else pd.DataFrame.from_dict(self.pair, orient="index")

    @property
    def of_parents(self) -> pd.DataFrame | None:
        """The parents as a table."""
        return None if self.parents is None else pd.DataFrame.from_dict(self.parents, orient="index")


class Evaluate(Stage[EvaluateOptions, Scores]):
    """Score the out-of-fold predictions and write metrics.json."""

    name = "evaluate"
    options = EvaluateOptions
    summary = Scores
    at_once = True

    def inputs(self, options: EvaluateOptions) -> dict[str, str]:
        """Return fingerprints of the predictions, the model's card and the options."""
        work = Workspace(options.work, options.name)
        card = work.model / "card.json"
        if not work.out_of_fold.is_file() or not card.is_file():
            raise untrained(work)
        options.refuse_without("--per cell", "truth", "truth_masks")
        asked = option_inputs(options, "draws", "seed", "kaggle_score", "ablation", "per")
        files = {"out-of-fold predictions": work.out_of_fold, "model": card}
        if options.truth is not None:
            files["what cells show"] = options.truth
        if options.per == "cell" and work.cells_out_of_fold.is_file():
            asked |= inputs_of_cells(options)
        if options.against is not None:
            files["out-of-fold predictions of the other training"] = _other(options).out_of_fold
            asked |= option_inputs(options, "against")
        return file_inputs(files) | asked

    def outputs(self, options: EvaluateOptions) -> tuple[Path, ...]:
        """Return the scores."""
        return (Workspace(options.work, options.name).metrics,)

    def run(self, options: EvaluateOptions, progress: Progress) -> Scores:
        """Score all models.

        Raises
        ------
        PipelineError
            If the model is of an older version.
        """
        work = Workspace(options.work, options.name)
        card = read_card(work.model)
        if "positives" not in card:
            raise PipelineError(f"{work.model}: was trained by an older version; run train again")
        with progress.track("Scoring", 1) as advance:
            predictions = read_predictions(work)
            scores = _marked(score(predictions, card, options), card.get("leaks", []))
            if (of_groups := score_groups(work, predictions[STACK], options)) is not None:
                name = f"macro-F1 over {len(of_groups.locations)} trained locations, every picture {GIVEN}"
                totals = scores.totals | {name: of_groups.macro_f1}
                scores = scores.model_copy(update={"groups": of_groups, "totals": totals})
            if options.against is not None:
                beside = compare(predictions, read_predictions(_other(options)), options)
                scores = scores.model_copy(update={"against": beside})
            advance(1)
        if options.per == "cell":
            cells = score_cells(work, predictions[STACK], options, progress)
            scores = scores.model_copy(update={"cells": cells})
        if options.ablation:
            parts = ablate(work, card["options"]["rule"], options.draws, options.seed, progress)
            scores = scores.model_copy(update={"ablation": tuple(parts)})
        write_text(work.metrics, json.dumps(_as_json(scores), indent=1))
        return scores


def _other(options: EvaluateOptions) -> Workspace:
    return training_of(options.against or options.work, Workspace(options.work, options.name))


def read_predictions(work: Workspace) -> dict[str, OutOfFold]:
    """Read the out-of-fold predictions of every model: the stack, the top two, each location's binary."""
    table = read_made(work.out_of_fold)
    predictions = {}
    for name, part in table.groupby("model", observed=True):
        order = list(dict.fromkeys(part["location"]))
        wide = {
            value: part.set_index(["Id", "location"])[value].unstack()[order].set_axis(order, axis=1)  # noqa: PD010 - keeps the types
            for value in ("truth", "probability", "chosen")
        }
        rows = part.drop_duplicates("Id").set_index("Id").loc[wide["truth"].index]
        predictions[str(name)] = OutOfFold(
            **wide, groups=rows["group"], fold=rows["fold"], plates=rows.get("plate")
        )
    return predictions


def score(predictions: Mapping[str, OutOfFold], card: Mapping[str, Any], options: EvaluateOptions) -> Scores:
    """Score the predictions of all models, given the model's card; see `Scores`."""
    stack = predictions[STACK]
    truth, chosen = stack.truth.to_numpy(), stack.chosen.to_numpy()
    resampled = _resampled(stack, options)
    exact = count(truth, chosen)
    table = _with_bounds(stack, resampled)
    parents = of_parents(stack, of_card(card).parents)
    table["binary_f1"] = [_f1(predictions[name]) for name in table.index]
    trained = f"{len(table)} trained locations"
    always = all_positive_macro_f1(truth)
    everywhere = len(of_card(card).names)
    share = len(table) / everywhere
    baselines = {
        f"predicting every location, over {trained}": always,
        f"predicting every location, over all {everywhere}": always * share,
        f"predicting at random by prevalence, over {trained}": float(truth.mean()),
    }
    draws, seed = options.draws, options.seed
    ungrouped = count_ungrouped(stack, card)
    four = protocols(predictions, ungrouped=ungrouped, kaggle=options.kaggle_score, draws=draws, seed=seed)
    plates, over_plates = None, {}
    if stack.plates is not None:
        each, mean = of_plates(stack, stack.plates)
        plates = _rows(each)
        over_plates = {f"macro-F1 of a plate (undefined skipped), mean of {len(each)}, t interval": mean}
    totals = _totals(exact, resampled, trained, card) | _of_most_probable(stack, trained, options)
    return Scores(
        protocol=_protocol(stack, ungrouped, card["options"].get("folds_by")),
        locations=_rows(table),
        totals=totals | over_plates,
        plates=plates,
        baselines=baselines,
        protocols=four,
        selection=selection(predictions, draws, seed),
        pair=_rows(_top_two(predictions[TOP_TWO])) if TOP_TWO in predictions else None,
        channels={name: macro_f1(one, draws, seed) for name, one in predictions.items() if is_view(name)},
        parents=None if parents is None else _rows(_with_bounds(parents, _resampled(parents, options))),
        left_out=card["left_out"],
        heads={head: macro_f1(one, draws, seed) for head, one in by_head(predictions).items()},
        risks=_risks(stack, card),
    )


def _risks(stack: OutOfFold, card: Mapping[str, Any]) -> tuple[Realised, ...]:
    probability, chosen, truth = (one.to_numpy() for one in (stack.probability, stack.chosen, stack.truth))
    units, fold = stack.units.to_numpy(dtype=str), stack.fold.to_numpy()
    results = []
    for level in card.get(RISK, {"levels": []})["levels"]:
        names = held_out(probability, chosen, truth, units, fold, level["risk"])
        results.append(realised(names, truth, units, level["risk"]))
    return tuple(results)


def _with_bounds(predicted: OutOfFold, resampled: Counts) -> pd.DataFrame:
    """Return the scores of each location, F1 with its interval."""
    table = per_location(predicted.truth, predicted.chosen, predicted.probability)
    exact = count(predicted.truth.to_numpy(), predicted.chosen.to_numpy()).f1()
    bounds = [interval(drawn, value) for drawn, value in zip(resampled.f1().T, exact, strict=True)]
    table.insert(1, "low", [low for low, _ in bounds])
    table.insert(2, "high", [high for _, high in bounds])
    return table


def _resampled(predicted: OutOfFold, options: EvaluateOptions) -> Counts:
    truth, chosen = predicted.truth.to_numpy(), predicted.chosen.to_numpy()
    return resampled_counts(truth, chosen, predicted.units, draws=options.draws, seed=options.seed)


def of_parents(predicted: OutOfFold, parents: Mapping[str, str]) -> OutOfFold | None:
    """Return what predictions say of parents: a picture shows one where it shows any of its locations.

    The probability is the largest of its locations. None where no trained location has a parent.
    """
    known = [name for name in predicted.truth.columns if name in parents]
    if not known:
        return None
    tables = [
        table[known].T.groupby([parents[name] for name in known], sort=False).max().T
        for table in (predicted.truth, predicted.chosen, predicted.probability)
    ]
    truth, chosen = (table.astype(bool) for table in tables[:2])
    return replace(predicted, truth=truth, probability=tables[2], chosen=chosen)


def _totals(exact: Counts, resampled: Counts, trained: str, card: Mapping[str, Any]) -> dict[str, Score]:
    """Return macro-F1 in its conventions, and micro-F1."""
    macro, drawn = exact.macro_f1(), resampled.macro_f1()
    trained_ones, everywhere = exact.hit.shape[-1], len(of_card(card).names)
    occurring = sum(number > 0 for number in card["positives"].values())
    some, whole = trained_ones / occurring, trained_ones / everywhere
    return {
        f"macro-F1 over {trained}": _with_interval(macro, drawn),
        f"macro-F1 over the {occurring} locations that occur (undefined skipped), missing ones 0": (
            _with_interval(macro * some, drawn * some)
        ),
        f"macro-F1 over all {everywhere} (undefined 0), missing ones 0": (
            _with_interval(macro * whole, drawn * whole)
        ),
        f"micro-F1 over {trained}": _with_interval(exact.micro_f1(), resampled.micro_f1()),
    }


def _of_most_probable(stack: OutOfFold, trained: str, options: EvaluateOptions) -> dict[str, Score]:
    """Score once more with the most probable location where the model is not sure, as for the competition."""
    truth, chosen = stack.truth.to_numpy(), stack.chosen.to_numpy()
    unsure = np.flatnonzero(~chosen.any(axis=1))
    if not unsure.size:
        return {}
    named = chosen.copy()
    named[unsure, stack.probability.to_numpy()[unsure].argmax(axis=1)] = True
    drawn = resampled_counts(truth, named, stack.units, draws=options.draws, seed=options.seed)
    name = (
        f"macro-F1 over {trained}, naming the most probable one of {len(unsure):,} pictures that are not sure"
    )
    return {name: _with_interval(count(truth, named).macro_f1(), drawn.macro_f1())}


def _marked(scores: Scores, leaks: list[str]) -> Scores:
    """Say with every score which embeddings may predict from memory."""
    marks = [f"MARKED: {leak}." for leak in leaks]
    return scores.model_copy(update={"protocol": " ".join([scores.protocol, *marks])})


def _f1(predicted: OutOfFold) -> float:
    return float(count(predicted.truth.to_numpy(), predicted.chosen.to_numpy()).f1()[0])


def _with_interval(value: Any, resampled: Any) -> Score:
    return Score(float(value), *interval(resampled, float(value)))


def _top_two(predicted: OutOfFold) -> pd.DataFrame:
    table = per_location(predicted.truth, predicted.chosen, predicted.probability)
    truth = predicted.truth.to_numpy()
    table["always_f1"] = count(truth, np.ones_like(truth)).f1()
    return table


def count_ungrouped(stack: OutOfFold, card: Mapping[str, Any]) -> int | None:
    """Return how many pictures had no group when they were trained on; None where no groups were given.

    Older versions said only whether any was given, but named the groups that they made; and they took a group
    with a space behind its name for another one.
    """
    if "ungrouped" in card or not card["grouped"]:
        number: int | None = card.get("ungrouped")
        return number
    named = stack.groups.astype(str)
    made = named.isin([f"picture {sample}" for sample in named.index])
    return int((made | named.str.strip().ne(named)).sum())


def _protocol(stack: OutOfFold, ungrouped: int | None, by: str | None) -> str:
    pictures, groups = len(stack.truth), stack.groups.nunique()
    if ungrouped == 0:
        kind = f"(B) in {groups} groups that no fold splits"
    elif ungrouped is not None:
        kind = f"(C) in {groups} groups, but the group of {ungrouped} pictures was not found. Optimistic"
    else:
        kind = (
            "(C) no groups given; only copies kept together. Optimistic if pictures of one antibody are "
            "among them"
        )
    plates = ""
    if stack.plates is not None:
        number = stack.plates.nunique()
        name = "Leave-one-plate-out" if number == stack.folds else "Leave-plates-out"
        plates = f"{name}: {number} plates ({by}), whole in {stack.folds} folds. "
    return (
        f"{stack.folds}-fold cross-validation of {pictures} pictures, {kind}. {plates}Every prediction comes "
        "from base learners, hyperparameters, weights and thresholds that saw nothing of the picture's fold. "
        "Intervals: 95 %, bias-corrected bootstrap over "
        f"{'plates, too narrow if these are few' if plates else 'groups'}."
    )


def _rows(table: pd.DataFrame) -> Rows:
    """Return the rows of a table by name."""
    return {
        str(name): {str(key): float(value) for key, value in row.items()} for name, row in table.iterrows()
    }


def _as_json(scores: Scores) -> dict[str, Any]:
    """Return what is written for others to read: NaN, which JSON does not know, becomes null."""
    content = scores.model_dump(exclude={"fresh", "locations", "pair", "parents", "plates", "baselines"})
    tables = {"locations": scores.locations, "top_two": scores.pair}
    tables |= {"parents": scores.parents, "plates": scores.plates}
    return content | {
        "baseline_macro_f1": scores.baselines,
        **{name: None if rows is None else _without_nan(rows) for name, rows in tables.items()},
    }


def _without_nan(rows: Rows) -> dict[str, dict[str, float | None]]:
    return {
        name: {key: None if np.isnan(value) else value for key, value in row.items()}
        for name, row in rows.items()
    }
