"""What each part of the stack is worth: level 1 and thresholds fitted again on parts of level 0.

Level 0's log-odds are kept from the training, so that nothing of level 0 is fitted again. Every answer
is as honest as the stack's own: it comes from what was fitted without the row's fold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models.meta_learner import Answers, Head, OuterFold, decide, nested_answers, outer_folds
from models.thresholds import NESTED, RULES

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Margins:
    """Level 0's out-of-fold log-odds, as `models.nested.Nested` has them, and what they are of.

    Attributes
    ----------
    inner : ndarray, shape (folds, rows, locations, sources)
    outer : ndarray, shape (rows, locations, sources)
    targets : ndarray of bool, shape (rows, locations)
    fold : ndarray of int, shape (rows,)
    blocks, kinds : sequence of str, length sources
    always : bool
        Whether the stack answers every row.
    group_size : float
        Mean number of rows of a group.
    """

    inner: Floats
    outer: Floats
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

    def of(self, wanted: Sequence[bool]) -> tuple[Floats, Floats]:
        """Return inner and outer log-odds of some sources."""
        some = np.flatnonzero(wanted)
        return self.inner[:, :, :, some], self.outer[:, :, some]


def ablations(margins: Margins, rule: str) -> Iterator[tuple[str, Answers]]:
    """Yield every variant's name and answers, the whole stack first."""
    head = Head("stack", tuple(range(margins.targets.shape[1])), margins.always, margins.group_size)
    everything = outer_folds(head, list(margins.inner), margins.outer, *margins.known)
    yield "the stack", decide(everything, *margins.known, rule, always=head.always)
    yield from _parts(margins, head, rule)
    yield "level 1 per location", _own_only(margins, rule)
    yield "mean of level 0, no level 1", _without_level1(margins, rule)
    for name in (*RULES, NESTED):
        if name != rule:
            yield f"thresholds by {name}", decide(everything, *margins.known, name, always=head.always)
    yield "thresholds of 0.5", _at_half(everything, margins)


def _parts(margins: Margins, head: Head, rule: str) -> Iterator[tuple[str, Answers]]:
    for names, what in ((margins.blocks, "block"), (margins.kinds, "members")):
        distinct = list(dict.fromkeys(names))
        for name in distinct if len(distinct) > 1 else ():
            inner, outer = margins.of([other == name for other in names])
            yield f"{what} {name} alone", nested_answers(head, list(inner), outer, *margins.known, rule)


def _own_only(margins: Margins, rule: str) -> Answers:
    """Answer every location by a head that sees no other one."""
    heads = [
        Head(str(place), (place,), group_size=margins.group_size) for place in range(margins.targets.shape[1])
    ]
    parts = [outer_folds(head, list(margins.inner), margins.outer, *margins.known) for head in heads]
    joined = [
        OuterFold(
            several[0].rest,
            np.column_stack([part.inside for part in several]),
            np.column_stack([part.probability for part in several]),
        )
        for several in zip(*parts, strict=True)
    ]
    return decide(joined, *margins.known, rule, always=margins.always)


def _without_level1(margins: Margins, rule: str) -> Answers:
    mean = margins.inner.mean(axis=3), margins.outer.mean(axis=2)
    parts = []
    for number, inner in enumerate(mean[0]):
        rest = margins.fold != number
        parts.append(OuterFold(rest, expit(inner[rest]), expit(mean[1][~rest])))
    return decide(parts, *margins.known, rule, always=margins.always)


def _at_half(parts: Sequence[OuterFold], margins: Margins) -> Answers:
    probability = np.empty(margins.targets.shape)
    for part in parts:
        probability[~part.rest] = part.probability
    return Answers(probability, probability >= 0.5)
