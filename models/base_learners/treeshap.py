"""Exact TreeSHAP for trees whose leaves hold one value per location, which XGBoost does not explain.

A leaf's path is a list of conditions, one per feature on it: an interval, what becomes of missing
values, and the share of the training rows that go on where the feature is unknown. A leaf's
contributions follow from its own path alone, so that leaves are explained one by one.

Source: Lundberg et al. (2020), From local explanations to global understanding with explainable AI
for trees, Nature Machine Intelligence 2, algorithm 2; paths as in Mitchell, Frank & Holmes (2022),
GPUTreeShap, PeerJ Computer Science 8.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Condition:
    """What a path asks of one feature."""

    low: float = -np.inf
    high: float = np.inf
    missing: bool = True
    share: float = 1.0


@dataclass(frozen=True)
class Paths:
    """Paths of all leaves of a model.

    Attributes
    ----------
    start : ndarray of int, shape (leaves + 1,)
        Where each leaf's conditions begin.
    feature : ndarray of int, shape (conditions,)
    low, high : ndarray of float32, shape (conditions,)
        The path goes on where ``low <= value < high``.
    missing : ndarray of bool, shape (conditions,)
        Whether it goes on where the value is missing.
    share : ndarray, shape (conditions,)
        Share of the training rows that go on at the feature's splits.
    leaf : ndarray, shape (leaves, locations)
    """

    start: NDArray[np.int64]
    feature: NDArray[np.int64]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    missing: NDArray[np.bool_]
    share: Floats
    leaf: Floats

    @classmethod
    def of(cls, trees: Sequence[Mapping[str, Any]], locations: int) -> Self:
        """Collect the paths of XGBoost's vector-leaf trees, in its JSON form."""
        leaves = [leaf for tree in trees for leaf in _leaves(tree, locations)]
        conditions = [(feature, c) for path, _ in leaves for feature, c in path.items()]
        return cls(
            np.cumsum([0, *(len(path) for path, _ in leaves)]).astype(np.int64),
            np.array([feature for feature, _ in conditions], dtype=np.int64),
            np.array([c.low for _, c in conditions], dtype=np.float32),
            np.array([c.high for _, c in conditions], dtype=np.float32),
            np.array([c.missing for _, c in conditions], dtype=np.bool_),
            np.array([c.share for _, c in conditions], dtype=np.float64),
            np.array([values for _, values in leaves], dtype=np.float64).reshape(-1, locations),
        )

    def contributions(self, X: NDArray[np.float32]) -> Floats:
        """Return contributions, shape (locations, rows, columns + 1); the last column is the mean answer."""
        result = np.zeros((self.leaf.shape[1], len(X), X.shape[1] + 1))
        reached = np.array([self.share[a:b].prod() for a, b in zip(self.start, self.start[1:], strict=False)])
        result[:, :, -1] = (reached @ self.leaf)[:, None]
        deepest = int(np.diff(self.start).max(initial=0))
        _explain(
            X, self.start, self.feature, self.low, self.high, self.missing, self.share, self.leaf,
            np.zeros(deepest + 1), result,
        )  # fmt: skip
        return result


def _leaves(tree: Mapping[str, Any], locations: int) -> Iterator[tuple[dict[int, Condition], Floats]]:
    """Yield every leaf's conditions by feature, and its values."""
    left, right, cover = tree["left_children"], tree["right_children"], tree["sum_hessian"]
    values = np.array(tree["leaf_weights"], dtype=np.float32).reshape(-1, locations)
    waiting: list[tuple[int, dict[int, Condition]]] = [(0, {})]
    while waiting:
        node, path = waiting.pop()
        if left[node] < 0:
            yield path, values[right[node]].astype(np.float64)  # a leaf's right child is its place
            continue
        feature, cut = int(tree["split_indices"][node]), float(tree["split_conditions"][node])
        old = path.get(feature, Condition())
        for child, smaller in ((left[node], True), (right[node], False)):
            new = Condition(
                old.low if smaller else max(old.low, cut),
                min(old.high, cut) if smaller else old.high,
                old.missing and bool(tree["default_left"][node]) == smaller,
                old.share * cover[child] / cover[node],
            )
            waiting.append((child, path | {feature: new}))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no types
def _explain(
    X: NDArray[np.float32],
    start: NDArray[np.int64],
    feature: NDArray[np.int64],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    missing: NDArray[np.bool_],
    share: Floats,
    leaf: Floats,
    weight: Floats,
    result: Floats,
) -> None:
    for row in range(len(X)):
        for place in range(len(leaf)):
            first, last = start[place], start[place + 1]
            depth = last - first
            _extend(X[row], first, last, feature, low, high, missing, share, weight)
            for condition in range(first, last):
                met = _met(X[row], condition, feature, low, high, missing)
                if met == share[condition]:
                    continue
                part = _unwound(weight, depth, met, share[condition]) * (met - share[condition])
                for location in range(leaf.shape[1]):
                    result[location, row, feature[condition]] += part * leaf[place, location]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no types
def _met(
    x: NDArray[np.float32],
    condition: int,
    feature: NDArray[np.int64],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    missing: NDArray[np.bool_],
) -> float:
    value = x[feature[condition]]
    if np.isnan(value):
        return 1.0 if missing[condition] else 0.0
    return 1.0 if low[condition] <= value and value < high[condition] else 0.0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no types
def _extend(
    x: NDArray[np.float32],
    first: int,
    last: int,
    feature: NDArray[np.int64],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    missing: NDArray[np.bool_],
    share: Floats,
    weight: Floats,
) -> None:
    """Weigh the sets of known features by their size, for all conditions of one path."""
    weight[: last - first + 1] = 0.0
    weight[0] = 1.0
    for condition in range(first, last):
        size = condition - first + 1
        met = _met(x, condition, feature, low, high, missing)
        for known in range(size - 1, -1, -1):
            weight[known + 1] += met * weight[known] * (known + 1) / (size + 1)
            weight[known] *= share[condition] * (size - known) / (size + 1)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no types
def _unwound(weight: Floats, depth: int, met: float, share: float) -> float:
    """Sum the weights that remain when one condition is taken out again."""
    total, following = 0.0, weight[depth]
    for known in range(depth - 1, -1, -1):
        if met > 0:
            taken = following * (depth + 1) / (known + 1)
            total += taken
            following = weight[known] - taken * share * (depth - known) / (depth + 1)
        else:
            total += weight[known] * (depth + 1) / (share * (depth - known))
    return total
