"""Train the stack: one estimator from a table to a model, with honest out-of-fold answers on the way."""

from collections.abc import Callable, Mapping, Sequence
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from optuna.storages import BaseStorage
from sklearn.base import BaseEstimator
from threadpoolctl import threadpool_limits

from models.crossfit import EXTRA, Block, Level0, Store
from models.heads import Head, fit_head, nested_answers
from models.nested import final_boosters, fits_needed, nested_margins
from models.stack import STACK, TOP_TWO, StackModel

MINIMUM_FOLDS = 3
"""Level 0 leaves out two folds at a time, and has to keep one."""


COVERED = 0.99
"""Share of rows with a trained location from which the stack always answers its likeliest one.

Every protein is somewhere, but where many are somewhere without a model, an answer at any price
is mostly wrong.
"""


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
        How thresholds are chosen, one of `models.thresholds.RULES` or ``nested``.
    top_two : tuple of str
        The two locations that have a model of their own, where both are trained.

    Attributes
    ----------
    model_ : StackModel
    out_of_fold_ : dict
        Name of a head to `Answers` for every row of a fold, by models that saw nothing of the row's fold.
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
        learn: NDArray[np.bool_] | None = None,
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
            From 0; at least `MINIMUM_FOLDS` of them. See `models.folds`. Rows of the fold
            `models.crossfit.EXTRA` help every booster, and are neither answered nor scored.
        learn : ndarray of bool, shape (rows, locations), optional
            Which rows the boosters of a location may learn from; all unless given.
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
        learn = np.ones_like(targets) if learn is None else learn
        self._check(X, Y, fold, learn)
        blocks = [Block.of(name, table) for name, table in X.items()]
        level0 = Level0(
            blocks,
            targets,
            fold,
            learn=learn,
            seed=self.seed,
            store=store,
            jobs=self.jobs,
            finished=finished,
        )
        answered = fold != EXTRA
        # One thread in linear algebra: sums split over threads differ in their last bits.
        with threadpool_limits(1, user_api="blas"):
            whole = nested_margins(level0, trials=self.trials, storage=storage, note=note)
            heads = self._heads(list(Y.columns), always=bool(targets[answered].any(axis=1).mean() >= COVERED))
            rest = (targets[answered], fold[answered], self.rule)
            nested = whole.rows(answered)
            self.out_of_fold_ = {
                name: nested_answers(head, nested.inner, nested.outer, *rest) for name, head in heads.items()
            }
            fitted = {name: fit_head(head, nested.final, *rest) for name, head in heads.items()}
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

    def _heads(self, locations: Sequence[str], *, always: bool) -> dict[str, Head]:
        everywhere = tuple(range(len(locations)))
        heads = {STACK: Head(STACK, everywhere, always)}
        if set(self.top_two) <= set(locations):
            heads[TOP_TWO] = Head(TOP_TWO, tuple(locations.index(name) for name in self.top_two))
        return heads | {name: Head(name, (position,)) for position, name in enumerate(locations)}

    def _check(
        self,
        X: Mapping[str, pd.DataFrame],
        Y: pd.DataFrame,
        fold: NDArray[np.int16],
        learn: NDArray[np.bool_],
    ) -> None:
        folds = np.unique(fold[fold != EXTRA])
        if len(folds) < MINIMUM_FOLDS or not np.array_equal(folds, np.arange(len(folds))):
            raise ValueError(f"folds must be 0, 1, 2 or more without gaps, not {folds.tolist()}")
        pairs = zip(Y.columns, Y.to_numpy(dtype=bool).T, learn.T, strict=True)
        lacking = [name for name, y, some in pairs if not crossed(y[some], fold[some])]
        if lacking:
            raise ValueError(f"no positives or no negatives in some fold: {', '.join(lacking)}")
        columns = pd.Index([column for table in X.values() for column in table.columns])
        if not columns.is_unique:
            raise ValueError(f"column '{columns[columns.duplicated()][0]}' occurs in two blocks")
        uneven = [name for name, table in X.items() if not table.index.equals(Y.index)]
        if uneven:
            raise ValueError(f"rows of block '{uneven[0]}' are not those of the targets")


def crossed(positive: NDArray[np.bool_], fold: NDArray[np.int16]) -> bool:
    """Say whether every fold, from 0 to the last, holds positives and negatives; both of shape (rows,)."""
    parts = [positive[fold == number] for number in range(int(fold.max(initial=-1)) + 1)]
    return bool(parts) and all(part.any() and not part.all() for part in parts)
