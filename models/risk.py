"""How sure an answer has to be: a cut of probabilities that keeps the share of wrong names below a risk.

The risk is the false discovery proportion over named pairs of picture and location: of all that are named,
so many are wrong. It is calibrated on out-of-fold predictions, by groups: the cut is the lowest at which the
risk would still hold if one more group came, as large as the largest, with nothing but wrong names.

Assumptions: groups are exchangeable (new proteins are drawn as those of the training were; pictures of one
group may be alike in any way), and the model trained on all groups is no worse than those that were trained
without a fold. The risk then holds on average over trainings, not for every single one. The proportion does
not fall steadily as the cut rises, so the bound of conformal risk control is one up to the stability of the
cut; the tests measure what is realised.

Source: Angelopoulos, Bates, Fisch, Lei & Schuster (2022), Conformal risk control, arXiv:2208.02814; Barber &
Candès (2015), Controlling the false discovery rate via knockoffs, Annals of Statistics 43 (the added group).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]
Groups = NDArray[np.generic]

LEVELS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
"""Risks that are calibrated with every training, beside the one that is asked for."""

SHIFT = 4.0
"""Under a shift of shares, a location is up to so many times as frequent, or as rare."""

DRAWS = 200
"""Shifts that are drawn."""


@dataclass(frozen=True)
class Level:
    """A calibrated risk.

    Attributes
    ----------
    risk : float
        Share of wrong names that is allowed.
    cut : float or None
        Lowest probability that is named; None where no cut holds the risk, so that nothing is named.
    coverage : float
        Share of the pictures that something is named for, among those that it was calibrated on.
    """

    risk: float
    cut: float | None
    coverage: float

    def named(self, probability: Floats, chosen: Labels) -> Labels:
        """Return which of the chosen locations are named; all of shape (rows, locations)."""
        return chosen & (probability >= self.cut) if self.cut is not None else np.zeros_like(chosen)


def calibrate(probability: Floats, chosen: Labels, truth: Labels, groups: Groups, risk: float) -> Level:
    """Find the lowest cut that holds a risk.

    Parameters
    ----------
    probability : ndarray, shape (rows, locations)
        Out-of-fold probabilities.
    chosen : ndarray of bool, shape (rows, locations)
        What the thresholds choose: the cut takes names away and adds none.
    truth : ndarray of bool, shape (rows, locations)
    groups : ndarray, shape (rows,)
        What is exchangeable.
    risk : float
        Between 0 and 1.
    """
    rows, columns = np.nonzero(chosen)
    values = probability[rows, columns]
    order = np.argsort(-values, kind="stable")
    values, codes = values[order], pd.factorize(groups)[0][rows[order]]
    wrong = np.cumsum(~truth[rows, columns][order])
    named = np.arange(1, len(values) + 1)
    largest = np.maximum.accumulate(pd.Series(codes).groupby(codes).cumcount().to_numpy() + 1)
    # pairs of equal probability are named together, so a cut is possible only where the value falls
    possible = np.append(values[:-1] > values[1:], True)[: len(values)]
    holds = np.flatnonzero(possible & (wrong + largest <= risk * (named + largest)))
    cut = float(values[holds[-1]]) if holds.size else None
    level = Level(risk, cut, 0.0)
    return Level(risk, cut, float(level.named(probability, chosen).any(axis=1).mean()))


def calibrate_levels(
    probability: Floats, chosen: Labels, truth: Labels, groups: Groups, risks: Iterable[float] = LEVELS
) -> tuple[Level, ...]:
    """Calibrate several risks, the smallest first; see `calibrate`."""
    return tuple(calibrate(probability, chosen, truth, groups, risk) for risk in sorted(set(risks)))


def as_card(levels: Iterable[Level], chosen: float | None) -> dict[str, Any]:
    """Return levels, and which of them is used unless another is asked for, as JSON."""
    return {"risk": chosen, "levels": [asdict(level) for level in levels]}


def level_of(card: Mapping[str, Any], risk: float | None) -> Level | None:
    """Return the level of a risk, or of the one chosen at training; None where none was chosen.

    Raises
    ------
    ValueError
        If the risk was not calibrated.
    """
    wanted = card["risk"] if risk is None else risk
    known = {level["risk"]: Level(**level) for level in card["levels"]}
    if wanted is not None and wanted not in known:
        raise ValueError(
            f"risk {wanted:g} was not calibrated; calibrated: {', '.join(map('{:g}'.format, known))}"
        )
    return None if wanted is None else known[wanted]


@dataclass(frozen=True)
class Realised:
    """What a risk became where it was not calibrated.

    Attributes
    ----------
    risk : float
        The risk that was asked for.
    wrong : float
        Share of wrong names; 0 where nothing is named.
    coverage : float
        Share of all pictures that something is named for.
    found : float
        Share of all true pairs that are named.
    shifted : float
        Share of wrong names that 95 % of shifts of the locations' shares stay below; see `SHIFT`.
    """

    risk: float
    wrong: float
    coverage: float
    found: float
    shifted: float


def held_out(
    probability: Floats,
    chosen: Labels,
    truth: Labels,
    groups: Groups,
    fold: NDArray[np.integer[Any]],
    risk: float,
) -> Labels:
    """Return what is named in every fold by the cut that the other folds give."""
    named = np.zeros_like(chosen)
    for number in np.unique(fold):
        rest = fold != number
        level = calibrate(probability[rest], chosen[rest], truth[rest], groups[rest], risk)
        named[~rest] = level.named(probability[~rest], chosen[~rest])
    return named


def realised(named: Labels, truth: Labels, groups: Groups, risk: float) -> Realised:
    """Count what is wrong among what is named, also where the shares of locations are others.

    For every draw, each location's share changes by a factor drawn evenly (in logarithms) between 1 / `SHIFT`
    and `SHIFT`; groups are weighed by the factors of the locations that they show.
    """
    codes, names = pd.factorize(groups)
    wrong, total = (np.bincount(codes, weights=(part).sum(axis=1)) for part in (named & ~truth, named))
    shows = np.zeros((len(names), truth.shape[1]))
    np.maximum.at(shows, codes, truth)
    reach = np.log(SHIFT)
    factors = np.random.default_rng(0).uniform(-reach, reach, (DRAWS, truth.shape[1]))
    weights = np.exp(factors @ shows.T)
    shifted = weights @ wrong / np.maximum(weights @ total, np.finfo(np.float64).tiny)
    return Realised(
        risk=risk,
        wrong=float(wrong.sum() / max(total.sum(), 1)),
        coverage=float(named.any(axis=1).mean()),
        found=float((named & truth).sum() / max(truth.sum(), 1)),
        shifted=float(np.quantile(shifted, 0.95)),
    )
