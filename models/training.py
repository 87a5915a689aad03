"""Train the stack: one estimator from a table to a model, with honest out-of-fold answers on the way."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from optuna.storages import BaseStorage
from sklearn.base import BaseEstimator
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no types

from models.crossfit import Block, Level0, Store
from models.heads import Answers, FittedHead, Head, fit_head, nested_answers
from models.nested import Nested, final_boosters, fits_needed, nested_margins
from models.stack import STACK, TOP_TWO, StackModel

MINIMUM_FOLDS = 3
"""Level 0 leaves out two folds at a time, and has to keep one."""


class StackedLocations(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Boosters per location and block, joined by linear heads.

    Parameters
    ----------
    trials : int
        Settings tried per library, block and stratum of locations, beside the defaults.
    seed : int
    jobs : int
        Boosters fitted at the same time; the result does not depend on it.
    rule : str
        How thresholds are chosen, one of `models.thresholds.RULES`.
    top_two : tuple of str
        The two locations that have a model of their own, where both are trained.

    Attributes
    ----------
    model_ : StackModel
    out_of_fold_ : dict
        Name of a head to `Answers` for every row, by models that saw nothing of the row's fold.
    """

    def __init__(
        self,
        trials: int = 0,
        seed: int = 0,
        jobs: int = 1,
        rule: str = "f1_shrunk",
        top_two: tuple[str, str] = ("Nucleoplasm", "Cytosol"),
    ) -> None:
        self.trials = trials
        self.seed = seed
        self.jobs = jobs
        self.rule = rule
        self.top_two = top_two

    def fit(
        self,
        X: Mapping[str, pd.DataFrame],
        Y: pd.DataFrame,
        fold: NDArray[np.int16],
        *,
        store: Store | None = None,
        storage: BaseStorage | None = None,
        finished: Callable[[int], None] | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> Self:
        """Cross-fit, tune, and fit the final model.

        Parameters
        ----------
        X : mapping of str to DataFrame
            Blocks of columns by name, rows as in `Y`; no column name occurs twice.
        Y : DataFrame of bool
            Rows x locations; every location has positives and negatives in every fold.
        fold : ndarray of int, shape (rows,)
            From 0; at least `MINIMUM_FOLDS` of them. See `models.folds`.
        store : Store, optional
            Where finished boosters are kept, for going on after an interruption.
        storage : optuna storage, optional
            Where the studies are kept.
        finished, note : callable, optional
            Told the number of boosters just finished, and lines worth reading.

        Raises
        ------
        ValueError
            If there are too few folds, or a location cannot be cross-validated.
        """
        targets = Y.to_numpy(dtype=bool)
        self._check(X, Y, fold)
        blocks = [Block.of(name, table) for name, table in X.items()]
        level0 = Level0(blocks, targets, fold, seed=self.seed, store=store, jobs=self.jobs, finished=finished)
        # One thread in linear algebra: sums split over threads differ in their last bits.
        with threadpool_limits(1, user_api="blas"):
            nested = nested_margins(level0, trials=self.trials, storage=storage, note=note)
            heads = self._heads(list(Y.columns))
            self.out_of_fold_ = {name: self._answer(head, nested, level0) for name, head in heads.items()}
            fitted = {name: self._fit_head(head, nested, level0) for name, head in heads.items()}
            boosters = final_boosters(level0, nested.settings)
        columns = {block.name: block.columns for block in blocks}
        self.model_ = StackModel(tuple(Y.columns), columns, boosters, fitted)
        return self

    def fits_needed(self, locations: int, blocks: int, folds: int) -> int:
        """Count the boosters of a training at most, for progress."""
        return fits_needed(locations, blocks, folds, self.trials)

    def predict_proba(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the stack's probabilities, rows x locations, of a table with all blocks' columns."""
        return self.model_.predict(X).probability

    def predict(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the stack's choices, rows x locations."""
        return self.model_.predict(X).chosen

    def _heads(self, locations: Sequence[str]) -> dict[str, Head]:
        everywhere = tuple(range(len(locations)))
        heads = {STACK: Head(STACK, everywhere, always=True)}
        if set(self.top_two) <= set(locations):
            heads[TOP_TWO] = Head(TOP_TWO, tuple(locations.index(name) for name in self.top_two))
        return heads | {name: Head(name, (position,)) for position, name in enumerate(locations)}

    def _answer(self, head: Head, nested: Nested, level0: Level0) -> Answers:
        return nested_answers(head, nested.inner, nested.outer, level0.targets, level0.fold, self.rule)

    def _fit_head(self, head: Head, nested: Nested, level0: Level0) -> FittedHead:
        return fit_head(head, nested.final, level0.targets, level0.fold, self.rule)

    def _check(self, X: Mapping[str, pd.DataFrame], Y: pd.DataFrame, fold: NDArray[np.int16]) -> None:
        folds = np.unique(fold)
        if len(folds) < MINIMUM_FOLDS or not np.array_equal(folds, np.arange(len(folds))):
            raise ValueError(f"folds must be 0, 1, 2 or more without gaps, not {folds.tolist()}")
        lacking = [name for name in Y.columns if not crossed(Y[name].to_numpy(dtype=bool), fold)]
        if lacking:
            raise ValueError(f"no positives or no negatives in some fold: {', '.join(lacking)}")
        columns = pd.Index([column for table in X.values() for column in table.columns])
        if not columns.is_unique:
            raise ValueError(f"column '{columns[columns.duplicated()][0]}' occurs in two blocks")
        uneven = [name for name, table in X.items() if not table.index.equals(Y.index)]
        if uneven:
            raise ValueError(f"rows of block '{uneven[0]}' are not those of the targets")


def crossed(positive: NDArray[np.bool_], fold: NDArray[np.int16]) -> bool:
    """Say whether every fold holds positives and negatives; both of shape (rows,)."""
    folds: list[Any] = list(np.unique(fold))
    return all(positive[fold == number].any() and not positive[fold == number].all() for number in folds)
