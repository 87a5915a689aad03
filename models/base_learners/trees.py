"""Gradient boosted trees of one location by LightGBM and XGBoost, through their own interfaces.

63 histogram bins are enough: picture features are noisy averages over cells, and fewer bins make
a fit faster. Finding them takes longer than growing small trees, so that fits of one large table share those
of `bin_values`. One thread per fit: the same bits come out whatever the machine. Contributions are TreeSHAP.

Source: Lundberg et al. (2020), From local explanations to global understanding with explainable AI
for trees, Nature Machine Intelligence 2.
"""

from dataclasses import dataclass
from typing import Self

import lightgbm
import numpy as np
import xgboost
from numpy.typing import NDArray

from models.hyperparameters import Hyperparameters

BINS = 63

Floats = NDArray[np.float64]
Table = NDArray[np.float32]
Labels = NDArray[np.bool_]

_TOGETHER = 64
"""Columns that are copied at a time, so that a column's values lie together."""


def bin_values(table: Table) -> Table:
    """Choose values of each column that spread its rows over bins, shape (`BINS` + 1, columns).

    A value of more rows than a bin's share keeps a bin to itself, and the other values share the other bins;
    where a column has no more values than bins, each has its own. The last row is NaN: any value may be
    missing. No labels are used, so that the bins serve every fit on rows of the table.
    """
    chosen = np.full((BINS + 1, table.shape[1]), np.nan, dtype=np.float32)
    for start in range(0, table.shape[1], _TOGETHER):
        some = np.ascontiguousarray(table[:, start : start + _TOGETHER].T)
        for column, values in enumerate(some, start):
            known = values[~np.isnan(values)]
            if len(known):
                chosen[:BINS, column] = np.resize(_spread(known), BINS)
    return chosen


def _spread(known: Table) -> Table:
    """Return the least value of every bin, at most `BINS` values."""
    values, counts = np.unique(known, return_counts=True)
    if len(values) <= BINS:
        return values
    share = counts.astype(np.float64)
    for _ in range(8):  # what many rows have in common takes one bin's share, which so becomes smaller
        share = np.minimum(share, share.sum() / BINS)
    ahead = np.cumsum(share) - share
    first = np.unique((ahead * (BINS / share.sum())).astype(np.int64), return_index=True)[1]
    return np.asarray(values[first[:BINS]])


@dataclass(frozen=True)
class LightGBMTrees:
    """Trees grown by LightGBM; serialised in its text format."""

    booster: lightgbm.Booster

    @classmethod
    def fit(
        cls,
        X: Table,
        Y: Labels,
        hyperparameters: Hyperparameters,
        seed: int,
        weight: Table | None = None,
        bins: Table | None = None,
    ) -> Self:
        """Grow trees; `weight` is what each row counts, shape (rows,); `bins` are `bin_values` of columns."""
        parameters = {
            "objective": "binary",
            "learning_rate": hyperparameters.learning_rate,
            "num_leaves": hyperparameters.leaves,
            "lambda_l2": hyperparameters.l2,
            "bagging_fraction": hyperparameters.row_share,
            "bagging_freq": 1,
            "feature_fraction": hyperparameters.share_of(X.shape[1]),
            "min_data_in_leaf": hyperparameters.min_rows,
            "scale_pos_weight": hyperparameters.weight(Y),
            # LightGBM keeps one bin for 0 and one for NaN, and merges bins that few values fall in.
            **({"max_bin": BINS} if bins is None else {"max_bin": BINS + 2, "min_data_in_bin": 1}),
            "feature_pre_filter": False,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "seed": seed,
            "verbosity": -1,
        }
        like = None if bins is None else lightgbm.Dataset(bins, np.zeros(len(bins)), params=parameters)
        data = lightgbm.Dataset(X, Y.astype(np.float32), weight=weight, reference=like, params=parameters)
        return cls(lightgbm.train(parameters, data, num_boost_round=hyperparameters.trees))

    def log_odds(self, X: Table) -> Floats:
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


@dataclass(frozen=True)
class XGBoostTrees:
    """Trees grown by XGBoost; serialised in its JSON format."""

    booster: xgboost.Booster

    @classmethod
    def fit(
        cls,
        X: Table,
        Y: Labels,
        hyperparameters: Hyperparameters,
        seed: int,
        bins: Table | None = None,
    ) -> Self:
        """Grow trees; `bins` are `bin_values` of columns."""
        parameters = {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "grow_policy": "lossguide",
            "max_depth": 0,
            "max_leaves": hyperparameters.leaves,
            "eta": hyperparameters.learning_rate,
            "lambda": hyperparameters.l2,
            "subsample": hyperparameters.row_share,
            "colsample_bytree": hyperparameters.share_of(X.shape[1]),
            "min_child_weight": hyperparameters.min_rows / 10,
            "scale_pos_weight": hyperparameters.weight(Y),
            "max_bin": BINS,
            "nthread": 1,
            "seed": seed,
            "verbosity": 0,
        }
        like = None if bins is None else xgboost.QuantileDMatrix(bins, max_bin=BINS, nthread=1)
        data = xgboost.QuantileDMatrix(X, Y.astype(np.float32), max_bin=BINS, nthread=1, ref=like)
        return cls(xgboost.train(parameters, data, num_boost_round=hyperparameters.trees))

    def log_odds(self, X: Table) -> Floats:
        """Return log-odds, shape (rows,)."""
        return np.asarray(self.booster.inplace_predict(X, predict_type="margin"), dtype=np.float64)

    def contributions(self, X: Table) -> Floats:
        """Return TreeSHAP contributions and, last, the bias; shape (rows, columns + 1)."""
        raw = self.booster.predict(xgboost.DMatrix(X, nthread=1), pred_contribs=True)
        parts = np.asarray(raw, dtype=np.float64)
        # XGBoost adds in single precision: what rounding loses (about 1e-6) belongs to no column.
        parts[:, -1] += self.log_odds(X) - parts.sum(axis=1)
        return parts

    def to_bytes(self) -> bytes:
        """Return XGBoost's JSON format."""
        return bytes(self.booster.save_raw("json"))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read XGBoost's JSON format."""
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(content))
        return cls(booster)
