"""Which locations of a protein differ between two conditions: sizes, intervals and tests over wells.

The well is what was treated, so the well is what is counted: pictures of one well are averaged first. Plates
differ by more than chance; conditions are compared within plates (a linear model of condition and plate).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from math import comb, prod
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, t

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]

RESOLUTION = 5e-7
"""Half of the last digit of a probability: differences between wells are known no better."""

TESTED = ("difference", "low", "high", "hedges_g", "p")

_MOST_DRAWS = 200_000
_TIE = 1e-12
_ROUNDED = 1 - 1e-9


@dataclass(frozen=True)
class Plan:
    """How conditions are compared.

    Attributes
    ----------
    control : str
        The condition that every other one is compared with.
    test : "welch" or "permutation"
        Welch's t-test, or all exchanges of wells within plates (or many of them, drawn at random).
    minimum : int
        Wells of each condition that a protein needs, at least 2.
    least : float
        Mean probability over the wells of both conditions from which a location is tested. It says nothing of
        their difference, so that leaving out locations by it favours none.
    rate : float
        Share of false discoveries that is accepted among what is said to have changed.
    seed : int
        Of the exchanges that are drawn.
    """

    control: str
    test: Literal["welch", "permutation"] = "welch"
    minimum: int = 3
    least: float = 0.05
    rate: float = 0.05
    seed: int = 0


def well_means(values: pd.DataFrame, keys: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Average the pictures of every well.

    Parameters
    ----------
    values : DataFrame of float
        Pictures x columns.
    keys : DataFrame of str
        What a well is called by, of the same pictures: ``protein, condition, plate, well``.

    Returns
    -------
    means, keys : DataFrame
        One row per well and protein, in the order of their names.
    """
    means = values.groupby([keys[name] for name in keys.columns], sort=True).mean()
    return means.reset_index(drop=True), means.index.to_frame(index=False)


