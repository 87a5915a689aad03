"""Fit base learners on subsets of folds, several at once, none twice, and collect their out-of-fold log-odds.

With K folds every base learner is fitted without each pair of folds, without each single fold, and on
everything. For outer fold i the pairs {i, j} give the meta-learner its training rows, and the fit without i
predicts fold i; the fits without one fold train the final meta-learner, which is applied to learners of
all rows. Pairs are shared: the fit without i and j serves outer fold i and outer fold j.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models.base_learners import LEARNERS, BaseLearner
from models.blocks import Block, View
from models.feature_selection import class_weights, columns_by_separation
from models.hyperparameters import (
    ALONE,
    CELLS,
    OF_CELLS,
    OF_NETWORKS,
    TREES,
    AnyHyperparameters,
    Hyperparameters,
    like,
)
from models.learner_store import MemoryStore, Store, key_of
from models.normalisation import Sphering

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]
Table = NDArray[np.float32]
_KEPT = 16
"""Sphered blocks that are kept in memory: those of all pairs of five folds, and more."""

Run = Callable[["CrossFitter", Sequence[tuple[str, "Fit"]]], Iterable[tuple[str, bytes]]]
"""What runs fits, each with its key: it yields what `CrossFitter.fitted` returns, in any order."""

Source = tuple[int, str]
"""A block's number and the kind of base learner trained on it."""


