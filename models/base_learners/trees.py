"""Grow, apply, explain and serialise the trees of LightGBM and XGBoost through their own interfaces.

63 histogram bins are enough: picture features are noisy averages over cells, and fewer bins make
a fit faster. One thread per fit: the same bits come out whatever the machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

import lightgbm
import numpy as np
import xgboost
from numpy.typing import NDArray

from models.base_learners.logistic import Ridge
from models.hyperparameters import Settings

BINS = 63

Floats = NDArray[np.float64]
Table = NDArray[np.float32]


class Trees(Protocol):
    """Grown trees of either library, or a linear member that is used alike."""

    def margin(self, X: Table) -> Floats:
        """Return log-odds, shape (rows,)."""
        ...

    def contributions(self, X: Table) -> Floats:
        """Return TreeSHAP contributions and, last, the bias; shape (rows, columns + 1)."""
        ...

    def to_bytes(self) -> bytes:
        """Return the library's own text format."""
        ...


@dataclass(frozen=True)
class LightGBMTrees:
    """Trees grown by LightGBM; serialised in its text format."""

    booster: lightgbm.Booster

    @classmethod
    def grow(
        cls, X: Table, y: NDArray[np.bool_], settings: Settings, seed: int, weight: Table | None = None
    ) -> Self:
        """Grow trees; see `Settings` for the parameters' meaning. `weight` is what each row counts."""
        parameters = {
            "objective": "binary",
            "learning_rate": settings.learning_rate,
            "num_leaves": settings.leaves,
            "lambda_l2": settings.l2,
            "bagging_fraction": settings.row_share,
            "bagging_freq": 1,
            "feature_fraction": settings.share_of(X.shape[1]),
            "min_data_in_leaf": settings.min_rows,
            "scale_pos_weight": settings.weight(y),
            "max_bin": BINS,
            "feature_pre_filter": False,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "seed": seed,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(X, y.astype(np.float32), weight=weight, params=parameters)
        return cls(lightgbm.train(parameters, data, num_boost_round=settings.trees))

    def margin(self, X: Table) -> Floats:
        """Return log-odds, shape (rows,)."""
        return np.asarray(self.booster.predict(X, raw_score=True, num_threads=1), dtype=np.float64)

    def contributions(self, X: Table) -> Floats:
        """Return TreeSHAP contributions and, last, the bias; shape (rows, columns + 1)."""
        return np.asarray(self.booster.predict(X, pred_contrib=True, num_threads=1), dtype=np.float64)

    def to_bytes(self) -> bytes:
        """Return LightGBM's text format."""
        return str(self.booster.model_to_string()).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read LightGBM's text format."""
        return cls(lightgbm.Booster(model_str=content.decode()))


def xgboost_parameters(settings: Settings, columns: int, seed: int) -> dict[str, float | str]:
    """Return what every model of XGBoost shares; see `Settings` for the parameters' meaning."""
    return {
        "tree_method": "hist",
        "grow_policy": "lossguide",
        "max_depth": 0,
        "max_leaves": settings.leaves,
        "eta": settings.learning_rate,
        "lambda": settings.l2,
        "subsample": settings.row_share,
        "colsample_bytree": settings.share_of(columns),
        "min_child_weight": settings.min_rows / 10,
        "max_bin": BINS,
        "nthread": 1,
        "seed": seed,
        "verbosity": 0,
    }


@dataclass(frozen=True)
class XGBoostTrees:
    """Trees grown by XGBoost; serialised in its JSON format."""

    booster: xgboost.Booster

    @classmethod
    def grow(cls, X: Table, y: NDArray[np.bool_], settings: Settings, seed: int) -> Self:
        """Grow trees; see `Settings` for the parameters' meaning."""
        parameters = {
            "objective": "binary:logistic",
            **xgboost_parameters(settings, X.shape[1], seed),
            "scale_pos_weight": settings.weight(y),
        }
        data = xgboost.QuantileDMatrix(X, y.astype(np.float32), max_bin=BINS, nthread=1)
        return cls(xgboost.train(parameters, data, num_boost_round=settings.trees))

    def margin(self, X: Table) -> Floats:
        """Return log-odds, shape (rows,)."""
        return np.asarray(self.booster.inplace_predict(X, predict_type="margin"), dtype=np.float64)

    def contributions(self, X: Table) -> Floats:
        """Return TreeSHAP contributions and, last, the bias; shape (rows, columns + 1)."""
        parts = self.booster.predict(xgboost.DMatrix(X, nthread=1), pred_contribs=True)
        return np.asarray(parts, dtype=np.float64)

    def to_bytes(self) -> bytes:
        """Return XGBoost's JSON format."""
        return bytes(self.booster.save_raw("json"))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read XGBoost's JSON format."""
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(content))
        return cls(booster)


Grow = Callable[[Table, NDArray[np.bool_], Settings, int], Trees]
GROW: dict[str, Grow] = {
    "lightgbm": LightGBMTrees.grow,
    "xgboost": XGBoostTrees.grow,
    "linear": Ridge.grow,
}
READ: dict[str, Callable[[bytes], Trees]] = {
    "lightgbm": LightGBMTrees.from_bytes,
    "xgboost": XGBoostTrees.from_bytes,
    "linear": Ridge.from_bytes,
}
