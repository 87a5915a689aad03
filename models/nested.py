"""Out-of-fold log-odds of level 0 at both levels of a nested cross-validation.

With K folds every booster is fitted without each pair of folds, without each single fold, and on
everything. For outer fold i the pairs {i, j} give level 1 its training rows, and the fit without i
answers fold i; the fits without one fold train the final level 1, which is applied to boosters of
all rows. Pairs are shared: the fit without i and j serves outer fold i and outer fold j.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from optuna.storages import BaseStorage

from models.boosters import BinaryBooster
from models.crossfit import EXTRA, Fit, Level0
from models.settings import KINDS, Kind, Settings
from models.tuning import Candidate, best, normalised_log_loss, strata, tune

Floats = NDArray[np.float64]
Source = tuple[int, Kind]
"""A block's number and the library that grows trees on it."""


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
    settings : dict
        Settings of the final model by (source, location).
    """

    inner: list[Floats]
    outer: Floats
    final: Floats
    settings: dict[tuple[Source, int], Settings]

    def rows(self, wanted: NDArray[np.bool_]) -> "Nested":
        """Return the same for some of the rows."""
        inner = [table[wanted] for table in self.inner]
        return Nested(inner, self.outer[wanted], self.final[wanted], self.settings)


def sources(blocks: int) -> list[Source]:
    """Return every pair of a block and a library, in the order of the last axis of `Nested`."""
    return [(block, kind) for block in range(blocks) for kind in KINDS]


def fits_needed(locations: int, blocks: int, folds: int, trials: int) -> int:
    """Count the boosters of a training at most, for progress."""
    pairs = folds * (folds - 1) // 2
    return locations * blocks * len(KINDS) * (pairs * (trials + 2) + 2 * folds + 1)


def nested_margins(
    level0: Level0, *, trials: int, storage: BaseStorage | None, note: Callable[[str], None]
) -> Nested:
    """Tune level 0 and answer every row as `Nested` describes."""
    order = sources(len(level0.blocks))
    rows, locations = level0.targets.shape
    inner = [np.full((rows, locations, len(order)), np.nan) for _ in range(level0.folds)]
    outer = np.full((rows, locations, len(order)), np.nan)
    final = outer.copy()
    chosen: dict[tuple[Source, int], Settings] = {}
    for column, source in enumerate(order):
        for stratum, members in strata(level0.targets).items():
            candidates = _candidates(level0, source, stratum, members, trials, storage)
            note(_story(level0, source, stratum, members, candidates))
            per_fold = {fold: best(candidates, fold) for fold in range(level0.folds)}
            _fill_pairs(level0, source, members, per_fold, [table[:, :, column] for table in inner])
            _fill_singles(level0, source, members, per_fold, outer[:, :, column])
            whole = best(candidates)
            _fill_singles(level0, source, members, dict.fromkeys(per_fold, whole), final[:, :, column])
            chosen |= {(source, member): whole for member in members}
    return Nested(inner, outer, final, chosen)


def final_boosters(level0: Level0, settings: Mapping[tuple[Source, int], Settings]) -> list[BinaryBooster]:
    """Fit the boosters of the final model on all rows: locations in turn, sources within each."""
    order = sources(len(level0.blocks))
    locations = range(level0.targets.shape[1])
    fits = [Fit(*source, location, settings[source, location]) for location in locations for source in order]
    return level0.boosters(fits)


def _candidates(
    level0: Level0, source: Source, stratum: str, members: list[int], trials: int, storage: BaseStorage | None
) -> list[Candidate]:
    block = level0.blocks[source[0]].name
    return tune(
        lambda settings: _losses(level0, source, members, settings),
        name=f"{block} {source[1]} {stratum} {level0.digest[:12]}",
        kind=source[1],
        trials=trials,
        rows=len(level0.fold),
        seed=level0.seed,
        storage=storage,
    )


def _losses(level0: Level0, source: Source, members: list[int], settings: Settings) -> Floats:
    """Return, per outer fold, the mean normalised log-loss of its inner folds."""
    tables = [np.full(level0.targets.shape, np.nan) for _ in range(level0.folds)]
    _fill_pairs(level0, source, members, dict.fromkeys(range(level0.folds), settings), tables)
    losses = []
    for fold, table in enumerate(tables):
        inside = (level0.fold != fold) & (level0.fold != EXTRA)
        truth = level0.targets[inside]
        losses.append(np.mean([normalised_log_loss(table[inside, m], truth[:, m]) for m in members]))
    return np.array(losses)


def _fill_pairs(
    level0: Level0, source: Source, members: list[int], settings: Mapping[int, Settings], tables: list[Floats]
) -> None:
    """Fill each outer fold's table with answers of the boosters that lack it and the row's own fold."""
    wanted = []
    for first, second in combinations(range(level0.folds), 2):
        for outer, own in ((first, second), (second, first)):
            fits = [Fit(*source, member, settings[outer], (first, second)) for member in members]
            wanted += [(outer, own, fit) for fit in fits]
    distinct = list(dict.fromkeys(fit for _, _, fit in wanted))
    answers = dict(zip(distinct, level0.margins(distinct), strict=True))
    for outer, own, fit in wanted:
        held_out = level0.fold[np.isin(level0.fold, fit.without)]
        tables[outer][level0.fold == own, fit.location] = answers[fit][held_out == own]


def _fill_singles(
    level0: Level0, source: Source, members: list[int], settings: Mapping[int, Settings], table: Floats
) -> None:
    """Fill a table with answers of the boosters that lack the row's fold."""
    fits = [Fit(*source, member, settings[fold], (fold,)) for fold in settings for member in members]
    for fit, margin in zip(fits, level0.margins(fits), strict=True):
        table[level0.fold == fit.without[0], fit.location] = margin


def _story(
    level0: Level0, source: Source, stratum: str, members: list[int], candidates: list[Candidate]
) -> str:
    losses = [candidate.losses.mean() for candidate in candidates]
    block = level0.blocks[source[0]].name
    tried = f"{losses[0]:.2f} by defaults" + (f", {min(losses):.2f} tuned" if len(losses) > 1 else "")
    return f"{block} {source[1]}, {len(members)} {stratum}: log-loss {tried}"
