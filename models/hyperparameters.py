"""What can be tuned about base learners: one vocabulary for all kinds that see a table of columns."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Kind = Literal["lightgbm", "xgboost", "linear"]
KINDS: tuple[Kind, ...] = ("lightgbm", "xgboost", "linear")
"""Kinds of base learners that are fitted for one location at a time."""

TREES: tuple[Kind, ...] = ("lightgbm", "xgboost")
"""Those whose fits may share bins of columns (see `models.base_learners.trees.bin_values`)."""

GRANULES, IN_CYTOPLASM = "granules", "cytoplasm_granules"
"""Columns that learners of their own see: all granules, and those of the cytoplasm."""

LINEAR_IN_CYTOPLASM, CELLS_GRANULES = "linear_cytoplasm_granules", "cells_granules"
"""Other kinds that see them: of the linear learner, and of networks of cells; see `ALONE`."""

OF_NETWORKS = ("label_powerset", "pooled_trees", "network_weights")
"""Those that learn all locations at once, on other networks' predictions."""

START = "start"
"""What repeats a network's log-odds, one column per location, and learns nothing from rows."""

CELLS = "cells"
"""What learns from cells all locations at once (see `models.base_learners.cell_network`)."""


class Alone(NamedTuple):
    """A kind that is like another one, and sees nothing but columns that a block has `alone`."""

    like: str
    sees: str


ALONE: Mapping[str, Alone] = {
    GRANULES: Alone("lightgbm", GRANULES),
    IN_CYTOPLASM: Alone("lightgbm", IN_CYTOPLASM),
    LINEAR_IN_CYTOPLASM: Alone("linear", IN_CYTOPLASM),
    CELLS_GRANULES: Alone(CELLS, GRANULES),
}
"""All such kinds, in the order of their log-odds."""

OF_CELLS = (CELLS, CELLS_GRANULES)

JOINT_KINDS = (*OF_NETWORKS, START, *OF_CELLS)
"""Those that know all locations at once."""

