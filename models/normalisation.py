"""Columns in units of their plate: robust z-scores, and sphering, which also removes correlations.

Both are fitted on reference rows: all rows of a plate, or its controls. No label is looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.utils.validation import check_is_fitted, validate_data

Floats = NDArray[np.float64]

MAD = 1.4826
MEAN_DEVIATION = 1.2533
"""What makes a median and a mean absolute deviation the standard deviation of normal values."""

_ROUNDING = 10 * float(np.finfo(np.float32).eps)
"""Spread, as a share of the median, that is but the rounding of 32-bit numbers."""


class _Columnwise(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # no types
    """What the transformers share: a table in, a table of as many columns out; NaN is unknown."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _read(self, X: Any, *, reset: bool) -> Floats:
        least = 2 if reset else 1
        finite = {"dtype": np.float64, "ensure_all_finite": "allow-nan", "ensure_min_samples": least}
        return np.asarray(validate_data(self, X, reset=reset, **finite))


class RobustZ(_Columnwise):
    """Robust z-scores: how many standard deviations a value lies from the median of the reference.

    The standard deviation is estimated by 1.4826 times the median absolute deviation. Where more than half of
    the values are equal, which makes that 0, it is 1.2533 times the mean absolute deviation from the median.

    Attributes
    ----------
    center_, scale_ : ndarray, shape (columns,)
        Medians, and standard deviations: 0 where all known values are equal; NaN where none is known. There,
        a value becomes 0 if it is equal to these, and NaN if it differs, because nothing says by how much.

    Notes
    -----
    Source: Iglewicz & Hoaglin (1993), How to detect and handle outliers, ASQC Quality Press.
    """

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Find medians and spreads of reference rows, at least two."""
        table = self._read(X, reset=True)
        self.center_ = _of_known(np.nanmedian, table)
        deviation = np.abs(table - self.center_)
        least, scale = _ROUNDING * np.abs(self.center_), MAD * _of_known(np.nanmedian, deviation)
        scale = np.where(scale > least, scale, MEAN_DEVIATION * _of_known(np.nanmean, deviation))
        self.scale_ = np.where(scale <= least, 0.0, scale)
        return self

    def transform(self, X: Any) -> Floats:
        """Return the z-scores of rows, shape (rows, columns)."""
        check_is_fitted(self)
        deviation = self._read(X, reset=False) - self.center_
        flat = self.scale_ == 0
        scores: Floats = deviation / np.where(flat, 1.0, self.scale_)
        equal = np.abs(deviation) <= _ROUNDING * np.abs(self.center_)
        scores[flat & equal] = 0.0
        scores[flat & ~equal] = np.nan
        return scores


class Sphering(_Columnwise):
    """Sphering (ZCA-cor whitening): reference rows get mean 0, variance 1 and no correlations.

    Of all ways to whiten, this one keeps every column closest to what it was, so that its name stays true.
    Correlations are shrunk towards 0 first, since fewer reference rows than columns cannot tell them. Unknown
    values count as the mean of the reference, and columns that do not vary there become 0.

    Parameters
    ----------
    shrinkage : float, optional
        From 0 (none: directions in which the reference does not vary are lost) to 1 (columns are only
        standardised); that of Ledoit and Wolf unless given.

    Attributes
    ----------
    mean_, spread_ : ndarray, shape (columns,)
        Means and standard deviations; 0 where unknown, and where a column does not vary.
    directions_ : ndarray, shape (directions, columns)
        Orthonormal directions in which the standardised reference varies.
    gains_ : ndarray, shape (directions,)
        What lengths in these directions are multiplied with.
    rest_ : float
        The same of all that is at right angles to them.
    shrinkage_ : float

    Notes
    -----
    Sources: Kessy, Lewin & Strimmer (2018), Optimal whitening and decorrelation, The American Statistician
    72; Ledoit & Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices, Journal
    of Multivariate Analysis 88.
    """

    FITTED = ("mean_", "spread_", "directions_", "gains_", "rest_")
    """What a fitted one consists of."""

    def __init__(self, shrinkage: float | None = None) -> None:
        self.shrinkage = shrinkage

    @classmethod
    def of(cls, fitted: Mapping[str, Floats]) -> Self:
        """Return a fitted one, given what it consists of."""
        made = cls()
        for name in cls.FITTED:
            setattr(made, name, fitted[name])
        made.n_features_in_ = len(fitted["mean_"])
        return made

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Find the correlations of reference rows, at least two."""
        table = self._read(X, reset=True)
        if self.shrinkage is not None and not 0 <= self.shrinkage <= 1:
            raise ValueError(f"shrinkage must be from 0 to 1, not {self.shrinkage}")
        self.mean_ = np.nan_to_num(_of_known(np.nanmean, table))
        spread = np.sqrt(np.square(np.nan_to_num(table - self.mean_)).mean(axis=0))
        self.spread_ = np.where(spread > _ROUNDING * np.abs(self.mean_), spread, 0.0)
        standard = self._standardised(table)
        shrinkage = self.shrinkage
        if shrinkage is None:
            shrinkage = float(ledoit_wolf_shrinkage(standard, assume_centered=True))
        self.shrinkage_ = shrinkage
        variances, directions = np.linalg.eigh(standard.T @ standard / len(standard))
        varies = variances > max(standard.shape) * np.finfo(np.float64).eps * max(1.0, variances.max())
        self.directions_ = directions.T[varies]
        self.gains_ = 1 / np.sqrt((1 - shrinkage) * variances[varies] + shrinkage)
        self.rest_ = 1 / np.sqrt(shrinkage) if shrinkage > 0 else 0.0
        return self

    def transform(self, X: Any) -> Floats:
        """Return the sphered rows, shape (rows, columns)."""
        check_is_fitted(self)
        standard = self._standardised(self._read(X, reset=False))
        along = standard @ self.directions_.T
        return np.asarray(self.rest_ * standard + (along * (self.gains_ - self.rest_)) @ self.directions_)

    def _standardised(self, table: Floats) -> Floats:
        flat = self.spread_ == 0
        scaled = np.nan_to_num(table - self.mean_) / np.where(flat, 1.0, self.spread_)
        return np.where(flat, 0.0, scaled)


