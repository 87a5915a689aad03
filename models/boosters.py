"""LightGBM, XGBoost and a linear model behind one scikit-learn classifier.

Every fit runs in one thread and is repeatable bit for bit; whoever wants speed fits several
classifiers at once. Each fit first keeps the columns that alone separate the two classes best,
because most of thousands of picture features say nothing about a given location and the time of
a fit is linear in them.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, ClassifierMixin

from models.settings import Kind, Settings, defaults
from models.trees import GROW, Trees


def centred_ranks(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace each column by its ranks, scaled to [-0.5, 0.5]; NaN becomes 0, the middle.

    Parameters
    ----------
    X : ndarray, shape (rows, columns)

    Returns
    -------
    ndarray of float32, shape (rows, columns)
    """
    ranks = np.empty(X.shape, dtype=np.float32)
    for column in range(X.shape[1]):
        ranked = rankdata(X[:, column], nan_policy="omit")
        count = np.count_nonzero(~np.isnan(ranked))
        ranks[:, column] = np.nan_to_num((ranked - (count + 1) / 2) / max(count - 1, 1), nan=0.0)
    return ranks


def columns_by_separation(ranks: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.int32]:
    """Order columns by how much their mean rank differs between two classes (the area under the ROC curve).

    Parameters
    ----------
    ranks : ndarray, shape (rows, columns)
        What `centred_ranks` gives; rows outside both classes are allowed, so that one table of
        ranks serves every split.
    weights : ndarray, shape (locations, rows)
        What `sides` gives for each location.

    Returns
    -------
    ndarray of int, shape (locations, columns)
        Columns, the best first.
    """
    return np.argsort(-np.abs(weights @ ranks), axis=1, kind="stable").astype(np.int32)


def sides(positive: NDArray[np.bool_], used: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Weigh rows for `columns_by_separation`: positives against negatives among the `used` rows."""
    used = np.ones(len(positive), dtype=bool) if used is None else used
    here, there = positive & used, ~positive & used
    weights = here / max(here.sum(), 1) - there / max(there.sum(), 1)
    return np.asarray(weights, dtype=np.float32)


class BinaryBooster(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Gradient boosted trees, or a ridge logistic regression, for one location.

    Parameters
    ----------
    kind : {"lightgbm", "xgboost", "linear"}
    settings : Settings, optional
        Default: `defaults` for the kind and the number of rows.
    seed : int
        Of the rows and columns that each tree sees.

    Attributes
    ----------
    kept_ : ndarray of int
        Columns of X that were kept for the fit, ascending.
    """

    def __init__(self, kind: Kind = "lightgbm", settings: Settings | None = None, seed: int = 0) -> None:
        self.kind = kind
        self.settings = settings
        self.seed = seed

    def fit(self, X: NDArray[np.float32], y: NDArray[Any]) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : ndarray, shape (rows, columns)
            NaN is a value of its own.
        y : ndarray, shape (rows,)
            Two classes; the larger value is the location's presence.

        Raises
        ------
        ValueError
            If `y` does not hold two classes.
        """
        X, y = np.asarray(X, dtype=np.float32), np.asarray(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) != 2:
            raise ValueError(f"a booster needs examples of two classes, not of {len(self.classes_)}")
        positive = y == self.classes_[1]
        settings = self.settings or defaults(self.kind, len(y))
        self.n_features_in_ = X.shape[1]
        order = columns_by_separation(centred_ranks(X), sides(positive)[None])[0]
        self.kept_ = np.sort(order[: settings.columns]).astype(np.int64)
        self.trees_ = GROW[self.kind](X[:, self.kept_], positive, settings, self.seed)
        return self

    def restore(self, trees: Trees, kept: NDArray[np.int64], columns: int) -> Self:
        """Become the fitted booster that `trees` came from."""
        self.classes_ = np.array([False, True])
        self.n_features_in_ = columns
        self.kept_ = kept
        self.trees_ = trees
        return self

    def decision_function(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the log-odds of the location; shape (rows,)."""
        return self.trees_.margin(np.asarray(X, dtype=np.float32)[:, self.kept_])

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probabilities of absence and presence; shape (rows, 2)."""
        present = 1 / (1 + np.exp(-self.decision_function(X)))
        return np.column_stack([1 - present, present])

    def predict(self, X: NDArray[np.float32]) -> NDArray[Any]:
        """Return the likelier class of every row."""
        labels: NDArray[Any] = self.classes_[(self.decision_function(X) > 0).astype(int)]
        return labels

    def contributions(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Split the log-odds into exact TreeSHAP contributions.

        Returns
        -------
        ndarray, shape (rows, columns + 1)
            The last column is the bias; a row sums to `decision_function` within 1e-9.

        References
        ----------
        Lundberg et al. (2020), From local explanations to global understanding with explainable AI
        for trees, Nature Machine Intelligence 2.
        """
        X = np.asarray(X, dtype=np.float32)
        parts = self.trees_.contributions(X[:, self.kept_])
        spread = np.zeros((len(X), self.n_features_in_ + 1))
        spread[:, self.kept_] = parts[:, :-1]
        spread[:, -1] = parts[:, -1]
        # XGBoost adds in single precision: what rounding loses (about 1e-6) belongs to no feature.
        spread[:, -1] += self.trees_.margin(X[:, self.kept_]) - parts.sum(axis=1)
        return spread