@dataclass(frozen=True)
class Fit:
    """One base learner to fit: of one location or, with None, of all at once.

    Folds `without` are left out, and their rows predicted; where there are none, it is a learner of all rows.
    """

    block: int
    kind: str
    location: int | None
    hyperparameters: AnyHyperparameters
    without: tuple[int, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether its result is the learner: one of all rows, or of cells, which are answered later."""
        return not self.without or (self.kind == CELLS and len(self.without) == 1)


@dataclass(frozen=True)
class Choice:
    """Hyperparameters of one source for some locations: what each outer fold chose, and the final ones.

    `positions` are those of the locations; ``(None,)`` for a source that learns all at once.
    """

    source: Source
    positions: tuple[int | None, ...]
    per_fold: Mapping[int, AnyHyperparameters]
    final: AnyHyperparameters

    @classmethod
    def same(
        cls, source: Source, positions: Iterable[int | None], folds: int, chosen: AnyHyperparameters
    ) -> "Choice":
        """Choose the same for every fold."""
        return cls(source, tuple(positions), dict.fromkeys(range(folds), chosen), chosen)

    def fits(self, chosen: AnyHyperparameters, without: tuple[int, ...] = ()) -> list[Fit]:
        """Return the fits of all locations without some folds."""
        return [Fit(*self.source, position, chosen, without) for position in self.positions]


@dataclass(frozen=True)
class FittedLearner:
    """A base learner of the final model.

    `source` is its position on the last axis of `Nested`, `locations` are the positions of those that it
    predicts, and `selected` the columns of its block that it sees, ascending.
    """

    source: int
    locations: tuple[int, ...]
    learner: BaseLearner
    selected: NDArray[np.int64]

    def log_odds(self, table: Table) -> Floats:
        """Return log-odds, shape (rows, locations), given the block's table."""
        return self.learner.log_odds(table[:, self.selected]).reshape(len(table), -1)

    def contributions(self, table: Table) -> Floats:
        """Split the log-odds into columns, or one pseudo-column, and the bias: (locations, rows, parts)."""
        parts = self.learner.contributions(table[:, self.selected])
        if parts.ndim == 3:
            return parts
        spread = np.zeros((1, len(table), table.shape[1] + 1))
        spread[0][:, self.selected] = parts[:, :-1]
        spread[0][:, -1] = parts[:, -1]
        return spread


class CrossFitter:
    """Everything that base learners are fitted on.

    Parameters
    ----------
    blocks : sequence of Block
    targets : ndarray of bool, shape (rows, locations)
    fold : ndarray of int, shape (rows,)
        From 0.
    learn : mapping of tuple of int to ndarray of bool, shape (rows, locations), optional
        Which labels may be learned from, by the folds that a fit leaves out; all, where there is none for
        them. Every row is predicted all the same.
    seed : int
    store : Store
    jobs : int or Run
        Base learners fitted at the same time, or what runs them elsewhere; the result does not depend on it.
    finished : callable
        Called with the number of base learners just finished.
    views : sequence of View
        How rows that one fold leaves out are predicted, too.
    dropout : bool
        Whether learners of one location learn from all views of their rows; a row counts once all the same.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        targets: Labels,
        fold: NDArray[np.int16],
        *,
        learn: Mapping[tuple[int, ...], Labels] | None = None,
        seed: int = 0,
        store: Store | None = None,
        jobs: int | Run = 1,
        finished: Callable[[int], None] | None = None,
        views: Sequence[View] = (),
        dropout: bool = False,
    ) -> None:
        self.views, self.dropout = tuple(views), dropout
        self.blocks = tuple(blocks)
        self.targets = targets
        self.fold = fold
        self.folds = int(fold.max()) + 1
        self.seed = seed
        self.store = MemoryStore() if store is None else store
        self.jobs = jobs
        self.finished = finished or (lambda _: None)
        self.learn = dict(learn or {})
        self._everything = np.ones(targets.shape, dtype=bool)
        self._orders: dict[tuple[int, tuple[int, ...]], NDArray[np.int32]] = {}
        self._ordering = threading.RLock()
        self._sphered: dict[tuple[int, tuple[int, ...]], Block] = {}
        digests = [block.digest for block in self.blocks]
        self.digest = key_of(digests, targets.tobytes(), fold.tobytes(), seed)

    @property
    def sources(self) -> list[Source]:
        """Every pair of a block and a kind, in the order of the last axis of `Nested`."""
        return [(number, kind) for number, block in enumerate(self.blocks) for kind in block.kinds]

    @property
    def crossed(self) -> list[int]:
        """Positions of locations that every fold has and lacks: a learner of one location needs that."""
        return [position for position, y in enumerate(self.targets.T) if crossed(y, self.fold)]

    def in_folds(
        self, fold: NDArray[np.int16], learn: Mapping[tuple[int, ...], Labels] | None = None
    ) -> "CrossFitter":
        """Return the same in some folds, learning from all labels unless it is given from which."""
        names = ("seed", "store", "jobs", "finished", "views", "dropout")
        same: dict[str, Any] = {name: getattr(self, name) for name in names}
        return CrossFitter(self.blocks, self.targets, fold, learn=learn, **same)

    def log_odds(self, fits: Sequence[Fit]) -> list[Floats]:
        """Return each fit's log-odds of the rows it was fitted without, in their order.

        Shape (rows,), or (rows, locations) for a fit of all locations.
        """
        return [found[0] for found in self.log_odds_of_views(fits)]

    def log_odds_of_views(self, fits: Sequence[Fit]) -> list[Floats]:
        """Return the same and, for fits that leave out one fold, those of every view.

        Shape (1 + views, rows) or (1 + views, rows, locations); 1 where more folds are left out.
        """
        return [self._read(fit, content) for fit, content in zip(fits, self._all(fits), strict=True)]

    def _read(self, fit: Fit, content: bytes) -> Floats:
        if fit.kept:
            rest = self._block(fit.block, fit.without).table[np.isin(self.fold, fit.without)]
            return _of_views(LEARNERS[fit.kind].from_bytes(content), rest, self._marks(fit))
        of_all = self.targets.shape[1:] if fit.location is None else ()
        values = np.frombuffer(content, dtype=np.float64)
        return values.reshape(1 + len(self._views(fit)), -1, *of_all)

    def _views(self, fit: Fit) -> tuple[View, ...]:
        return self.views if len(fit.without) == 1 else ()

    def learners(self, fits: Sequence[Fit]) -> list[BaseLearner]:
        """Return the learners of fits that keep them."""
        return [LEARNERS[f.kind].from_bytes(made) for f, made in zip(fits, self._all(fits), strict=True)]

    def final_learners(self, choices: Sequence[Choice]) -> list[FittedLearner]:
        """Fit the base learners of the final model on all rows."""
        everywhere, learners = tuple(range(self.targets.shape[1])), []
        for choice in choices:
            fits, source = choice.fits(choice.final), self.sources.index(choice.source)
            for fit, learner in zip(fits, self.learners(fits), strict=True):
                locations = everywhere if fit.location is None else (fit.location,)
                learners.append(FittedLearner(source, locations, learner, self._selected(fit)))
        return sorted(learners, key=lambda learner: (learner.source, learner.locations))

    def _all(self, fits: Sequence[Fit]) -> list[bytes]:
        """Return each fit's log-odds of the rows that it leaves out or, where it is kept, the learner."""
        keys = [self._key(fit) for fit in fits]
        contents = {key: content for key in keys if (content := self.store.get(key)) is not None}
        if contents:
            self.finished(len(contents))
        left = [(key, fit) for key, fit in zip(keys, fits, strict=True) if key not in contents]
        run = self.jobs if callable(self.jobs) else partial(_run_here, self.jobs)
        for key, content in run(self, left):
            self.store.put(key, content)
            contents[key] = content
            self.finished(1)
        return [contents[key] for key in keys]

    def _key(self, fit: Fit) -> str:
        learn = self.learn.get(fit.without)
        seen = [] if learn is None else [learn.tobytes()]
        for view in self.views if self.dropout else self._views(fit):
            marks = view.missing.get(self.blocks[fit.block].name)
            seen += [
                view.name.encode(),
                b"" if marks is None else marks.tobytes(),
                str(self.dropout).encode(),
            ]
        return key_of(self.digest, self.blocks[fit.block].digest, asdict(fit), fit.kept, *seen)

    def fitted(self, key: str, fit: Fit) -> tuple[str, bytes]:
        """Return the key, and a fit's log-odds of the rows that it leaves out or, where kept, the learner."""
        function, given, _ = self.task(key, fit)
        made: tuple[str, bytes] = function(*given)
        return made

    def task(self, key: str, fit: Fit) -> Any:
        """Return what joblib is given for a fit."""
        if fit.location is not None:
            return delayed(self._of_location)(key, fit)
        learn = self.learn.get(fit.without)
        labels = self.targets if learn is None else np.where(learn, self.targets, np.nan).astype(np.float32)
        table, held_out = self._block(fit.block, fit.without).table, np.isin(self.fold, fit.without)
        alone, own = self.blocks[fit.block].alone, {}
        if fit.kind in OF_CELLS and alone:
            others = ~np.any([*alone.values()], axis=0)
            own = {"among": alone[ALONE[fit.kind].sees] if fit.kind in ALONE else others}
        return delayed(_of_all_locations)(key, fit, table, labels, held_out, self.seed, self._marks(fit), own)

    def _marks(self, fit: Fit) -> list[Labels | None]:
        """Return which columns every view lacks; None where it lacks none of the fit's block."""
        return [view.missing.get(self.blocks[fit.block].name) for view in self._views(fit)]

    def _of_location(self, key: str, fit: Fit) -> tuple[str, bytes]:
        held_out = np.isin(self.fold, fit.without)
        selected, block = self._selected(fit), self._block(fit.block, fit.without)
        rows = np.flatnonzero(self._learned(fit.without)[:, fit.location] & ~held_out)
        seen, truth = block.table[np.ix_(rows, selected)], self.targets[rows, fit.location]
        hyperparameters = fit.hyperparameters
        if self.dropout and isinstance(hyperparameters, Hyperparameters):
            seen = np.concatenate([seen, *(view.of(block, seen, selected) for view in self.views)])
            truth = np.tile(truth, 1 + len(self.views))
            hyperparameters = hyperparameters.for_copies(1 + len(self.views))
        bins = block.bins if like(fit.kind) in TREES else None
        shared = {} if bins is None else {"bins": bins[:, selected]}
        learner = LEARNERS[fit.kind].fit(seen, truth, hyperparameters, self.seed, **shared)
        if not fit.without:
            return key, learner.to_bytes()
        rest = block.table[np.ix_(np.flatnonzero(held_out), selected)]
        return key, self._predicted(learner, fit, rest, selected).tobytes()

    def _predicted(self, learner: BaseLearner, fit: Fit, rest: Table, selected: NDArray[np.int64]) -> Floats:
        """Return log-odds of rows and of their views, in `log_odds_of_views`' order."""
        block = self.blocks[fit.block]
        views = [view.of(block, rest, selected) for view in self._views(fit)]
        return np.stack([learner.log_odds(table) for table in (rest, *views)])

    def _block(self, block: int, without: tuple[int, ...]) -> Block:
        """Return a block as a fit sees it that leaves out some folds; the last few that were sphered stay."""
        plain = self.blocks[block]
        if plain.reference is None:
            return plain
        with self._ordering:
            if (block, without) not in self._sphered:
                while len(self._sphered) >= _KEPT:
                    del self._sphered[next(iter(self._sphered))]
                sphering = Sphering().fit(plain.table[plain.reference & ~np.isin(self.fold, without)])
                table = sphering.transform(plain.table).astype(np.float32)
                self._sphered[block, without] = replace(plain, table=table)
            return self._sphered[block, without]

    def spherings(self) -> dict[str, Sphering]:
        """Return the sphering of each block that is sphered, by all reference rows."""
        return {
            block.name: Sphering().fit(block.table[block.reference])
            for block in self.blocks
            if block.reference is not None
        }

    def _learned(self, without: tuple[int, ...]) -> Labels:
        return self.learn.get(without, self._everything)

    def _selected(self, fit: Fit) -> NDArray[np.int64]:
        if fit.location is None or not isinstance(fit.hyperparameters, Hyperparameters):
            return np.arange(len(self.blocks[fit.block].columns))
        order = self._order(fit.block, fit.without)[fit.location]
        if fit.kind in ALONE:
            order = order[self.blocks[fit.block].alone[ALONE[fit.kind].sees][order]]
        return np.sort(order[: fit.hyperparameters.columns]).astype(np.int64)

    def _order(self, block: int, without: tuple[int, ...]) -> NDArray[np.int32]:
        """Return columns by separation for every location, found once per block and folds left out.

        Columns are ranked once for all such fits, unless these sphere the block, each in its own way.
        """
        with self._ordering:
            if (block, without) not in self._orders:
                alone = self.blocks[block].reference is not None
                sizes = range(3) if len(without) < 3 else [len(without)]
                like = (some for size in sizes for some in combinations(range(self.folds), size))
                asked = [without] if alone else list(dict.fromkeys([without, *like]))
                weights = [self._weights(one) for one in asked]
                orders = columns_by_separation(self._block(block, without).table, weights)
                self._orders |= {(block, one): order for one, order in zip(asked, orders, strict=True)}
            return self._orders[block, without]

    def _weights(self, without: tuple[int, ...]) -> Table:
        """Return the weights of rows for every location, those of some folds left out."""
        inside = ~np.isin(self.fold, without)
        pairs = zip(self.targets.T, self._learned(without).T, strict=True)
        return np.stack([class_weights(y, inside & some) for y, some in pairs])


def _run_here(jobs: int, fitter: CrossFitter, fits: Sequence[tuple[str, Fit]]) -> Iterable[tuple[str, bytes]]:
    """Run fits on this machine."""
    # Trees grow in threads: both libraries leave Python's lock while they work, and tables are shared.
    backend = "loky" if any(fit.kind in (*OF_NETWORKS, *OF_CELLS) for _, fit in fits) else "threading"
    run = Parallel(jobs, backend=backend, return_as="generator_unordered")
    yield from run(fitter.task(key, fit) for key, fit in fits)


def _of_all_locations(
    key: str,
    fit: Fit,
    table: Table,
    labels: NDArray[Any],
    held_out: Labels,
    seed: int,
    marks: Sequence[Labels | None],
    own: Mapping[str, Labels],
) -> tuple[str, bytes]:
    """Fit a learner of all locations, in a process of its own: torch has one random state per process."""
    with threadpool_limits(1):
        learner = LEARNERS[fit.kind].fit(
            table[~held_out], labels[~held_out], fit.hyperparameters, seed, **own
        )
        return key, learner.to_bytes() if fit.kept else _of_views(learner, table[held_out], marks).tobytes()


def _of_views(learner: BaseLearner, rest: Table, marks: Sequence[Labels | None]) -> Floats:
    """Return log-odds of rows and of their views, without the columns that are marked."""
    plain = learner.log_odds(rest)
    views = [
        plain if some is None else learner.log_odds(np.where(some, np.float32(np.nan), rest))
        for some in marks
    ]
    return np.stack([plain, *views])


def crossed(positive: NDArray[np.bool_], fold: NDArray[np.int16]) -> bool:
    """Say whether every fold, from 0 to the last, holds positives and negatives; both of shape (rows,)."""
    parts = [positive[fold == number] for number in range(int(fold.max(initial=-1)) + 1)]
    return bool(parts) and all(part.any() and not part.all() for part in parts)
