"""Out-of-fold log-odds of level 0 at both levels of a nested cross-validation.

With K folds every booster is fitted without each pair of folds, without each single fold, and on
everything. For outer fold i the pairs {i, j} give level 1 its training rows, and the fit without i
answers fold i; the fits without one fold train the final level 1, which is applied to boosters of
all rows. Pairs are shared: the fit without i and j serves outer fold i and outer fold j.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from models.cross_fitting import Booster, Fit, Level0
from models.hyperparameters import BINARY_KINDS, Kind, Settings

Floats = NDArray[np.float64]
Source = tuple[int, Kind]
"""A block's number and the kind of booster that stands on it."""


@dataclass(frozen=True)
class Nested:
    """Log-odds of level 0, shape (rows, locations, sources) each.

    Attributes
    ----------
    inner : list of ndarray
        For outer fold i: every row outside fold i, answered by boosters that saw neither fold i nor
        the row's own; NaN in fold i.
    outer : ndarray
        Every row, answered by boosters with the settings that its outer fold chose.
    final : ndarray
        Every row, answered by boosters with the settings of the final model.
    """

    inner: list[Floats]
    outer: Floats
    final: Floats

    def rows(self, wanted: NDArray[np.bool_]) -> "Nested":
        """Return the same for some of the rows."""
        return Nested([table[wanted] for table in self.inner], self.outer[wanted], self.final[wanted])


@dataclass(frozen=True)
class Chosen:
    """Settings of one source for some locations.

    Attributes
    ----------
    places : tuple
        Positions of the locations; ``(None,)`` for a source that answers all at once.
    per_fold : dict of int to Settings
        What each outer fold chose, without its own rows.
    final : Settings
        What the final model uses.
    """

    source: Source
    places: tuple[int | None, ...]
    per_fold: Mapping[int, Settings]
    final: Settings


@dataclass(frozen=True)
class Member:
    """A booster of the final model.

    Attributes
    ----------
    source : int
        Its place on the last axis of `Nested`.
    locations : tuple of int
        Positions of the locations that it answers.
    """

    source: int
    locations: tuple[int, ...]
    booster: Booster


def sources(blocks: int, kinds: Sequence[Kind]) -> list[Source]:
    """Return every pair of a block and a kind, in the order of the last axis of `Nested`."""
    return [(block, kind) for block in range(blocks) for kind in kinds]


def fits_needed(locations: int, blocks: int, kinds: Sequence[Kind], folds: int, trials: int) -> int:
    """Count the boosters of a training at most, for progress."""
    pairs = folds * (folds - 1) // 2
    boosters = sum(locations if kind in BINARY_KINDS else 1 for kind in kinds)
    return boosters * blocks * (pairs * (trials + 2) + 2 * folds + 1)


def nested_margins(level0: Level0, order: Sequence[Source], choices: Sequence[Chosen]) -> Nested:
    """Answer every row as `Nested` describes, with the sources in the given order."""
    empty = np.full((*level0.targets.shape, len(order)), np.nan)
    inner = [empty.copy() for _ in range(level0.folds)]
    outer, final = empty.copy(), empty.copy()
    for choice in choices:
        column = order.index(choice.source)
        fill_pairs(level0, choice, [table[:, :, column] for table in inner])
        _fill_singles(level0, choice, choice.per_fold, outer[:, :, column])
        _fill_singles(level0, choice, dict.fromkeys(choice.per_fold, choice.final), final[:, :, column])
    return Nested(inner, outer, final)


def final_members(level0: Level0, order: Sequence[Source], choices: Sequence[Chosen]) -> list[Member]:
    """Fit the boosters of the final model on all rows."""
    fits = [Fit(*choice.source, place, choice.final) for choice in choices for place in choice.places]
    everywhere = tuple(range(level0.targets.shape[1]))
    members = [
        Member(
            order.index((fit.block, fit.kind)),
            everywhere if fit.location is None else (fit.location,),
            booster,
        )
        for fit, booster in zip(fits, level0.boosters(fits), strict=True)
    ]
    return sorted(members, key=lambda member: (member.source, member.locations))


def fill_pairs(
    level0: Level0,
    choice: Chosen,
    tables: Sequence[Floats],
    pairs: Sequence[tuple[int, int]] | None = None,
) -> None:
    """Fill each outer fold's table with answers of the boosters that lack it and the row's own fold.

    Parameters
    ----------
    tables : sequence of ndarray, shape (rows, locations)
        One per outer fold; filled in place.
    pairs : sequence of (outer fold, own fold), optional
        Which parts to fill; all unless given.
    """
    folds = range(level0.folds)
    asked = (
        [(a, b) for pair in combinations(folds, 2) for a, b in (pair, pair[::-1])] if pairs is None else pairs
    )
    wanted = [
        (outer, own, Fit(*choice.source, place, choice.per_fold[outer], (min(outer, own), max(outer, own))))
        for outer, own in asked
        for place in choice.places
    ]
    distinct = list(dict.fromkeys(fit for _, _, fit in wanted))
    answers = dict(zip(distinct, level0.margins(distinct), strict=True))
    for outer, own, fit in wanted:
        held_out = level0.fold[np.isin(level0.fold, fit.without)]
        tables[outer][_cell(level0, own, fit)] = answers[fit][held_out == own]


def _fill_singles(level0: Level0, choice: Chosen, settings: Mapping[int, Settings], table: Floats) -> None:
    """Fill a table with answers of the boosters that lack the row's fold."""
    fits = [
        Fit(*choice.source, place, settings[fold], (fold,)) for fold in settings for place in choice.places
    ]
    for fit, margin in zip(fits, level0.margins(fits), strict=True):
        table[_cell(level0, fit.without[0], fit)] = margin


def _cell(level0: Level0, fold: int, fit: Fit) -> tuple[NDArray[np.bool_], int | slice]:
    """Return where answers about a fold's rows go."""
    return level0.fold == fold, slice(None) if fit.location is None else fit.location
