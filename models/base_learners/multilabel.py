"""XGBoost as one model of all locations: trees whose leaves hold a value per location.

Locations share the trees' structure, so that a rare one profits from splits that common ones pay
for. The gradient is this module's own, because labels of some rows may not be learned from, and
each location has its own weight of positives and its own prior odds.
"""

import json
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import xgboost
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin

from models.base_learners.trees import BINS, Floats, Table, xgboost_parameters
from models.base_learners.treeshap import Paths
from models.feature_selection import centred_ranks, columns_by_separation, shared_columns, sides
from models.hyperparameters import Settings, defaults

_SMALLEST_HESSIAN = 1e-16


@dataclass(frozen=True)
class MultilabelTrees:
    """Grown vector-leaf trees; serialised as XGBoost's JSON beside the prior log-odds.

    Attributes
    ----------
    prior : ndarray, shape (locations,)
        Log-odds of each location before any tree.
    """

    booster: xgboost.Booster
    prior: Floats

    @classmethod
    def grow(
        cls, X: Table, Y: NDArray[np.bool_], learn: NDArray[np.bool_], settings: Settings, seed: int
    ) -> Self:
        """Grow trees; `learn` says which labels count, shape (rows, locations) like `Y`."""
        weight = _weights(Y, learn, settings)
        prior = logit((weight * Y).sum(axis=0) / weight.sum(axis=0))
        parameters = {
            **xgboost_parameters(settings, X.shape[1], seed),
            "multi_strategy": "multi_output_tree",
            "num_target": Y.shape[1],
            "base_score": 0.0,
        }

        def gradients(margin: NDArray[np.float32], _: xgboost.DMatrix) -> tuple[Floats, Floats]:
            chance = expit(margin.reshape(Y.shape) + prior)
            return weight * (chance - Y), np.maximum(weight * chance * (1 - chance), _SMALLEST_HESSIAN)

        data = xgboost.QuantileDMatrix(X, Y.astype(np.float32), max_bin=BINS, nthread=1)
        booster = xgboost.train(parameters, data, num_boost_round=settings.trees, obj=gradients)
        return cls(booster, prior)

    def margin(self, X: Table) -> Floats:
        """Return log-odds, shape (rows, locations)."""
        grown = np.asarray(self.booster.inplace_predict(X, predict_type="margin"), dtype=np.float64)
        return np.asarray(grown.reshape(len(X), -1) + self.prior)

    def contributions(self, X: Table) -> Floats:
        """Return exact TreeSHAP contributions and, last, the bias; shape (locations, rows, columns + 1)."""
        model = json.loads(bytes(self.booster.save_raw("json")))["learner"]
        parts = Paths.of(model["gradient_booster"]["model"]["trees"], len(self.prior)).contributions(X)
        parts[:, :, -1] += self.prior[:, None]
        return parts

    def to_bytes(self) -> bytes:
        """Return JSON text."""
        trees = bytes(self.booster.save_raw("json")).decode()
        return json.dumps({"prior": self.prior.tolist(), "booster": trees}).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        described = json.loads(content)
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(described["booster"].encode()))
        return cls(booster, np.array(described["prior"], dtype=np.float64))


def _weights(Y: NDArray[np.bool_], learn: NDArray[np.bool_], settings: Settings) -> Floats:
    weights = [settings.weight(y[some]) for y, some in zip(Y.T, learn.T, strict=True)]
    return np.asarray(learn * np.where(Y, weights, 1.0))


class MultilabelBooster(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """One XGBoost model for all locations (``multi_strategy="multi_output_tree"``).

    Parameters
    ----------
    settings : Settings, optional
        Default: `defaults` for the number of rows.
    seed : int

    Attributes
    ----------
    kept_ : ndarray of int
        Columns of X that were kept for the fit, ascending: the best of each location in turn.
    """

    def __init__(self, settings: Settings | None = None, seed: int = 0) -> None:
        self.settings = settings
        self.seed = seed

    def fit(self, X: Table, Y: NDArray[Any]) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : ndarray, shape (rows, columns)
            NaN is a value of its own.
        Y : ndarray of 0 and 1, shape (rows, locations)

        Raises
        ------
        ValueError
            If a location has no positive or no negative row.
        """
        X, Y = np.asarray(X, dtype=np.float32), np.asarray(Y).astype(bool)
        single = np.flatnonzero(Y.all(axis=0) | ~Y.any(axis=0))
        if len(single):
            raise ValueError(f"location {single[0]} has examples of one class only")
        settings = self.settings or defaults("multilabel", len(Y))
        order = columns_by_separation(centred_ranks(X), np.stack([sides(y) for y in Y.T]))
        self.n_features_in_ = X.shape[1]
        self.kept_ = shared_columns(order, settings.columns)
        self.trees_ = MultilabelTrees.grow(
            X[:, self.kept_], Y, np.ones(Y.shape, dtype=bool), settings, self.seed
        )
        return self

    def restore(self, trees: MultilabelTrees, kept: NDArray[np.int64], columns: int) -> Self:
        """Become the fitted booster that `trees` came from."""
        self.n_features_in_ = columns
        self.kept_ = kept
        self.trees_ = trees
        return self

    def decision_function(self, X: Table) -> Floats:
        """Return log-odds, shape (rows, locations)."""
        return self.trees_.margin(np.asarray(X, dtype=np.float32)[:, self.kept_])

    def predict_proba(self, X: Table) -> Floats:
        """Return probabilities of presence, shape (rows, locations)."""
        return np.asarray(expit(self.decision_function(X)))

    def predict(self, X: Table) -> NDArray[np.bool_]:
        """Return what is likelier present than absent, shape (rows, locations)."""
        return self.decision_function(X) > 0

    def contributions(self, X: Table) -> Floats:
        """Split the log-odds into exact TreeSHAP contributions.

        Returns
        -------
        ndarray, shape (locations, rows, columns + 1)
            The last column is the bias; a row sums to `decision_function` within 1e-9.
        """
        X = np.asarray(X, dtype=np.float32)
        parts = self.trees_.contributions(X[:, self.kept_])
        spread = np.zeros((len(parts), len(X), self.n_features_in_ + 1))
        spread[:, :, self.kept_] = parts[:, :, :-1]
        # XGBoost adds in single precision: what rounding loses (about 1e-6) belongs to no feature.
        spread[:, :, -1] = self.decision_function(X).T - parts[:, :, :-1].sum(axis=2)
        return spread