@dataclass(frozen=True)
class WithinPlates:
    """Rows in units of their plates.

    Attributes
    ----------
    table : DataFrame
        z-scores of the rows whose plate has enough reference rows.
    few : dict of str to int
        The other plates, with the number of their reference rows.
    unknown : dict of str to int
        Columns with values that became NaN, because the reference of their plate does not vary, to how many.
    """

    table: pd.DataFrame
    few: Mapping[str, int]
    unknown: Mapping[str, int]


def within_plates(
    X: pd.DataFrame, plates: "pd.Series[str]", reference: NDArray[np.bool_], minimum: int
) -> WithinPlates:
    """Return robust z-scores, those of every plate fitted on its own reference rows and on no other's.

    Parameters
    ----------
    X : DataFrame of float
    plates : Series, length rows
    reference : ndarray of bool, shape (rows,)
        Rows that medians and spreads are taken from.
    minimum : int
        Reference rows that a plate needs, at least 2.
    """
    names, values = plates.to_numpy(dtype=str), X.to_numpy()
    scores, few = np.full(values.shape, np.nan, np.float32), {}
    for plate in np.unique(names):
        here = names == plate
        if (count := int((here & reference).sum())) < minimum:
            few[str(plate)] = count
        else:
            scores[here] = RobustZ().fit(values[here & reference]).transform(values[here])
    kept = ~np.isin(names, list(few))
    lost = (np.isnan(scores) & ~np.isnan(values))[kept].sum(axis=0)
    table = pd.DataFrame(scores[kept], X.index[kept], X.columns)
    return WithinPlates(table, few, {str(X.columns[k]): int(lost[k]) for k in np.flatnonzero(lost)})


def _of_known(average: Any, table: Floats) -> Floats:
    """Average the known values of every column; NaN where there is none."""
    known = ~np.isnan(table).all(axis=0)
    result = np.full(table.shape[1], np.nan)
    result[known] = average(table[:, known], axis=0)
    return result
