"""Base learners of the stack behind one interface: of one location, or of all locations at once.

Learners of one location see a table of columns. Learners of all locations see other networks'
predictions (see `models.base_learners.votes`) and share between locations what rare ones are too few for, or
repeat those of one network.
"""

from typing import Any, Protocol, Self

from models.base_learners.cell_network import CellNetwork
from models.base_learners.label_powerset import LabelPowerset
from models.base_learners.logistic import RidgeLogistic
from models.base_learners.network_weights import NetworkWeights
from models.base_learners.pooled_trees import PooledTrees
from models.base_learners.start import Start
from models.base_learners.trees import Floats, LightGBMTrees, Table, XGBoostTrees
from models.hyperparameters import ALONE


class BaseLearner(Protocol):
    """A fitted learner; without pickle, and the same bytes for the same data, whatever the machine."""

    @classmethod
    def fit(cls, X: Table, Y: Any, hyperparameters: Any, seed: int) -> Self:
        """Fit to a table, shape (rows, columns), NaN where a value is missing.

        `Y` has shape (rows,) and is of bool, or (rows, locations) for a learner of all locations, NaN
        where a label may not be learned from.
        """
        ...

    def log_odds(self, X: Table) -> Floats:
        """Return log-odds, shape (rows,) or (rows, locations)."""
        ...

    def contributions(self, X: Table) -> Floats:
        """Split the log-odds exactly; the bias comes last.

        Shape (rows, columns + 1), or (locations, rows, 2) for a learner of all locations, which contributes
        as one pseudo-column of its own.
        """
        ...

    def to_bytes(self) -> bytes:
        """Serialise, in the library's own format where there is one."""
        ...

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        ...


_LEARNERS: dict[str, type[BaseLearner]] = {
    "lightgbm": LightGBMTrees,
    "xgboost": XGBoostTrees,
    "linear": RidgeLogistic,
    "label_powerset": LabelPowerset,
    "pooled_trees": PooledTrees,
    "network_weights": NetworkWeights,
    "start": Start,
    "cells": CellNetwork,
}

LEARNERS = _LEARNERS | {kind: _LEARNERS[alone.like] for kind, alone in ALONE.items()}
"""What learns, by kind."""
