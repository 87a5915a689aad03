"""The stack: one estimator from tables to a model, with nested out-of-fold predictions on the way.

A prediction's log-odds are a weighted sum of the base learners' log-odds, so they split exactly into
contributions: those of columns within each learner (TreeSHAP, or weights), times the learner's weight.
Learners of all locations contribute as one pseudo-column each.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator
from threadpoolctl import threadpool_limits

from models.blocks import Roles, View
from models.cross_fitting import Choice, CrossFitter, FittedLearner, Labels, Run, Source
from models.group_answers import answer_groups
from models.hyperparameters import CELLS, JOINT_KINDS, KINDS, Kind
from models.label_noise import deleted, masks
from models.learner_store import Store
from models.meta_learner import (
    FittedMetaLearner,
    MetaLearner,
    Predictions,
    decide_folds,
    fit_meta_learner,
    mean_group_size,
    nested_predictions,
    outer_folds,
)
from models.nested import Nested, fits_needed, learners_by_fold, nested_log_odds
from models.normalisation import Sphering
from models.tuning import Tuning, choose

Floats = NDArray[np.float64]
Filters = Mapping[str, Labels]
Tables = list[NDArray[np.float32]]

STACK = "stack"
TOP_TWO = "top two"
BIAS = "bias"

MINIMUM_FOLDS = 3
"""Base learners leave out two folds at a time, and have to keep one."""

VERSION = 10
"""Raised when the same inputs and hyperparameters give another model."""

WITHOUT_SELECTION = "without selection"
RANDOM_SPLIT = "random split"
"""The stack once more: learning from all labels, and in folds that ignore groups."""

_EXPLAINED = 64
"""Rows explained at a time."""


@dataclass(frozen=True)
class Prediction:
    """Predictions for a table of pictures; both tables, of float and of bool, are rows x locations."""

    probability: pd.DataFrame
    chosen: pd.DataFrame


@dataclass(frozen=True)
class StackModel:
    """A trained model of some locations: what a bundle holds.

    Blocks are columns by name; sources are blocks and kinds of base learners in the order of their log-odds.
    Meta-learners are ``stack``, ``top two`` (where both locations are trained) and one per location, by the
    location's name. Spherings are of blocks, where rows were sphered.
    """

    locations: tuple[str, ...]
    blocks: Mapping[str, tuple[str, ...]]
    sources: tuple[Source, ...]
    learners: list[FittedLearner]
    meta_learners: Mapping[str, FittedMetaLearner]
    spherings: Mapping[str, Sphering] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """Columns that a table must have."""
        return [column for columns in self.blocks.values() for column in columns]

    @cached_property
    def index(self) -> pd.Index:
        """The columns as an index: a table that is made with it is not searched for them."""
        return pd.Index(self.columns)

    @property
    def contributors(self) -> list[str]:
        """What log-odds split into: columns, and ``cnn__<block>__<kind>`` for a learner of all locations."""
        return [name for names in self._contributors().values() for name in names]

    def predict(self, X: pd.DataFrame, name: str = STACK) -> Prediction:
        """Predict every row of a table by one of the meta-learners; ValueError where columns are missing."""
        fitted = self.meta_learners[name]
        probability = expit(fitted.log_odds(self.base_log_odds(X)))
        names = [self.locations[position] for position in fitted.meta.locations]
        return Prediction(
            pd.DataFrame(probability, index=X.index, columns=names),
            pd.DataFrame(fitted.chosen(probability), index=X.index, columns=names),
        )

    def base_log_odds(self, X: pd.DataFrame) -> Floats:
        """Return the base learners' log-odds, shape (rows, locations, sources); 0 where there is none."""
        tables = self._tables(X)
        result = np.zeros((len(X), len(self.locations), len(self.sources)))
        for learner in self.learners:
            block = self.sources[learner.source][0]
            result[:, learner.locations, learner.source] = learner.log_odds(tables[block])
        return result

    def contributions(self, X: pd.DataFrame, location: str, name: str = STACK) -> pd.DataFrame:
        """Split a location's log-odds into contributions: the `contributors` and, last, ``bias``.

        A row sums to the meta-learner's log-odds. ValueError without a model, or if a column is missing.
        """
        if location not in self.locations:
            raise ValueError(f"unknown location '{location}'; known: {', '.join(self.locations)}")
        parts = self._contributions(self._tables(X), name, [self.locations.index(location)])[0]
        return pd.DataFrame(parts, index=X.index, columns=[*self.contributors, BIAS])

    def effects(
        self,
        X: pd.DataFrame,
        finished: Callable[[int], None] = lambda _: None,
        run: Callable[[Sequence[tuple[Tables, Floats]]], Iterator[Floats]] | None = None,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return what every contributor does to each location in the stack: how much, and which way.

        Both tables are `contributors` x locations: mean absolute contributions, as shares of their sum; and
        the correlation over rows between the rank of a column's value and its contribution, 1 where more of
        it speaks for the location, NaN where that never changes or there is no column. `finished` gets the
        number of rows just explained; `run` does `terms` of blocks elsewhere.
        """
        names, columns = self.contributors, self._named()
        order = X.reindex(columns=names).rank()
        ranks = (order - order.mean()).fillna(0).to_numpy(np.float64)  # 0 where a value is missing
        sums = np.zeros((4, len(columns), len(names)))
        blocks = [(tables, ranks[rows]) for rows, tables in self.in_blocks(X)]
        for block, terms in zip(blocks, map(self.terms, blocks) if run is None else run(blocks), strict=True):
            sums += terms
            finished(len(block[1]))
        totals, mean, square, cross = sums
        shares = totals / np.maximum(totals.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        spread = np.sqrt(np.maximum(square - mean**2 / len(X), 0) * (ranks**2).sum(axis=0))
        still = spread <= 1e-9 * np.maximum(totals, 1e-9)
        way = np.where(still, np.nan, cross / np.where(still, 1, spread))
        return pd.DataFrame(shares.T, names, columns), pd.DataFrame(way.T, names, columns)

    def terms(self, block: tuple[Tables, Floats]) -> Floats:
        """Return the sums over a block's rows that `effects` adds up, shape (4, locations, contributors)."""
        tables, ranks = block
        each = (parts[:, :-1] for parts in self.split(tables).values())
        return np.stack([[one.sum(axis=0) for one in (np.abs(p), p, p**2, ranks * p)] for p in each], axis=1)

    def in_blocks(self, X: pd.DataFrame) -> Iterator[tuple[slice, Tables]]:
        """Yield some rows after the other, with the tables that base learners see of them."""
        tables = self._tables(X)
        for start in range(0, len(X), _EXPLAINED):
            rows = slice(start, min(start + _EXPLAINED, len(X)))
            yield rows, [table[rows] for table in tables]

    def split(self, tables: Tables) -> dict[str, Floats]:
        """Return the `contributions` of all locations, by location, to rows that `in_blocks` yielded."""
        parts = self._contributions(tables, STACK, self.meta_learners[STACK].meta.locations)
        return dict(zip(self._named(), parts, strict=True))

    def _named(self) -> list[str]:
        return [self.locations[k] for k in self.meta_learners[STACK].meta.locations]

    def _contributions(self, tables: Tables, name: str, wanted: Sequence[int]) -> list[Floats]:
        """Return contributions and bias, shape (rows, contributors + 1), of each wanted location."""
        fitted = self.meta_learners[name]
        linear = [fitted.linear[fitted.meta.locations.index(position)] for position in wanted]
        results = [np.zeros((len(tables[0]), len(self.contributors) + 1)) for _ in wanted]
        for result, function in zip(results, linear, strict=True):
            result[:, -1] = function.bias
        slices = self._slices()
        for learner in self.learners:
            asked = [position for position in learner.locations if position in fitted.meta.locations]
            if not asked:
                continue
            parts = learner.contributions(tables[self.sources[learner.source][0]])
            for position in asked:
                part = parts[learner.locations.index(position)]
                index = fitted.meta.locations.index(position) * len(self.sources) + learner.source
                for result, function in zip(results, linear, strict=True):
                    result[:, slices[learner.source]] += function.weights[index] * part[:, :-1]
                    result[:, -1] += function.weights[index] * part[:, -1]
        return results

    def _contributors(self) -> dict[tuple[int, str], tuple[str, ...]]:
        """Return names of contributors by block and, for a learner of all locations, kind."""
        names, columns = list(self.blocks), list(self.blocks.values())
        return {
            _share_of(source): (
                (f"cnn__{names[source[0]]}__{source[1]}",) if source[1] in JOINT_KINDS else columns[source[0]]
            )
            for source in self.sources
        }

    def _slices(self) -> list[slice]:
        """Return which contributors every source adds to."""
        slices, start = {}, 0
        for key, names in self._contributors().items():
            slices[key] = slice(start, start + len(names))
            start += len(names)
        return [slices[_share_of(source)] for source in self.sources]

    def _tables(self, X: pd.DataFrame) -> Tables:
        if not X.columns.equals(self.index):
            missing = self.index.difference(X.columns, sort=False)
            if len(missing):
                shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
                raise ValueError(f"{len(missing)} columns of the model are missing from the table: {shown}")
            X = X[self.index]
        ends = np.cumsum([len(columns) for columns in self.blocks.values()])
        parts = np.split(X.to_numpy(np.float32), ends[:-1], axis=1)
        tables = {name: np.ascontiguousarray(part) for name, part in zip(self.blocks, parts, strict=True)}
        with threadpool_limits(1, user_api="blas"):  # as in training
            for name, sphering in self.spherings.items():
                tables[name] = sphering.transform(tables[name]).astype(np.float32)
        return list(tables.values())


def _share_of(source: Source) -> tuple[int, str]:
    """Return what a source's contributions are added up with: its block's columns, or its own."""
    block, kind = source
    return block, kind if kind in JOINT_KINDS else ""


class StackedLocations(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base learners on blocks of columns, combined by linear meta-learners.

    Parameters
    ----------
    tuning : Tuning
        How hyperparameters are chosen; unless given, the defaults are used.
    seed : int
    jobs : int or Run
        Base learners fitted at the same time, or what runs them elsewhere; the result does not depend on it.
    rule : str
        How thresholds are chosen, one of `models.thresholds.RULES` or ``nested``.
    top_two : tuple of str
        The two locations that have a model of their own, where both are trained.
    kinds : tuple of str
        Kinds of base learners on each block, one per location.
    of_networks : tuple of str
        Blocks that hold other networks' predictions, one column per network and location of Y, network by
        network (see `models.base_learners.votes`). The learners of all locations are trained on them.
    starts : tuple of str
        Blocks that hold a network's log-odds, one column per location of Y, which the meta-learner starts at.
    alone : mapping of str to tuple of str
        Columns, of pictures and of cells, that base learners of their own see, by what they are: see
        `models.hyperparameters.ALONE`.
    always : bool
        Whether every row gets its most probable location, however improbable.

    Attributes
    ----------
    model_ : StackModel
    out_of_fold_ : dict
        Name of a meta-learner to `Predictions` for every row, by models that saw nothing of the row's fold.
        Also, where asked for, `WITHOUT_SELECTION` and `RANDOM_SPLIT`; and the stack on every view of the
        rows, by its name.
    nested_ : Nested
        The base learners' log-odds behind the predictions.
    group_answers_ : GroupAnswers
        The stack's answers of groups.
    cell_learners_ : list of BaseLearner
        Those that answer single cells, by the fold that they saw nothing of; empty without cells.
    deleted_ : dict
        Name of a filter to the labels, rows x locations, that it kept from the base learners.
    """

    def __init__(
        self,
        tuning: Tuning | None = None,
        seed: int = 0,
        jobs: int | Run = 1,
        rule: str = "half_f1",
        top_two: tuple[str, str] = ("Nucleoplasm", "Cytosol"),
        kinds: tuple[Kind, ...] = KINDS,
        of_networks: tuple[str, ...] = (),
        starts: tuple[str, ...] = (),
        alone: Mapping[str, tuple[str, ...]] | None = None,
        always: bool = False,
    ) -> None:
        self.tuning = tuning
        self.seed = seed
        self.jobs = jobs
        self.rule = rule
        self.top_two = top_two
        self.kinds = kinds
        self.of_networks = of_networks
        self.starts = starts
        self.alone = alone
        self.always = always

    def fit(
        self,
        X: Mapping[str, pd.DataFrame],
        Y: pd.DataFrame,
        fold: NDArray[np.int16],
        *,
        groups: NDArray[np.generic] | None = None,
        keep: Filters | None = None,
        confident: bool = False,
        random_fold: NDArray[np.int16] | None = None,
        views: Sequence[View] = (),
        dropout: bool = False,
        reference: Labels | None = None,
        store: Store | None = None,
        finished: Callable[[int], None] | None = None,
    ) -> Self:
        """Tune, cross-fit and train.

        Parameters
        ----------
        X : mapping of str to DataFrame
            Blocks of columns, by name, with the rows of Y; `models.bags` is about the block ``cells``.
        Y : DataFrame of bool
            Rows x locations; every location has positives and negatives in every fold or, where blocks hold
            networks' predictions or log-odds, in any.
        fold : ndarray of int, shape (rows,)
            From 0; at least `MINIMUM_FOLDS` of them. See `models.folds`.
        groups : ndarray, shape (rows,), optional
            What no fold splits; unless given, every row counts as independent.
        keep : mapping of str to ndarray of bool, shape (rows, locations), optional
            Filters by name: which labels base learners may learn from. See `models.label_noise`.
        confident : bool
            Filter by confident learning, too.
        random_fold : ndarray of int, shape (rows,), optional
            Folds that ignore groups, for predictions that show how optimistic that is.
        reference : ndarray of bool, shape (rows,), optional
            Rows by which blocks of columns are sphered, in every fit by those that it learns from.
        views : sequence of View, optional
            Columns that may be missing in other tables: rows are predicted without them, too.
        dropout : bool
            Whether base learners of one location learn from rows without these columns, too.
        store : Store, optional
            Where finished base learners are stored, so that an interrupted training can be resumed.
        finished : callable, optional
            Called with the number of base learners just finished.

        Raises
        ------
        ValueError
            If there are too few folds, or a location cannot be cross-validated.
        """
        targets = Y.to_numpy(dtype=bool)
        fitter = CrossFitter(
            self._roles.blocks(X, reference),
            targets,
            fold,
            seed=self.seed,
            store=store,
            jobs=self.jobs,
            finished=finished,
            views=views,
            dropout=dropout,
        )
        self._check(X, Y, fitter)
        # One thread in linear algebra: sums split over threads differ in their last bits.
        with threadpool_limits(1, user_api="blas"):
            units = np.arange(len(Y)) if groups is None else groups
            self._fit(fitter, list(Y.columns), keep or {}, units.astype(str), confident=confident)
            if random_fold is not None:
                self.out_of_fold_[RANDOM_SPLIT] = self._random(fitter.in_folds(random_fold))
        return self

    def fits_needed(self, blocks: Mapping[str, pd.DataFrame], locations: int, folds: int) -> int:
        """Count the base learners of a training at most, for progress."""
        kinds = (self._roles.kinds_on(name, table.columns) for name, table in blocks.items())
        return fits_needed(kinds, locations, folds, (self.tuning or Tuning()).trials)

    @property
    def _roles(self) -> Roles:
        return Roles(self.kinds, self.of_networks, self.starts, self.alone or {})

    def _fit(
        self,
        fitter: CrossFitter,
        names: list[str],
        keep: Filters,
        groups: NDArray[np.str_],
        *,
        confident: bool,
    ) -> None:
        self.choices_ = choose(fitter, self.tuning or Tuning())
        metas = self._meta_learners(names, mean_group_size(groups))
        self.deleted_ = deleted(fitter, keep, confident=confident)
        whole = nested_log_odds(fitter, self.choices_)
        more = {}
        if self.deleted_:
            more[WITHOUT_SELECTION] = self._predictions(fitter, whole, metas[STACK])
            learn = masks(fitter, list(keep.values()), confident=confident)
            fitter = fitter.in_folds(fitter.fold, learn)
            whole = nested_log_odds(fitter, self.choices_)
        self.nested_ = whole
        for name, outer in whole.views.items():
            more[name] = self._predictions(fitter, replace(whole, outer=outer), metas[STACK])
        known = fitter.targets, fitter.fold
        parts = outer_folds(metas[STACK], whole, *known)
        of_stack = {STACK: decide_folds(parts, *known, self.rule, always=self.always)}
        self.group_answers_ = answer_groups(parts, *known, groups, self.rule, always=self.always)
        others = {n: self._predictions(fitter, whole, one) for n, one in metas.items() if n != STACK}
        self.out_of_fold_ = of_stack | others | more
        fitted = {n: fit_meta_learner(meta, whole.final, *known, self.rule) for n, meta in metas.items()}
        self.cell_learners_ = learners_by_fold(fitter, self.choices_, CELLS)
        columns = {block.name: block.columns for block in fitter.blocks}
        learners = fitter.final_learners(self.choices_)
        sources, spherings = tuple(fitter.sources), fitter.spherings()
        self.model_ = StackModel(tuple(names), columns, sources, learners, fitted, spherings)

    def _random(self, fitter: CrossFitter) -> Predictions:
        """Predict in folds that ignore groups, with the hyperparameters of the final model."""
        choices = [Choice.same(c.source, c.positions, fitter.folds, c.final) for c in self.choices_]
        whole = nested_log_odds(fitter, choices)
        return self._predictions(fitter, whole, self.model_.meta_learners[STACK].meta)

    def _predictions(self, fitter: CrossFitter, whole: Nested, meta: MetaLearner) -> Predictions:
        return nested_predictions(meta, whole, fitter.targets, fitter.fold, self.rule)

    def _meta_learners(self, names: list[str], size: float) -> dict[str, MetaLearner]:
        metas = {STACK: MetaLearner(STACK, tuple(range(len(names))), self.always, size)}
        if set(self.top_two) <= set(names):
            both = tuple(names.index(name) for name in self.top_two)
            metas[TOP_TWO] = MetaLearner(TOP_TWO, both, group_size=size)
        return metas | {name: MetaLearner(name, (k,), group_size=size) for k, name in enumerate(names)}

    def _check(self, X: Mapping[str, pd.DataFrame], Y: pd.DataFrame, fitter: CrossFitter) -> None:
        folds = np.unique(fitter.fold)
        if len(folds) < MINIMUM_FOLDS or not np.array_equal(folds, np.arange(len(folds))):
            raise ValueError(f"folds must be 0, 1, 2 or more without gaps, not {folds.tolist()}")
        columns = pd.Index([column for table in X.values() for column in table.columns])
        if not columns.is_unique:
            raise ValueError(f"column '{columns[columns.duplicated()][0]}' occurs in two blocks")
        uneven = [name for name, table in X.items() if not table.index.equals(Y.index)]
        if uneven:
            raise ValueError(f"rows of block '{uneven[0]}' are not those of the targets")
        joint = [name for name in X if name in self._roles.joint]
        known = range(Y.shape[1]) if joint else fitter.crossed
        uniform = Y.all() | ~Y.any()
        lacking = [str(name) for k, name in enumerate(Y.columns) if k not in known or uniform.iloc[k]]
        if lacking:
            raise ValueError(f"no positives or no negatives in some fold: {', '.join(lacking)}")
        wrong = [name for name in joint if X[name].shape[1] % Y.shape[1]]
        if wrong:
            raise ValueError(f"block '{wrong[0]}' has not one column per network and location")