FEWEST_COLUMNS = 16
"""Columns that a tree sees at least, so that in a narrow block it does not miss the one that matters."""
LARGE = 2000
"""Rows from which a table supports larger trees."""
MANY = 20_000
"""Rows from which networks take large batches, and trees share bins and stay small: time counts."""
RARE, COMMON = 30, 300
"""Positives below which a location is rare, and from which on it is common.

Of `MANY` rows, common ones get more than the trees of a small table.
"""


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of boosted trees; of a linear learner only `columns` and `l2` count.

    Attributes
    ----------
    columns : int
        Number of columns kept for a fit, by how well each alone separates the classes.
    trees, leaves : int
        Number of trees, and leaves of each.
    learning_rate, l2 : float
        Shrinkage of each tree, and ridge penalty on its leaves (linear: on the weights).
    row_share, column_share : float
        Share of the rows, and of the kept columns, that each tree sees.
    min_rows : int
        Rows in a leaf, at least (for XGBoost: a tenth of it as the sum of hessians).
    positive_weight : float
        Exponent of the odds against a location as weight of its positives: 0 leaves the classes
        as they are, 1 balances them.
    """

    columns: int = 192
    trees: int = 80
    leaves: int = 4
    learning_rate: float = 0.08
    l2: float = 1.0
    row_share: float = 0.8
    column_share: float = 0.15
    min_rows: int = 5
    positive_weight: float = 0.0

    def for_copies(self, copies: int) -> "Hyperparameters":
        """Return what gives rows of which there are so many copies each the weight of one."""
        return replace(self, l2=self.l2 * copies, min_rows=self.min_rows * copies)

    def share_of(self, columns: int) -> float:
        """Return the share of so many kept columns that each tree sees: 16 columns at least."""
        return min(1.0, max(self.column_share, FEWEST_COLUMNS / columns))

    def weight(self, y: NDArray[np.bool_]) -> float:
        """Return the weight of a positive row, that of a negative one being 1."""
        positives = int(y.sum())
        return float(((len(y) - positives) / positives) ** self.positive_weight)


@dataclass(frozen=True)
class NetworkHyperparameters:
    """Hyperparameters of the networks of a label powerset.

    Attributes
    ----------
    networks : int
        Networks whose log-odds are averaged.
    hidden, directions, epochs, batch : int
        Hidden units; width of the embedding of a set; epochs; rows per step.
    dropout, input_dropout : float
        Shares of hidden units, and of inputs, that a training step does not see.
    learning_rate : float
        The highest of a one-cycle schedule.
    weight_decay : float
    """

    networks: int = 3
    hidden: int = 1024
    directions: int = 64
    epochs: int = 10
    batch: int = 1024
    dropout: float = 0.4
    input_dropout: float = 0.15
    learning_rate: float = 4e-3
    weight_decay: float = 1e-4


AnyHyperparameters = Hyperparameters | NetworkHyperparameters


def like(kind: str) -> str:
    """Return the kind that one is like in all but the columns that it sees."""
    return ALONE[kind].like if kind in ALONE else kind


def small_batch(rows: int) -> int:
    """Return a batch of a 48th of the rows, 32 to 128; larger ones make too few steps (see decision 67)."""
    return int(np.clip(rows // 48, 32, 128))


def defaults(kind: str, rows: int, positives: int = 0) -> AnyHyperparameters:
    """Return hyperparameters that already work without tuning, for so many rows and positives of a location.

    XGBoost builds histograms of all kept columns, whichever a tree may use, so that it gets fewer.
    """
    kind = like(kind)
    if kind == "label_powerset":
        return NetworkHyperparameters() if rows >= MANY else NetworkHyperparameters(batch=small_batch(rows))
    if kind == CELLS:
        return NetworkHyperparameters(
            networks=3, hidden=64, epochs=40, batch=32 if rows < LARGE else 64,
            dropout=0.3, input_dropout=0.1, learning_rate=4e-3, weight_decay=0.05,
        )  # fmt: skip
    if kind == "pooled_trees":
        return Hyperparameters(
            trees=200, leaves=31, learning_rate=0.06, l2=5.0, row_share=1.0, column_share=0.5, min_rows=50
        )
    if kind == "network_weights":
        return Hyperparameters(l2=25.0)
    if kind == "linear":
        return Hyperparameters(l2=10.0)
    if rows < LARGE or (rows >= MANY and positives < COMMON):
        return Hyperparameters()
    if rows < MANY and kind == "lightgbm":
        return Hyperparameters(columns=512, trees=250, leaves=24, min_rows=20, l2=5.0)
    if rows < MANY:
        return Hyperparameters(columns=192, column_share=0.4, trees=250, leaves=24, min_rows=20, l2=5.0)
    if kind == "lightgbm":
        return Hyperparameters(columns=256, trees=250, leaves=8, min_rows=20, l2=5.0)
    return Hyperparameters(columns=128, trees=150, leaves=8, learning_rate=0.13, min_rows=20, l2=5.0)


def space(trial: Any, kind: str, rows: int, positives: int = 0) -> AnyHyperparameters:
    """Draw from the search space, given anything with Optuna's ``suggest_*``; `JOINT_KINDS` are not tuned."""
    if kind in JOINT_KINDS:
        return defaults(kind, rows)
    kind = like(kind)
    if kind == "linear":
        return Hyperparameters(
            columns=trial.suggest_categorical("columns", [64, 128, 192, 384]),
            l2=trial.suggest_float("l2", 2.0, 100.0, log=True),
        )
    large = rows >= LARGE and (rows < MANY or positives >= COMMON)
    narrow = [64, 128, 256] if rows >= MANY else [64, 192, 512]
    wider = [256, 512, 1024] if kind == "lightgbm" else narrow
    return Hyperparameters(
        columns=trial.suggest_categorical("columns", wider if large else [64, 192, 512]),
        trees=trial.suggest_int("trees", 100 if large else 30, 500 if large else 160, log=True),
        leaves=trial.suggest_int("leaves", 4 if large else 2, 48 if large else 12, log=True),
        learning_rate=trial.suggest_float("learning_rate", 0.03, 0.15, log=True),
        l2=trial.suggest_float("l2", 0.1, 30.0, log=True),
        row_share=trial.suggest_float("row_share", 0.6, 1.0),
        column_share=trial.suggest_float("column_share", 0.05, 0.6, log=True),
        min_rows=trial.suggest_int("min_rows", 2, 60 if large else 8, log=True),
        positive_weight=trial.suggest_categorical("positive_weight", [0.0, 0.5, 1.0]),
    )
