"""Folds that keep groups whole and spread every location's positives as evenly as the groups allow.

Iterative stratification (the rarest location first, each group to the fold that lacks it most),
applied to groups instead of rows, followed by moves and swaps of groups as long as they make the
folds more even. Everything is deterministic.

Source: Sechidis, Tsoumakas & Vlahavas (2011), On the stratification of multi-label data, ECML PKDD.
"""

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from models.metrics import sum_by

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PASSES = 30
_SWAPS_PER_GROUP = 20
_MOST_SWAPS = 400_000
_GAIN = 1e-9


def stratified_group_folds(
    targets: NDArray[np.bool_], groups: pd.Series, folds: int, *, seed: int = 0
) -> NDArray[np.int16]:
    """Assign every row to a fold; rows of one group share theirs.

    Parameters
    ----------
    targets : ndarray of bool, shape (rows, locations)
    groups : Series, length rows
        Group of each row; any hashable values, none missing.
    folds : int
        Number of folds, at least 2.
    seed : int
        Breaks ties, and orders the swaps that are tried.

    Returns
    -------
    ndarray of int16, shape (rows,)
        Fold from 0 to ``folds - 1``.

    Raises
    ------
    ValueError
        If there are fewer groups than folds, or a group is missing.
    """
    codes, names = pd.factorize(groups)
    _check(codes, len(names), folds)
    load = sum_by(np.column_stack([targets, np.ones(len(targets), dtype=bool)]), codes, len(names))
    rng = np.random.default_rng(seed)
    wanted = np.full((folds, 1), 1 / folds) * load.sum(axis=0)
    part = _deal(load, wanted, rng.permutation(len(names)))
    _refine(load, wanted, part, rng)
    return np.asarray(part[codes], dtype=np.int16)


def positive_groups(targets: NDArray[np.bool_], groups: pd.Series) -> Ints:
    """Count, per location, the groups with at least one positive row; shape (locations,)."""
    codes, names = pd.factorize(groups)
    return np.asarray((sum_by(targets, codes, len(names)) > 0).sum(axis=0))


def _check(codes: Ints, count: int, folds: int) -> None:
    if folds < 2:
        raise ValueError(f"folds must be 2 or more, not {folds}")
    if (codes < 0).any():
        raise ValueError(f"{int((codes < 0).sum())} rows have no group; give every row one")
    if count < folds:
        raise ValueError(f"{count} groups cannot fill {folds} folds; ask for fewer folds")


def _deal(load: Floats, wanted: Floats, order: Ints) -> Ints:
    """Deal groups to folds, those of the rarest location first and the largest of them first."""
    part = np.full(len(load), -1)
    missing = wanted.copy()
    left = load.sum(axis=0)
    last = load.shape[1] - 1  # the column of ones: what remains once no location has positives left
    while (part < 0).any():
        located = np.flatnonzero(left[:last] > 0)
        column = located[np.argmin(left[located])] if len(located) else last
        mine = order[(part[order] < 0) & (load[order, column] > 0)]
        mine = mine[np.argsort(-load[mine, column], kind="stable")]
        _deal_column(load, missing, mine, column, part)
        left -= load[mine].sum(axis=0)
    return part


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no types
def _deal_column(load: Floats, missing: Floats, mine: Ints, column: int, part: Ints) -> None:
    last = load.shape[1] - 1
    for group in mine:
        best = 0
        for fold in range(1, len(missing)):
            ahead = missing[fold, column] - missing[best, column]
            if ahead > 0 or (ahead == 0 and missing[fold, last] > missing[best, last]):
                best = fold
        part[group] = best
        missing[best] -= load[group]


def _refine(load: Floats, wanted: Floats, part: Ints, rng: np.random.Generator) -> None:
    """Move and swap groups in place while that lowers the weighted squared distance to `wanted`."""
    totals = load.sum(axis=0)
    weight = np.where(totals > 0, 1 / np.maximum(totals, 1), 0.0)
    excess = -wanted
    np.add.at(excess, part, load)
    tries = min(_SWAPS_PER_GROUP * len(load), _MOST_SWAPS)
    pairs = rng.integers(0, len(load), size=(tries, 2))
    for _ in range(_PASSES):
        if not _move_all(load, weight, excess, part) + _swap_all(load, weight, excess, part, pairs):
            break


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no types
def _move_all(load: Floats, weight: Floats, excess: Floats, part: Ints) -> int:
    moved, sizes = 0, np.bincount(part, minlength=len(excess))
    for group in range(len(load)):
        here = part[group]
        if sizes[here] == 1:
            continue  # a fold is never emptied
        best, lowest = here, -_GAIN
        for there in range(len(excess)):
            if there == here:
                continue
            change = 0.0
            for column in range(load.shape[1]):
                step = load[group, column]
                gap = excess[there, column] - excess[here, column] + step
                change += weight[column] * step * gap
            if change < lowest:
                best, lowest = there, change
        if best != here:
            excess[here] -= load[group]
            excess[best] += load[group]
            sizes[here] -= 1
            sizes[best] += 1
            part[group] = best
            moved += 1
    return moved


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no types
def _swap_all(load: Floats, weight: Floats, excess: Floats, part: Ints, pairs: Ints) -> int:
    swapped = 0
    for index in range(len(pairs)):
        one, other = pairs[index]
        here, there = part[one], part[other]
        if here == there:
            continue
        change = 0.0
        for column in range(load.shape[1]):
            step = load[one, column] - load[other, column]
            gap = excess[there, column] - excess[here, column] + step
            change += weight[column] * step * gap
        if change < -_GAIN:
            excess[here] += load[other] - load[one]
            excess[there] += load[one] - load[other]
            part[one], part[other] = there, here
            swapped += 1
    return swapped
