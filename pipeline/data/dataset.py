"""What a model is trained on: features and embeddings, labels, groups, folds, and who is left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.folds import positive_groups, stratified_group_folds
from models.stacking import MINIMUM_FOLDS, crossed
from pipeline.core.errors import PipelineError
from pipeline.core.problems import Problem
from pipeline.core.workspace import Workspace
from pipeline.data.dataset_options import DatasetOptions
from pipeline.data.embedding_tables import embedding_name, read_embedding
from pipeline.data.groups import read_groups
from pipeline.data.labels import read_labels
from pipeline.data.prediction_tables import OUTPUTS, read_outputs

FEATURES = "features"
"""Name of the block of handcrafted features."""


@dataclass(frozen=True)
class Dataset:
    """Pictures with features and labels; all tables have the same rows, ordered by Id.

    Attributes
    ----------
    blocks : dict of str to DataFrame
        Features and, by file name, embeddings.
    targets : DataFrame of bool
        All 28 locations.
    groups : Series of str
    grouped : bool
        Whether groups were given; else a group is a picture and its near-duplicates.
    copies : int
        Pictures that are in a group because they are near-duplicates of another.
    fold : ndarray of int
    random_fold : ndarray of int or None
        Folds that ignore groups, where asked for.
    left_out : dict
        Location without a model to the reason.
    problems : list of Problem
        Pictures that could not be used, or only in part.
    """

    blocks: Mapping[str, pd.DataFrame]
    targets: pd.DataFrame
    groups: pd.Series
    grouped: bool
    copies: int
    fold: NDArray[np.int16]
    random_fold: NDArray[np.int16] | None
    left_out: Mapping[str, str]
    problems: list[Problem]

    @property
    def trained(self) -> list[str]:
        """Locations that get a model."""
        return [name for name in self.targets.columns if name not in self.left_out]

    @property
    def folds(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1


def read_dataset(options: DatasetOptions) -> Dataset:
    """Bring together what a model is trained on.

    Raises
    ------
    PipelineError
        If a table cannot be used, no picture has both features and a label, or no location can be
        cross-validated.
    """
    work, labels = Workspace(options.work), options.labels
    features = read_features(work)
    known = read_labels(labels)
    ids = features.index.intersection(known.targets.index).sort_values()
    if ids.empty:
        raise PipelineError(
            f"{labels}: none of its {len(known.targets)} ids is among the {len(features)} pictures of "
            f"{work.features}; their ids must be the same"
        )
    problems = list(known.problems)
    problems += _unmatched(
        features.index.difference(ids), work.features.name, "no label", f"add it to {labels.name}"
    )
    missing = known.targets.index.difference(ids)
    problems += _unmatched(missing, labels.name, "no features", "extract its picture, or remove the label")
    blocks = {FEATURES: features.loc[ids]}
    for path in options.embeddings:
        blocks[_free_name(path, blocks)], more = _embedding(path, ids)
        problems += more
    if options.outputs:
        blocks[_free_name(Path(OUTPUTS), blocks)], more = _outputs(options.outputs, ids)
        problems += more
    targets = known.targets.loc[ids]
    grouping = read_groups(work, options.groups, ids)
    groups = grouping.groups
    fold, left_out = _deal(targets, groups, options.folds, options.seed)
    random_fold = _random_fold(targets, fold, left_out, options) if options.random_split else None
    return Dataset(
        blocks, targets, groups, grouping.given, grouping.copies, fold, random_fold, left_out, problems
    )


def read_features(work: Workspace) -> pd.DataFrame:
    """Read the features of pictures, index ``Id``.

    Raises
    ------
    PipelineError
        If they have not been extracted.
    """
    if not work.features.is_file():
        raise PipelineError(f"{work.features}: no features there; run extract with --work {work.root} first")
    return pd.read_parquet(work.features).set_index("Id")


def _unmatched(ids: pd.Index, file: str, reason: str, remedy: str) -> list[Problem]:
    return [Problem(str(sample), file, reason, remedy) for sample in ids]


def _free_name(path: Path, taken: Mapping[str, pd.DataFrame]) -> str:
    name = embedding_name(path)
    if name in taken:
        raise PipelineError(f"{path}: another block is called '{name}' already; rename the file")
    return name


def _embedding(path: Path, ids: pd.Index) -> tuple[pd.DataFrame, list[Problem]]:
    table = read_embedding(path)
    absent = ids.difference(table.index)
    if len(absent) == len(ids):
        raise PipelineError(f"{path}: no row for any of the {len(ids)} pictures; its ids must be the same")
    return table.reindex(ids), _unmatched(
        absent, path.name, "no embedding", "add its row; it counts as unknown"
    )


def _outputs(paths: tuple[Path, ...], ids: pd.Index) -> tuple[pd.DataFrame, list[Problem]]:
    table = read_outputs(paths)
    absent = ids.difference(table.index)
    if len(absent) == len(ids):
        raise PipelineError(
            f"{paths[0]}: no row for any of the {len(ids)} pictures; its ids must be the same"
        )
    return table.reindex(ids), _unmatched(absent, OUTPUTS, "no outputs", "add its rows; it counts as unknown")


def _random_fold(
    targets: pd.DataFrame, fold: NDArray[np.int16], left_out: Mapping[str, str], options: DatasetOptions
) -> NDArray[np.int16]:
    """Deal pictures to folds as if none belonged together."""
    trained = targets.drop(columns=list(left_out)).to_numpy()
    alone = pd.Series(np.arange(len(targets)))
    dealt = stratified_group_folds(trained, alone, int(fold.max()) + 1, seed=options.seed)
    if not all(crossed(column, dealt) for column in trained.T):
        raise PipelineError("folds that ignore groups leave a location out; give another --seed")
    return dealt


def _deal(
    targets: pd.DataFrame, groups: pd.Series, folds: int, seed: int
) -> tuple[NDArray[np.int16], dict[str, str]]:
    """Make as many folds as asked, or fewer where there are too few groups for any location."""
    positive = targets.to_numpy()
    for count in range(min(folds, groups.nunique()), MINIMUM_FOLDS - 1, -1):
        fold = stratified_group_folds(positive, groups, count, seed=seed)
        usable = [crossed(column, fold) for column in positive.T]
        if any(usable):
            return fold, _left_out(targets, groups, usable, count)
    raise PipelineError(
        f"no location has pictures with and without it in {MINIMUM_FOLDS} different groups "
        f"({len(targets)} pictures, {groups.nunique()} groups); give more labelled pictures"
    )


def _left_out(targets: pd.DataFrame, groups: pd.Series, usable: list[bool], folds: int) -> dict[str, str]:
    positive = targets.to_numpy()
    with_it, without_it = positive_groups(positive, groups), positive_groups(~positive, groups)
    reasons = {}
    for place, name in enumerate(targets.columns):
        if usable[place]:
            continue
        number, many = int(positive[:, place].sum()), with_it[place]
        if positive[:, place].all() or without_it[place] < folds:
            reasons[name] = f"only {without_it[place]} groups without it, {folds} folds need {folds}"
        elif not number:
            reasons[name] = "no picture with it"
        elif many < folds:
            reasons[name] = f"its {number} pictures are in {many} groups, {folds} folds need {folds}"
        else:
            reasons[name] = f"its {many} groups cannot be spread over {folds} folds"
    return reasons
