"""Train the stack: one estimator from a table to a model, with honest out-of-fold answers on the way."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from threadpoolctl import threadpool_limits

from models.choosing import Tuning, choose
from models.cross_fitting import EXTRA, Block, Labels, Level0, Store
from models.hyperparameters import BINARY_KINDS, Kind
from models.label_noise import deleted, masks
from models.meta_learner import Answers, Head, fit_head, mean_group_size, nested_answers
from models.nested import Chosen, Nested, final_members, fits_needed, nested_margins, sources
from models.stack import STACK, TOP_TWO, StackModel

MINIMUM_FOLDS = 3
"""Level 0 leaves out two folds at a time, and has to keep one."""

COVERED = 0.99
"""Share of rows with a trained location from which the stack always answers its likeliest one.

Every protein is somewhere, but where many are somewhere without a model, an answer at any price
is mostly wrong.
"""

VERSION = 2
"""Raised when the same inputs and settings give another model."""

WITHOUT_SELECTION = "without selection"
RANDOM_SPLIT = "random split"
"""The stack once more: learning from all labels, and in folds that ignore groups."""

Always = Literal["auto", "yes", "no"]


class StackedLocations(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Boosters per location and block, joined by linear heads.

    Parameters
    ----------
    tuning : Tuning
        How settings are chosen; unless given, the defaults are used.
    seed : int
    jobs : int
        Boosters fitted at the same time; the result does not depend on it.
    rule : str
        How thresholds are chosen, one of `models.thresholds.RULES` or ``nested``.
    top_two : tuple of str
        The two locations that have a model of their own, where both are trained.
    kinds : tuple of str
        Kinds of boosters on each block.
    always : {"auto", "yes", "no"}
        Whether every row gets its likeliest location; "auto": where nearly all training rows have one.

    Attributes
    ----------
    model_ : StackModel
    out_of_fold_ : dict
        Name of a head to `Answers` for every row of a fold, by models that saw nothing of the row's fold.
        Also, where asked for, `WITHOUT_SELECTION` and `RANDOM_SPLIT`.
    nested_ : Nested
        Level 0's log-odds behind the answers.
    deleted_ : dict
        Name of a filter to the labels, rows x locations, that it kept from the boosters.
    """

    def __init__(
        self,
        tuning: Tuning | None = None,
        seed: int = 0,
        jobs: int = 1,
        rule: str = "f1_shrunk",
        top_two: tuple[str, str] = ("Nucleoplasm", "Cytosol"),
        kinds: tuple[Kind, ...] = BINARY_KINDS,
        always: Always = "auto",
    ) -> None:
        self.tuning = tuning
        self.seed = seed
        self.jobs = jobs
        self.rule = rule
        self.top_two = top_two
        self.kinds = kinds
        self.always = always

    def fit(
        self,
        X: Mapping[str, pd.DataFrame],
        Y: pd.DataFrame,
        fold: NDArray[np.int16],
        *,
        groups: NDArray[np.generic] | None = None,
        keep: Mapping[str, Labels] | None = None,
        confident: bool = False,
        random_fold: NDArray[np.int16] | None = None,
        store: Store | None = None,
        finished: Callable[[int], None] | None = None,
    ) -> Self:
        """Tune, cross-fit and train.

        Parameters
        ----------
        X : mapping of str to DataFrame
            Blocks of columns, by name; all with the rows of Y. Each gets boosters of its own.
        Y : DataFrame of bool
            Rows x locations; every location has positives and negatives in every fold.
        fold : ndarray of int, shape (rows,)
            From 0; at least `MINIMUM_FOLDS` of them. See `models.folds`. Rows of the fold
            `models.cross_fitting.EXTRA` help every booster, and are neither answered nor scored.
        groups : ndarray, shape (rows,), optional
            What no fold splits; unless given, every row counts as independent.
        keep : mapping of str to ndarray of bool, shape (rows, locations), optional
            Filters by name: which labels boosters may learn from. See `models.label_noise`.
        confident : bool
            Filter by confident learning, too.
        random_fold : ndarray of int, shape (rows,), optional
            Folds that ignore groups, for answers that show how much that flatters.
        store : Store, optional
            Where finished boosters are kept, for going on after an interruption.
        finished : callable, optional
            Told the number of boosters just finished.

        Raises
        ------
        ValueError
            If there are too few folds, or a location cannot be cross-validated.
        """
        self._check(X, Y, fold)
        blocks = [Block.of(name, table) for name, table in X.items()]
        level0 = Level0(
            blocks,
            Y.to_numpy(dtype=bool),
            fold,
            seed=self.seed,
            store=store,
            jobs=self.jobs,
            finished=finished,
        )
        answered = fold != EXTRA
        size = 1.0 if groups is None else mean_group_size(groups[answered])
        # One thread in linear algebra: sums split over threads differ in their last bits.
        with threadpool_limits(1, user_api="blas"):
            self._fit(level0, list(Y.columns), keep or {}, confident=confident, group_size=size)
            if random_fold is not None:
                self.out_of_fold_[RANDOM_SPLIT] = self._random(level0.dealt(random_fold))
        return self

    def _fit(
        self,
        level0: Level0,
        names: list[str],
        keep: Mapping[str, Labels],
        *,
        confident: bool,
        group_size: float,
    ) -> None:
        order = sources(len(level0.blocks), self.kinds)
        self.choices_ = choose(level0, order, self.tuning or Tuning())
        heads = self._heads(names, level0, group_size)
        self.deleted_ = deleted(level0, keep, confident=confident)
        whole = nested_margins(level0, order, self.choices_)
        answers = {}
        if self.deleted_:
            answers[WITHOUT_SELECTION] = self._answers(level0, whole, heads[STACK])
            level0 = level0.restricted(masks(level0, list(keep.values()), confident=confident))
            whole = nested_margins(level0, order, self.choices_)
        self.nested_ = whole.rows(level0.fold != EXTRA)
        self.out_of_fold_ = {
            name: self._answers(level0, whole, head) for name, head in heads.items()
        } | answers
        known = level0.targets[level0.fold != EXTRA], level0.fold[level0.fold != EXTRA]
        fitted = {name: fit_head(head, self.nested_.final, *known, self.rule) for name, head in heads.items()}
        columns = {block.name: block.columns for block in level0.blocks}
        members = final_members(level0, order, self.choices_)
        self.model_ = StackModel(tuple(names), columns, self.kinds, members, fitted)

    def _random(self, level0: Level0) -> Answers:
        """Answer in folds that ignore groups, with the settings of the final model."""
        per_fold = range(level0.folds)
        choices = [
            Chosen(c.source, c.places, dict.fromkeys(per_fold, c.final), c.final) for c in self.choices_
        ]
        whole = nested_margins(level0, sources(len(level0.blocks), self.kinds), choices)
        return self._answers(level0, whole, self.model_.heads[STACK].head)

    def _answers(self, level0: Level0, whole: Nested, head: Head) -> Answers:
        answered = level0.fold != EXTRA
        nested = whole.rows(answered)
        known = level0.targets[answered], level0.fold[answered]
        return nested_answers(head, nested.inner, nested.outer, *known, self.rule)

    def fits_needed(self, locations: int, blocks: int, folds: int) -> int:
        """Count the boosters of a training at most, for progress."""
        return fits_needed(locations, blocks, self.kinds, folds, (self.tuning or Tuning()).trials)

    def predict_proba(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the stack's probabilities, rows x locations, of a table with all blocks' columns."""
        return self.model_.predict(X).probability

    def predict(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the stack's choices, rows x locations."""
        return self.model_.predict(X).chosen

    def _heads(self, locations: Sequence[str], level0: Level0, size: float) -> dict[str, Head]:
        everywhere = tuple(range(len(locations)))
        covered = level0.targets[level0.fold != EXTRA].any(axis=1).mean() >= COVERED
        always = bool(covered) if self.always == "auto" else self.always == "yes"
        heads = {STACK: Head(STACK, everywhere, always, size)}
        if set(self.top_two) <= set(locations):
            both = tuple(locations.index(name) for name in self.top_two)
            heads[TOP_TWO] = Head(TOP_TWO, both, group_size=size)
        return heads | {
            name: Head(name, (position,), group_size=size) for position, name in enumerate(locations)
        }

    def _check(self, X: Mapping[str, pd.DataFrame], Y: pd.DataFrame, fold: NDArray[np.int16]) -> None:
        folds = np.unique(fold[fold != EXTRA])
        if len(folds) < MINIMUM_FOLDS or not np.array_equal(folds, np.arange(len(folds))):
            raise ValueError(f"folds must be 0, 1, 2 or more without gaps, not {folds.tolist()}")
        pairs = zip(Y.columns, Y.to_numpy(dtype=bool).T, strict=True)
        lacking = [name for name, y in pairs if not crossed(y, fold)]
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
