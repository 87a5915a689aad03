"""LightGBM, XGBoost and a linear model behind one scikit-learn classifier.

Every fit runs in one thread and is repeatable bit for bit; whoever wants speed fits several
classifiers at once. Each fit first keeps the columns that `models.feature_selection` finds for it.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from models.base_learners.trees import GROW, Trees
from models.feature_selection import centred_ranks, columns_by_separation, sides
from models.hyperparameters import Kind, Settings, defaults


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
