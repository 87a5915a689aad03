"""How far a picture is from all training pictures, part by part, and whether a stream of pictures drifts.

Columns come in parts: a family of features, or the embedding of a network. Every part is standardised
robustly and has its principal directions; a picture's two statistics are its distance inside them, in units
of their spread (Hotelling's T²), and outside them (the squared prediction error, Q). How large both usually
are is known from training pictures whose fold was left out; the score of a picture is the root mean square,
over parts, of how many standard deviations their logarithms lie above that.

No label is looked at. The rate of false alarms holds for pictures of new groups that are drawn like those of
the training; nothing is said of how often a picture that is unlike them is noticed.

Sources: Jackson & Mudholkar (1979), Control procedures for residuals associated with principal component
analysis, Technometrics 21; Lee, Lee, Lee & Shin (2018), A simple unified framework for detecting
out-of-distribution samples, NeurIPS; Vovk, Gammerman & Shafer (2005), Algorithmic learning in a random world.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.stats import mannwhitneyu
from threadpoolctl import threadpool_limits

from models.normalisation import MAD, RobustZ

Floats = NDArray[np.float64]
Parts = Mapping[str, tuple[str, Sequence[str]]]
"""By name of a part: the table that it is in, and its columns."""

RATE = 0.01
"""False alarms: share of pictures like those of the training that are taken for unlike ones."""

_ROWS = 1000
"""Training pictures, at most, that the directions of a part are found on."""

_DIRECTIONS = 24
_ROWS_PER_DIRECTION = 4

_FARTHEST = 6.0
"""Standard deviations from which one column counts no more."""

_LEAST = 1e-9
_STATISTICS = 2


@dataclass(frozen=True)
class Unlikeness:
    """Where the training pictures lie.

    Attributes
    ----------
    names : tuple of str
        Of the parts.
    columns : tuple of str
        Of all parts, in their order.
    ends : ndarray of int, shape (parts,)
        Where the columns of each part end.
    center, scale : ndarray, shape (columns,)
        Medians and robust standard deviations; a scale of infinity where a column does not vary.
    directions : tuple of ndarray, shape (directions, columns of the part)
    variances : tuple of ndarray, shape (directions,)
    usual, spread : ndarray, shape (parts, 2)
        Median and robust standard deviation of the logarithms of both statistics, out of fold.
    known : ndarray, shape (groups,)
        Mean out-of-fold score of every group, ascending.
    single : ndarray, shape (groups,)
        Out-of-fold score of the first picture of every group, ascending, for streams of single pictures;
        empty in models of older versions.
    limit : float
        Score above which a picture is unlike the training pictures.
    rate : float
        Share of pictures of new groups above the limit, at most: `RATE`, or what so few groups can tell.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    ends: NDArray[np.int64]
    center: Floats
    scale: Floats
    directions: tuple[Floats, ...]
    variances: tuple[Floats, ...]
    usual: Floats
    spread: Floats
    known: Floats
    single: Floats
    limit: float
    rate: float

    @cached_property
    def index(self) -> pd.Index:
        """The columns as an index, made once."""
        return pd.Index(self.columns)

    def surprises(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return how unusual every part of every row is, in standard deviations; rows x parts."""
        z = _standardised(X[self.index].to_numpy(np.float64), self.center, self.scale)
        made = np.empty((len(z), len(self.names)))
        starts = [0, *self.ends[:-1]]
        spaces = list(zip(starts, self.ends, self.directions, self.variances, strict=True))
        with threadpool_limits(1, user_api="blas"):
            for row in range(len(z)):  # one by one, so that a row's bits do not depend on the others
                logs = [_logs(z[row : row + 1, start:end], *space)[0] for start, end, *space in spaces]
                made[row] = _surprise(np.array(logs), self.usual, self.spread)
        return pd.DataFrame(made, X.index, list(self.names))

    def farthest(self, row: pd.Series, part: str) -> tuple[str, float]:
        """Return the column of a part that is farthest from the training pictures, and how far.

        In robust standard deviations; below 0 where the value is too low.
        """
        number = self.names.index(part)
        here = slice(int(self.ends[number - 1]) if number else 0, int(self.ends[number]))
        values = row[list(self.columns[here])].to_numpy(np.float64)
        z = np.nan_to_num((values - self.center[here]) / self.scale[here])
        best = int(np.abs(z).argmax())
        return self.columns[here][best], float(z[best])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what it consists of, to be stored without pickle."""
        made: dict[str, NDArray[Any]] = {name: np.array(getattr(self, name)) for name in _PLAIN}
        for number, (axes, variances) in enumerate(zip(self.directions, self.variances, strict=True)):
            made |= {f"directions_{number}": axes.astype(np.float32), f"variances_{number}": variances}
        return made

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return what `arrays` returned; KeyError where something is missing."""
        names, columns = (tuple(arrays[name].tolist()) for name in ("names", "columns"))
        numbers = range(len(names))
        return cls(
            names=names,
            columns=columns,
            limit=float(arrays["limit"]),
            rate=float(arrays["rate"]),
            directions=tuple(arrays[f"directions_{number}"].astype(np.float64) for number in numbers),
            variances=tuple(arrays[f"variances_{number}"] for number in numbers),
            single=arrays.get("single", np.empty(0)),
            **{name: arrays[name] for name in ("ends", "center", "scale", "usual", "spread", "known")},
        )


_PLAIN = (
    "names",
    "columns",
    "ends",
    "center",
    "scale",
    "usual",
    "spread",
    "known",
    "single",
    "limit",
    "rate",
)


def overall(surprises: pd.DataFrame) -> "pd.Series[float]":
    """Return the score of every row: the root mean square of what is above usual in its parts."""
    return pd.Series(_overall(surprises.to_numpy()), surprises.index)


def fit_unlikeness(
    tables: Mapping[str, pd.DataFrame],
    parts: Parts,
    fold: NDArray[np.int16],
    groups: NDArray[np.generic],
    rate: float = RATE,
) -> Unlikeness:
    """Learn where the training pictures lie.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        All with the same rows; NaN is unknown and counts as usual.
    parts : mapping
    fold : ndarray of int, shape (rows,)
        The score of a row comes from rows of other folds.
    groups : ndarray, shape (rows,)
        What no fold splits, and what is exchangeable.
    rate : float
        False alarms that are allowed.
    """
    logs = np.empty((len(fold), len(parts), _STATISTICS))
    spaces = []
    least = len(fold) - int(np.bincount(fold).max())  # rows that the smallest fit sees
    most = max(1, min(_DIRECTIONS, least // _ROWS_PER_DIRECTION))  # as many in all fits: they are compared
    with threadpool_limits(1, user_api="blas"):
        for number, (table, columns) in enumerate(parts.values()):
            whole, at = tables[table].to_numpy(), tables[table].columns.get_indexer(pd.Index(columns))
            for one in np.unique(fold):
                space = _fitted(whole, np.flatnonzero(fold != one), at, most)
                values = whole[np.ix_(fold == one, at)].astype(np.float64)
                z = _standardised(values, space.center, space.scale)
                logs[fold == one, number] = _logs(z, space.directions, space.variances)
            spaces.append(_fitted(whole, np.arange(len(whole)), at, most))
    usual = np.median(logs, axis=0)
    spread = np.maximum(MAD * np.median(np.abs(logs - usual), axis=0), _LEAST)
    scores = _overall(np.stack([_surprise(row, usual, spread) for row in logs]))
    limit, attained = _limit(scores, groups, rate)
    by_group = pd.Series(scores).groupby(np.asarray(groups))
    return Unlikeness(
        names=tuple(parts),
        columns=tuple(column for _, columns in parts.values() for column in columns),
        ends=np.cumsum([len(columns) for _, columns in parts.values()]),
        center=np.concatenate([space.center for space in spaces]),
        scale=np.concatenate([space.scale for space in spaces]),
        directions=tuple(space.directions for space in spaces),
        variances=tuple(space.variances for space in spaces),
        usual=usual,
        spread=spread,
        known=np.sort(by_group.mean().to_numpy()),
        single=np.sort(by_group.first().to_numpy()),
        limit=limit,
        rate=attained,
    )


class _Space(NamedTuple):
    center: Floats
    scale: Floats
    directions: Floats
    variances: Floats


def _fitted(
    whole: NDArray[np.floating[Any]], rows: NDArray[np.intp], columns: NDArray[np.intp], most: int
) -> _Space:
    """Standardise a part robustly and find its first principal directions, of up to `_ROWS` of the rows."""
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(_ROWS, len(rows))).astype(int))]
    some = whole[np.ix_(rows, columns)].astype(np.float64)
    units = RobustZ().fit(some)
    scale = np.where(units.scale_ > 0, units.scale_, np.inf)  # NaN where nothing is known
    center = np.nan_to_num(units.center_)
    z = _standardised(some, center, scale)
    most = max(1, min(most, z.shape[1] - 1))
    wide = z.shape[1] > len(z)
    square = z @ z.T if wide else z.T @ z
    top = (len(square) - most, len(square) - 1)
    squares, vectors = eigh(square, subset_by_index=top)
    squares = np.maximum(squares, 0)
    axes = vectors.T @ z / np.sqrt(squares + _LEAST)[:, None] if wide else vectors.T
    axes = axes.astype(np.float32).astype(np.float64)  # as they are stored
    return _Space(center, scale, axes, squares / len(z) + _LEAST)


def _standardised(values: Floats, center: Floats, scale: Floats) -> Floats:
    z = values - center
    z /= scale
    np.nan_to_num(z, copy=False)
    return np.clip(z, -_FARTHEST, _FARTHEST, out=z)


def _logs(z: Floats, directions: Floats, variances: Floats) -> Floats:
    """Return the logarithms of both statistics of every row, shape (rows, 2)."""
    inside = z @ directions.T
    rest = inside @ directions
    np.subtract(z, rest, out=rest)
    both = np.column_stack([(inside**2 / variances).sum(axis=1), np.square(rest, out=rest).sum(axis=1)])
    return np.asarray(np.log(np.maximum(both, _LEAST)))


def _surprise(logs: Floats, usual: Floats, spread: Floats) -> Floats:
    """Return the larger of both statistics of every part, in standard deviations; logs of one row."""
    return np.asarray(((logs - usual) / spread).max(axis=1))


def _overall(surprises: Floats) -> Floats:
    return np.asarray(np.sqrt((np.maximum(surprises, 0) ** 2).mean(axis=1)))


def _limit(scores: Floats, groups: NDArray[np.generic], rate: float) -> tuple[float, float]:
    """Return the limit that one more group would exceed at most so often, and how often that is.

    The added group has the mean size, and exceeds every limit.
    """
    many = len(np.unique(groups))
    attained = max(rate, 1 / (many + 1))
    more = len(scores) / many
    allowed = int(np.floor(attained * (len(scores) + more) - more + _LEAST))
    return float(np.sort(scores)[len(scores) - 1 - max(allowed, 0)]), attained


class Drift(NamedTuple):
    """Whether a batch of pictures is less like the training pictures than those are themselves.

    `p` is the share of batches like the training that look as unlike, `pictures` their number.
    """

    batch: str
    pictures: int
    p: float
    drifts: bool


def drifts(
    scores: "pd.Series[float]", batches: "pd.Series[str]", known: Floats, groups: "pd.Series[str]"
) -> Iterator[Drift]:
    """Test every batch (a plate, a day) against the training pictures, one-sided, by ranks of its groups.

    Parameters
    ----------
    scores, batches, groups : Series
        Of pictures; those of one group count as one, by their mean.
    known : ndarray
        Mean scores of the groups of the training (`Unlikeness.known`).

    Notes
    -----
    The chance that any of the batches is taken to drift although none does is `RATE` (Bonferroni).

    Source: Mann & Whitney (1947), On a test of whether one of two random variables is stochastically larger
    than the other, Annals of Mathematical Statistics 18.
    """
    number = batches.nunique()
    for batch, here in scores.groupby(batches, sort=True):
        means = here.groupby(groups[here.index]).mean().to_numpy()
        p = float(mannwhitneyu(means, known, alternative="greater").pvalue)
        yield Drift(str(batch), len(here), p, p <= RATE / number)
