"""Two trainings on the same pictures, compared by their out-of-fold predictions: paired differences of F1."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.metrics import count, interval_of_difference, resampled_counts
from pipeline.core.errors import PipelineError
from pipeline.core.names import counted
from pipeline.core.workspace import Workspace
from pipeline.stages.comparisons import OutOfFold, by_head
from pipeline.stages.options import EvaluateOptions


@dataclass(frozen=True)
class Difference:
    """F1 of a training beside another's, and their difference with its paired 95 % interval."""

    f1: float
    other: float
    difference: float
    low: float
    high: float

    @property
    def beyond_chance(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Against:
    """A training beside another, on the pictures and locations that both have.

    Attributes
    ----------
    other : str
        Folder of the other training.
    pictures, only_here, only_there : int
        Pictures that both have, and that only one has.
    locations : dict of str to Difference
        Of the stack.
    support : dict of str to int
        Pictures with each location.
    heads : dict of str to Difference
        Macro-F1 of the stack and of the other models (see `predict --head`) over the locations of both.
    left_out : dict of str to str
        Locations that only one was trained on, and which: ``here`` or ``there``.
    folds : str
        How the folds differ; empty where they do not.
    """

    other: str
    pictures: int
    only_here: int
    only_there: int
    locations: dict[str, Difference]
    support: dict[str, int]
    heads: dict[str, Difference]
    left_out: dict[str, str]
    folds: str


def training_of(path: Path, work: Workspace) -> Workspace:
    """Return the work folder of a training, given that, WORK/models/NAME, or its model.

    Raises
    ------
    PipelineError
        If no out-of-fold predictions lie there, or they are those of `work`.
    """
    found = next((one for one in map(Workspace, (path, path.parent)) if one.out_of_fold.is_file()), None)
    if found is None or path.resolve() not in (found.root.resolve(), found.model.resolve()):
        raise PipelineError(
            f"--against {path}: no out-of-fold predictions there; give the work folder of a training, "
            "WORK/models/NAME of a named one, or the model in it"
        )
    if found.out_of_fold.resolve() == work.out_of_fold.resolve():
        raise PipelineError(f"--against {path}: is the training that is scored; give another one")
    return found


def compare(
    here: Mapping[str, OutOfFold], there: Mapping[str, OutOfFold], options: EvaluateOptions
) -> Against:
    """Compare the predictions of two trainings, by model.

    Raises
    ------
    PipelineError
        If they share no picture or location, or labels or groups of the pictures differ.
    """
    mine, theirs = by_head(here), by_head(there)
    ours, other = mine["stack"], theirs["stack"]
    ids = ours.truth.index.intersection(other.truth.index)
    names = [str(name) for name in ours.truth.columns if name in other.truth.columns]
    _check_shared(ours, other, len(ids), names, options)
    left, right = ours.of(ids, names), other.of(ids, names)
    _check_same(left, right, options)
    whole, each = _differences(left, right, options)
    heads = {"stack": whole}
    for head, one in mine.items():
        some = [name for name in one.truth.columns if name in names] if head in theirs else []
        if some:
            heads[head] = _differences(one.of(ids, some), theirs[head].of(ids, some), options)[0]
    only = {where: one.truth.columns.difference(names) for where, one in (("here", ours), ("there", other))}
    return Against(
        other=str(options.against),
        pictures=len(ids),
        only_here=len(ours.truth) - len(ids),
        only_there=len(other.truth) - len(ids),
        locations=dict(zip(names, each, strict=True)),
        support={name: int(left.truth[name].sum()) for name in names},
        heads=heads,
        left_out={str(name): where for where, some in only.items() for name in some},
        folds=_folds(left, right),
    )


def _differences(
    left: OutOfFold, right: OutOfFold, options: EvaluateOptions
) -> tuple[Difference, list[Difference]]:
    """Return the difference of macro-F1, and those of every location."""
    truth, units = left.truth.to_numpy(), left.units if left.plates is not None else right.units
    sides = [side.chosen.to_numpy() for side in (left, right)]
    f1, other = (count(truth, chosen).f1() for chosen in sides)
    drawn, beside = (
        resampled_counts(truth, chosen, units, draws=options.draws, seed=options.seed).f1()
        for chosen in sides
    )
    each = [_difference(*three) for three in zip(f1, other, (drawn - beside).T, strict=True)]
    return _difference(f1.mean(), other.mean(), (drawn - beside).mean(axis=1)), each


def _difference(f1: float, other: float, spread: NDArray[np.float64]) -> Difference:
    f1, other = float(f1), float(other)
    return Difference(f1, other, f1 - other, *interval_of_difference(spread, f1 - other))


def _check_shared(
    ours: OutOfFold, other: OutOfFold, pictures: int, names: list[str], options: EvaluateOptions
) -> None:
    for number, what, one, two in (
        (pictures, "picture", ours.truth.index, other.truth.index),
        (len(names), "location", ours.truth.columns, other.truth.columns),
    ):
        if not number:
            raise PipelineError(
                f"--against {options.against}: has no {what} of {options.work}: '{two[0]}' there, "
                f"'{one[0]}' here; give a training on the same {what}s"
            )


def _check_same(left: OutOfFold, right: OutOfFold, options: EvaluateOptions) -> None:
    labels = (left.truth != right.truth).any(axis=1).to_numpy()
    checks = (
        (labels, "labels", _labels, "on the same labels"),
        (_differ(left.groups, right.groups), "groups", _group, "with the same --groups"),
    )
    for differ, what, said, remedy in checks:
        if differ.any():
            row = int(np.argmax(differ))
            raise PipelineError(
                f"--against {options.against}: {counted(int(differ.sum()), 'picture')} of {len(differ):,} "
                f"with other {what}, such as '{left.truth.index[row]}': {said(left, row)} here, "
                f"{said(right, row)} there; train both {remedy}"
            )


def _labels(side: OutOfFold, row: int) -> str:
    return f"'{'; '.join(side.truth.columns[side.truth.iloc[row]])}'"


def _group(side: OutOfFold, row: int) -> str:
    name = side.groups.iloc[row]
    return f"group '{name}' of {counted(int(side.groups.eq(name).sum()), 'picture')}"


def _folds(left: OutOfFold, right: OutOfFold) -> str:
    if not _differ(left.fold, right.fold).any():
        return ""
    return (
        f"Folds differ ({left.folds} here, {right.folds} there): part of the differences is how pictures "
        "fell into folds"
    )


def _differ(one: pd.Series, other: pd.Series) -> NDArray[np.bool_]:
    """Say which rows are together with other rows in one table than in the other, whatever it is called."""
    table = pd.DataFrame({"one": pd.factorize(one)[0], "other": pd.factorize(other)[0]})
    several = [
        table.groupby(a)[b].transform("nunique").gt(1) for a, b in (("one", "other"), ("other", "one"))
    ]
    return np.asarray(several[0] | several[1])
