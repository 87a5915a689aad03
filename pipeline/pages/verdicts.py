"""What out-of-fold answers say for a page: errors of pictures, confusions, why locations fail, odd labels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.label_noise import suspected_errors
from pipeline.core.names import counted
from pipeline.stages.comparisons import OutOfFold

FEW_GROUPS = 10
"""Groups (proteins) with a location, below which there is little to learn it from."""
CLEARLY = 0.2
"""Difference of F1, or of average precision to chance, from which a threshold is to blame."""


@dataclass(frozen=True)
class Verdict:
    """The out-of-fold answer for one picture beside its labels.

    Attributes
    ----------
    labels, named : tuple of str
        Trained locations that it is labelled with, and that were named.
    wrong, missed : tuple of str
        Named without a label, and labelled but not named; the worst first.
    probability : mapping of str to float
        Of all trained locations.
    badness : float
        Probability of the worst wrong name, or one minus that of the worst missed one; 0 where all is right.
    """

    id: str
    group: str
    labels: tuple[str, ...]
    named: tuple[str, ...]
    wrong: tuple[str, ...]
    missed: tuple[str, ...]
    probability: Mapping[str, float]
    badness: float

    @property
    def concerned(self) -> tuple[str, ...]:
        """Locations that are named or labelled: those that have to be explained."""
        return tuple(dict.fromkeys((*self.named, *self.missed)))


def verdicts(predicted: OutOfFold) -> list[Verdict]:
    """Return the answers for all pictures, the worst errors first."""
    names = np.array(predicted.truth.columns)
    truth, chosen = predicted.truth.to_numpy(bool), predicted.chosen.to_numpy(bool)
    probability = predicted.probability.to_numpy()
    made = []
    for row, one in enumerate(predicted.truth.index):
        chance = probability[row]
        order = np.argsort(-chance, kind="stable")
        wrong = [k for k in order if chosen[row, k] and not truth[row, k]]
        missed = [k for k in order[::-1] if truth[row, k] and not chosen[row, k]]
        bad = [*chance[wrong], *(1 - chance[missed])]
        made.append(
            Verdict(
                id=str(one),
                group=str(predicted.groups.iloc[row]),
                labels=tuple(names[truth[row]]),
                named=tuple(names[[k for k in order if chosen[row, k]]]),
                wrong=tuple(names[wrong]),
                missed=tuple(names[missed]),
                probability=dict(zip(names, map(float, chance), strict=True)),
                badness=float(max(bad, default=0)),
            )
        )
    return sorted(made, key=lambda one: (-one.badness, one.id))


def confusion(predicted: OutOfFold) -> pd.DataFrame:
    """Return of the pictures with a location (rows), the share for which each location was named.

    On the diagonal it is the recall; beside it only what is not a label of the picture counts.
    """
    truth, chosen = predicted.truth.to_numpy(bool), predicted.chosen.to_numpy(bool)
    counts = truth.T.astype(float) @ (chosen & ~truth).astype(float)
    np.fill_diagonal(counts, (truth & chosen).sum(axis=0))
    shares = counts / np.maximum(truth.sum(axis=0), 1)[:, None]
    return pd.DataFrame(shares, predicted.truth.columns, predicted.truth.columns)


def together(predicted: OutOfFold) -> pd.DataFrame:
    """Return how many pictures are labelled with two locations (below the diagonal) or named both (above)."""
    truth, chosen = predicted.truth.to_numpy(int), predicted.chosen.to_numpy(int)
    labelled, named = truth.T @ truth, chosen.T @ chosen
    both = np.tril(labelled) + np.triu(named, 1)
    return pd.DataFrame(both, predicted.truth.columns, predicted.truth.columns)


def reasons_to_fail(predicted: OutOfFold, scores: Mapping[str, Mapping[str, float]]) -> dict[str, list[str]]:
    """Say of every location, the worst F1 first, what goes wrong: sentences that numbers carry."""
    order = sorted(scores, key=lambda name: (scores[name]["f1"], name))
    return {name: _reasons(predicted, name, scores[name]) for name in order}


def _reasons(predicted: OutOfFold, name: str, score: Mapping[str, float]) -> list[str]:
    truth, chosen = predicted.truth[name].to_numpy(bool), predicted.chosen[name].to_numpy(bool)
    said = []
    groups = predicted.groups[truth].nunique()
    if groups < FEW_GROUPS:
        said.append(f"Few examples: {counted(int(truth.sum()), 'picture')} in {counted(groups, 'group')}.")
    missed, wrong = truth & ~chosen, chosen & ~truth
    if missed.any():
        instead = _most(predicted.chosen & ~predicted.truth, missed, name)
        nothing = int((~predicted.chosen[missed].any(axis=1)).sum())
        unnamed = f" Nothing at all is named for {nothing}." if nothing else ""
        said.append(f"Missed in {missed.sum()} of {truth.sum()} pictures{instead}.{unnamed}")
    if wrong.any():
        really = _most(predicted.truth, wrong, name, verb="labelled")
        said.append(f"Named wrongly {counted(int(wrong.sum()), 'time')}{really}.")
    best = _best_f1(truth, predicted.probability[name].to_numpy())
    is_ranked = score["average_precision"] - truth.mean() > CLEARLY
    if is_ranked and best - score["f1"] > CLEARLY:
        side = "too low" if score["recall"] > score["precision"] else "too high"
        said.append(
            f"Ranked well (average precision {score['average_precision']:.2f}), but its threshold lies "
            f"{side}: the best one would give F1 {best:.2f}; few positives make it uncertain."
        )
    elif score["average_precision"] < 0.5 and truth.any():
        said.append(
            f"The features do not tell it apart (average precision {score['average_precision']:.2f}; chance "
            f"{truth.mean():.2f})."
        )
    return said or ["No errors."]


def _best_f1(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    """Return the F1 of the best threshold."""
    order = np.argsort(-probability, kind="stable")
    f1 = 2 * np.cumsum(truth[order]) / (np.arange(1, len(truth) + 1) + max(1, truth.sum()))
    is_cut = np.append(np.diff(probability[order]) < 0, True)
    return float(f1[is_cut].max())


def _most(table: pd.DataFrame, rows: NDArray[np.bool_], name: str, verb: str = "called") -> str:
    """Say which other locations the rows have most, in the words of a clause."""
    counts = table.loc[rows].drop(columns=name).sum().sort_values(ascending=False, kind="stable")
    top = [f"{other} {int(number)}×" for other, number in counts.head(3).items() if number > 0]
    return f", {verb} {', '.join(top)}" if top else ""


@dataclass(frozen=True)
class Suspect:
    """A label that confident learning takes for wrong, by out-of-fold probabilities."""

    id: str
    location: str
    labelled: bool
    probability: float


def suspects(predicted: OutOfFold) -> list[Suspect]:
    """Return suspected label errors, the least likely labels first; none where a location has too few."""
    truth, probability = predicted.truth.to_numpy(bool), predicted.probability.to_numpy()
    found = []
    for row, column in zip(*np.nonzero(suspected_errors(probability, truth)), strict=True):
        name, one = str(predicted.truth.columns[column]), str(predicted.truth.index[row])
        found.append(Suspect(one, name, bool(truth[row, column]), float(probability[row, column])))
    return sorted(found, key=lambda one: (one.probability if one.labelled else 1 - one.probability, one.id))


def calibration(predicted: OutOfFold, bins: int = 10) -> pd.DataFrame:
    """Return probabilities of all locations in bins of equal width beside what came true.

    Columns: ``probability, share, number``; empty bins are left out.
    """
    chance, truth = predicted.probability.to_numpy().ravel(), predicted.truth.to_numpy(float).ravel()
    of = np.minimum((chance * bins).astype(int), bins - 1)
    table = pd.DataFrame({"probability": chance, "share": truth, "number": 1}).groupby(of)
    return table.agg({"probability": "mean", "share": "mean", "number": "sum"})
