"""The stack: one estimator from tables to a model, with nested out-of-fold predictions on the way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from threadpoolctl import threadpool_limits

from models.blocks import Roles, View
from models.cross_fitting import Choice, CrossFitter, Labels, Run
from models.group_answers import answer_groups
from models.hyperparameters import CELLS, KINDS, Kind
from models.label_noise import deleted, masks
from models.learner_store import Store
from models.meta_learner import (
    MetaLearner,
    Predictions,
    decide_folds,
    fit_meta_learner,
    mean_group_size,
    nested_predictions,
    outer_folds,
)
from models.nested import Nested, fits_needed, learners_by_fold, nested_log_odds
from models.stack_model import STACK, TOP_TWO, StackModel
from models.tuning import Tuning, choose

Floats = NDArray[np.float64]
Filters = Mapping[str, Labels]
Tables = list[NDArray[np.float32]]


MINIMUM_FOLDS = 3
"""Base learners leave out two folds at a time, and have to keep one."""

VERSION = 11
"""Raised when the same inputs and hyperparameters give another model."""

WITHOUT_SELECTION = "without selection"
RANDOM_SPLIT = "random split"
"""The stack once more: learning from all labels, and in folds that ignore groups."""


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
