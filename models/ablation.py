"""What each part of the stack is worth: meta-learner and thresholds fitted again on some base learners.

The base learners' log-odds are kept from the training, so that none of them is fitted again. Every prediction
is as honest as the stack's own: it comes from what was fitted without the row's fold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models.meta_learner import (
    MetaLearner,
    OuterFold,
    Predictions,
    decide_folds,
    nested_predictions,
    outer_folds,
)
from models.nested import Nested
from models.thresholds import NESTED, RULES

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BaseLogOdds:
    """The base learners' out-of-fold log-odds and, by source, the blocks and kinds that they are of.

    `always` says whether the stack names a location for every row; `group_size` is the mean number of rows of
    a group.
    """

    nested: Nested
    targets: NDArray[np.bool_]
    fold: NDArray[np.int16]
    blocks: Sequence[str]
    kinds: Sequence[str]
    always: bool
    group_size: float = 1.0

    @property
    def known(self) -> tuple[NDArray[np.bool_], NDArray[np.int16]]:
        """Targets and folds."""
        return self.targets, self.fold

    def of(self, wanted: Sequence[bool]) -> Nested:
        """Return the log-odds of some sources."""
        some, nested = np.flatnonzero(wanted), self.nested
        inner = [table[:, :, some] for table in nested.inner]
        return Nested(inner, nested.outer[:, :, some], nested.final[:, :, some])


def ablations(base: BaseLogOdds, rule: str) -> Iterator[tuple[str, Predictions]]:
    """Yield every variant's name and predictions, the whole stack first."""
    locations = tuple(range(base.targets.shape[1]))
    meta = MetaLearner("stack", locations, base.always, base.group_size)
    everything = outer_folds(meta, base.nested, *base.known)
    yield "the stack", decide_folds(everything, *base.known, rule, always=base.always)
    yield from _parts(base, meta, rule)
    yield "meta-learner per location", _own_only(base, rule)
    yield "mean of base learners, no meta-learner", _without_meta_learner(base, rule)
    for name in (*RULES, NESTED):
        if name != rule:
            yield f"thresholds by {name}", decide_folds(everything, *base.known, name, always=base.always)
    yield "thresholds of 0.5", _at_half(everything, base)


def _parts(base: BaseLogOdds, meta: MetaLearner, rule: str) -> Iterator[tuple[str, Predictions]]:
    for names, what in ((base.blocks, "block"), (base.kinds, "base learners")):
        distinct = list(dict.fromkeys(names))
        for name in distinct if len(distinct) > 1 else ():
            some = base.of([other == name for other in names])
            yield f"{what} {name} alone", nested_predictions(meta, some, *base.known, rule)
        for name in distinct if len(distinct) > 2 else ():
            rest = base.of([other != name for other in names])
            yield f"without {what} {name}", nested_predictions(meta, rest, *base.known, rule)


def _own_only(base: BaseLogOdds, rule: str) -> Predictions:
    """Predict every location by a meta-learner that sees no other one."""
    parts = [
        outer_folds(MetaLearner("own", (k,), group_size=base.group_size), base.nested, *base.known)
        for k in range(base.targets.shape[1])
    ]
    joined = [
        OuterFold(
            several[0].rest,
            np.column_stack([part.inside for part in several]),
            np.column_stack([part.probability for part in several]),
        )
        for several in zip(*parts, strict=True)
    ]
    return decide_folds(joined, *base.known, rule, always=base.always)


def _without_meta_learner(base: BaseLogOdds, rule: str) -> Predictions:
    outer, parts = base.nested.outer.mean(axis=2), []
    for number, inner in enumerate(base.nested.inner):
        rest = base.fold != number
        parts.append(OuterFold(rest, expit(inner[rest].mean(axis=2)), expit(outer[~rest])))
    return decide_folds(parts, *base.known, rule, always=base.always)


def _at_half(parts: Sequence[OuterFold], base: BaseLogOdds) -> Predictions:
    probability = np.empty(base.targets.shape)
    for part in parts:
        probability[~part.rest] = part.probability
    return Predictions(probability, probability >= 0.5)