def compare(probability: pd.DataFrame, called: pd.DataFrame, wells: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Compare every condition with the control, for every protein and location.

    Parameters
    ----------
    probability, called : DataFrame of float
        Wells x locations: the mean probability, and the share of pictures that the location is named for.
    wells : DataFrame of str
        ``protein, condition, plate`` of the same wells.

    Returns
    -------
    DataFrame
        One row per protein, condition and location: ``wells`` and ``wells_control`` (in plates that have both
        conditions), means of these: ``probability``, ``called`` and the same with ``_control``; the
        ``difference`` of probabilities within plates with its 95 % interval from ``low`` to ``high``;
        ``hedges_g``, the difference in standard deviations of wells; ``p``; ``q``, adjusted by Benjamini and
        Hochberg for all tests; ``changed``, where ``q`` is at most the accepted rate; and ``reason``, why
        there was no test.

    Notes
    -----
    Intervals, and p of "welch", are from the standard error that is right where conditions vary unequally
    (HC2), with the degrees of freedom of Bell and McCaffrey: Welch's test where there is one plate.

    Sources: Bell & McCaffrey (2002), Bias reduction in standard errors for linear regression, Survey
    Methodology 28; Benjamini & Hochberg (1995), J. R. Statist. Soc. B 57; Phipson & Smyth (2010),
    Permutation p-values should never be zero, Stat. Appl. Genet. Mol. Biol. 9; Bourgon, Gentleman & Huber
    (2010), Independent filtering increases detection power, PNAS 107; Hedges (1981), Distribution theory for
    Glass's estimator of effect size, Journal of Educational Statistics 6.
    """
    contrasts = list(_contrasts(probability, called, wells, plan))
    columns = [one.columns(list(probability.columns)) for one in contrasts]
    if plan.test == "permutation":
        draws = draws_for(sum(int(one.tests.sum()) for one in contrasts), plan.rate)
        for one, made in zip(contrasts, columns, strict=True):
            made["p"][one.tests] = one.exchanged(draws, plan.seed) if one.tests.any() else ()
    table = pd.DataFrame({name: np.concatenate([made[name] for made in columns]) for name in columns[0]})
    tests, reason = table["reason"].eq("").to_numpy(), table.pop("reason")
    q = np.full(len(table), np.nan)
    q[tests] = false_discovery_control(table["p"].to_numpy()[tests]) if tests.any() else ()
    return table.assign(q=q, changed=q <= plan.rate, reason=reason)


def draws_for(tests: int, rate: float) -> int:
    """Return how many exchanges give p small enough for a single discovery among so many tests."""
    return min(_MOST_DRAWS, max(9_999, int(2 * tests / rate)))


def smallest_p(wells: pd.DataFrame, plan: Plan) -> float:
    """Return the smallest p that a permutation test of any protein can give."""
    nothing, least = pd.DataFrame(index=wells.index), 1.0
    for one in _contrasts(nothing, nothing, wells, plan):
        layout = _layout(one.plates, one.treated) if len(one.treated) else ()
        mirrored = all(size == 2 * some for size, some in layout)  # the opposite exchange is as far
        least = min(least, (1 + mirrored) / _number(layout))
    return least


@dataclass(frozen=True)
class _Contrast:
    """A protein's wells of a condition and of its controls, in plates that have both, plate by plate.

    `values` and `called` have the shape (wells, locations); `reason` says why a location is not tested.
    """

    protein: str
    condition: str
    values: Floats
    called: Floats
    treated: Labels
    plates: NDArray[np.int64]
    reason: NDArray[np.str_]

    @property
    def tests(self) -> Labels:
        """Which locations are tested."""
        return np.asarray(self.reason == "")

    def columns(self, locations: list[str]) -> dict[str, NDArray[Any]]:
        """Return columns of the table that `compare` makes; p is that of Welch's test."""
        number, made = len(locations), {}
        for name, text in (("protein", self.protein), ("condition", self.condition)):
            made[name] = np.full(number, text, dtype=object)
        made["location"] = np.array(locations, dtype=object)
        for name, rows in (("", self.treated), ("_control", ~self.treated)):
            made[f"wells{name}"] = np.full(number, int(rows.sum()))
            for what, values in (("probability", self.values), ("called", self.called)):
                made[f"{what}{name}"] = values[rows].mean(axis=0) if rows.any() else np.full(number, np.nan)
        estimates = np.full((number, len(TESTED)), np.nan)
        if self.tests.any():
            within = _within(self.values[:, self.tests], self.plates)
            estimates[self.tests] = _estimates(within, self.treated, self.plates)
        return made | dict(zip(TESTED, estimates.T, strict=True)) | {"reason": self.reason.astype(object)}

    def exchanged(self, draws: int, seed: int) -> Floats:
        """Return p of the permutation test of every tested location."""
        layout = _layout(self.plates, self.treated)
        exchanges = _exchanges(layout, draws, seed)
        within = _within(self.values[:, self.tests], self.plates)
        observed = np.abs(self.treated @ within)
        as_far = (np.abs(exchanges @ within) >= observed * (1 - 1e-9) - _TIE).sum(axis=0)
        drawn = int(_number(layout) > draws)  # what was observed is one exchange more
        return np.asarray((as_far + drawn) / (len(exchanges) + drawn))


def _contrasts(
    probability: pd.DataFrame, called: pd.DataFrame, wells: pd.DataFrame, plan: Plan
) -> Iterator[_Contrast]:
    """Yield every protein and condition that it has wells of, beside the control."""
    conditions = [name for name in sorted(set(wells["condition"])) if name != plan.control]
    values, named = probability.to_numpy(np.float64), called.to_numpy(np.float64)
    names = {name: wells[name].to_numpy(dtype=str) for name in ("condition", "plate")}
    for protein, rows in wells.groupby("protein", sort=True).indices.items():
        condition, plate = (names[name][rows] for name in ("condition", "plate"))
        for other in conditions:
            treated, controls = condition == other, condition == plan.control
            if treated.any():
                both = np.isin(plate, plate[treated]) & np.isin(plate, plate[controls])
                used = np.flatnonzero((treated | controls) & both)
                used = used[np.argsort(plate[used], kind="stable")]
                here, layout = values[rows[used]], (treated[used], pd.factorize(plate[used])[0])
                reasons = _reasons(here, *layout, plan)
                yield _Contrast(str(protein), other, here, named[rows[used]], *layout, reasons)


def _reasons(values: Floats, treated: Labels, plates: NDArray[np.int64], plan: Plan) -> NDArray[np.str_]:
    """Say of every location why it is not tested."""
    if not len(values):
        text = "no plate has wells of both conditions"
    elif min(treated.sum(), (~treated).sum()) < plan.minimum or _leverage(treated, plates).max() > _ROUNDED:
        text = f"fewer than {plan.minimum} wells of a condition in plates that have both"
    else:
        rare = values.mean(axis=0) < plan.least
        return np.where(rare, f"mean probability below {plan.least:g}", "")
    return np.full(values.shape[1], text)


def _within(values: Floats, plates: NDArray[np.int64]) -> Floats:
    """Subtract the mean of its plate from every well."""
    members = plates[:, None] == np.arange(plates.max() + 1)
    return np.asarray(values - members @ (members.T @ values / members.sum(axis=0)[:, None]))


def _leverage(treated: Labels, plates: NDArray[np.int64]) -> Floats:
    contrast = _within(treated[:, None].astype(float), plates)[:, 0]
    return np.asarray(1 / np.bincount(plates)[plates] + contrast**2 / (contrast @ contrast))


def _estimates(within: Floats, treated: Labels, plates: NDArray[np.int64]) -> Floats:
    """Return difference, interval, g and p of Welch's test of every location, shape (locations, 5)."""
    contrast = _within(treated[:, None].astype(float), plates)[:, 0]
    weights = contrast / (contrast @ contrast)
    difference = weights @ within
    residual = within - np.outer(contrast, difference)
    free = 1 - _leverage(treated, plates)
    squares = weights**2 / free
    error = np.sqrt(squares @ (residual**2 + RESOLUTION**2))
    same = plates[:, None] == plates
    projection = np.eye(len(plates)) - same / same.sum(axis=0) - np.outer(contrast, weights)
    freedom = (squares @ free) ** 2 / (squares @ projection**2 @ squares)
    reach = t.ppf(0.975, freedom) * error
    left = len(plates) - plates.max() - 2
    spread = np.sqrt((residual**2).sum(axis=0) / left)
    g = np.full(len(difference), np.nan)
    np.divide(difference * (1 - 3 / (4 * left - 1)), spread, out=g, where=spread > RESOLUTION)
    p = 2 * t.sf(np.abs(difference) / error, freedom)
    return np.column_stack([difference, difference - reach, difference + reach, g, p])


Layout = tuple[tuple[int, int], ...]
"""Of every plate: its wells, and how many of them are treated."""


def _layout(plates: "NDArray[np.int64] | pd.Series[str]", treated: Labels) -> Layout:
    codes = pd.factorize(np.asarray(plates))[0]
    sizes, some = np.bincount(codes), np.bincount(codes, weights=treated).astype(int)
    return tuple(zip(sizes.tolist(), some.tolist(), strict=True))


def _number(layout: Layout) -> int:
    return prod(comb(size, some) for size, some in layout)


@lru_cache(maxsize=8)
def _exchanges(layout: Layout, draws: int, seed: int) -> Floats:
    """Return which wells might have been treated, shape (exchanges, wells): all ways, or `draws` of them."""
    if _number(layout) <= draws:
        plates = [_ways(size, some) for size, some in layout]
        picked = list(product(*(range(len(ways)) for ways in plates)))
        columns = zip(plates, np.array(picked).T, strict=True)
        return np.hstack([ways[which] for ways, which in columns])
    rng = np.random.default_rng(seed)
    ranks = [rng.random((draws, size)).argsort(axis=1).argsort(axis=1) for size, _ in layout]
    return np.hstack([rank < some for rank, (_, some) in zip(ranks, layout, strict=True)]).astype(float)


def _ways(size: int, some: int) -> Floats:
    """Return all ways in which some wells of a plate may be treated, shape (ways, wells)."""
    chosen = np.array(list(combinations(range(size), some)), dtype=int).reshape(-1, some)
    ways = np.zeros((len(chosen), size))
    np.put_along_axis(ways, chosen, 1.0, axis=1)
    return ways
