"""Out-of-fold log-odds of base learners: every row by learners that saw neither its fold nor an outer one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from models.base_learners import BaseLearner
from models.cross_fitting import Choice, CrossFitter, Fit, Floats, Labels
from models.hyperparameters import JOINT_KINDS, AnyHyperparameters


@dataclass(frozen=True)
class Nested:
    """Log-odds of base learners, shape (rows, locations, sources) each.

    Attributes
    ----------
    inner : list of ndarray
        For outer fold i: every row outside fold i, predicted by learners that saw neither fold i nor
        the row's own; NaN in fold i.
    outer : ndarray
        Every row, predicted by learners with the hyperparameters that its outer fold chose.
    final : ndarray
        Every row, predicted by learners with the hyperparameters of the final model.
    views : dict of str to ndarray
        As `outer`, of the rows with columns that are missing, by the name of a `View`.
    """

    inner: list[Floats]
    outer: Floats
    final: Floats
    views: Mapping[str, Floats] = field(default_factory=dict)


def nested_log_odds(fitter: CrossFitter, choices: Sequence[Choice]) -> Nested:
    """Predict every row as `Nested` describes; 0, which says nothing, where a location has no learner."""
    sources = fitter.sources
    empty = np.zeros((*fitter.targets.shape, len(sources)))
    inner = [empty.copy() for _ in range(fitter.folds)]
    for number, table in enumerate(inner):
        table[fitter.fold == number] = np.nan
    outer, final = empty.copy(), empty.copy()
    views = {view.name: empty.copy() for view in fitter.views}
    for choice in choices:
        column = sources.index(choice.source)
        fill_pairs(fitter, choice, [table[:, :, column] for table in inner])
        tables = [table[:, :, column] for table in (outer, *views.values())]
        _fill_singles(fitter, choice, choice.per_fold, tables)
        _fill_singles(fitter, choice, dict.fromkeys(choice.per_fold, choice.final), [final[:, :, column]])
    return Nested(inner, outer, final, views)


def fill_pairs(
    fitter: CrossFitter,
    choice: Choice,
    tables: Sequence[Floats],
    pairs: Sequence[tuple[int, int]] | None = None,
) -> None:
    """Fill each outer fold's table with predictions of the learners that lack it and the row's own fold.

    Tables, one per outer fold, of shape (rows, locations), are filled in place: all of them, or the parts
    that pairs of an outer fold and an own one name.
    """
    both = combinations(range(fitter.folds), 2)
    asked = [(a, b) for pair in both for a, b in (pair, pair[::-1])] if pairs is None else pairs
    wanted = [
        (outer, own, fit)
        for outer, own in asked
        for fit in choice.fits(choice.per_fold[outer], (min(outer, own), max(outer, own)))
    ]
    distinct = list(dict.fromkeys(fit for _, _, fit in wanted))
    predicted = dict(zip(distinct, fitter.log_odds(distinct), strict=True))
    for outer, own, fit in wanted:
        held_out = fitter.fold[np.isin(fitter.fold, fit.without)]
        tables[outer][_cell(fitter, own, fit)] = predicted[fit][held_out == own]


def _fill_singles(
    fitter: CrossFitter, choice: Choice, chosen: Mapping[int, AnyHyperparameters], tables: Sequence[Floats]
) -> None:
    """Fill a table, and those of views, with predictions of the learners that lack the row's fold."""
    fits = [fit for fold in chosen for fit in choice.fits(chosen[fold], (fold,))]
    for fit, found in zip(fits, fitter.log_odds_of_views(fits), strict=True):
        for table, log_odds in zip(tables, found, strict=False):
            table[_cell(fitter, fit.without[0], fit)] = log_odds


def learners_by_fold(fitter: CrossFitter, choices: Sequence[Choice], kind: str) -> list[BaseLearner]:
    """Return the learners of a kind that is kept, by the fold that each has not seen."""
    asked = [(fold, one) for one in choices if one.source[1] == kind for fold in sorted(one.per_fold)]
    return fitter.learners([fit for fold, one in asked for fit in one.fits(one.per_fold[fold], (fold,))])


def _cell(fitter: CrossFitter, fold: int, fit: Fit) -> tuple[Labels, int | slice]:
    """Return where predictions of a fold's rows go."""
    return fitter.fold == fold, slice(None) if fit.location is None else fit.location


def fits_needed(blocks: Iterable[Sequence[str]], locations: int, folds: int, trials: int) -> int:
    """Count the fits of a training at most, for progress, given the kinds of learners on every block."""
    pairs = folds * (folds - 1) // 2
    singles = 2 * folds + 1
    kinds = [kind for block in blocks for kind in block]
    return sum(
        pairs + singles if kind in JOINT_KINDS else locations * (pairs * (trials + 2) + singles)
        for kind in kinds
    )
