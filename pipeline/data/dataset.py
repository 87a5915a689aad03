"""What a model is trained on: features and embeddings, labels, groups, folds, and who is left out."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.bags import cell_columns
from models.cross_fitting import crossed
from models.folds import positive_groups, stratified_group_folds
from models.hyperparameters import CELLS, GRANULES
from models.stacking import MINIMUM_FOLDS
from pipeline.core.errors import PipelineError, Problem
from pipeline.core.made_tables import names_in, read_made_numbers
from pipeline.core.names import counted
from pipeline.core.stage import check_intact
from pipeline.core.workspace import Workspace
from pipeline.data.cell_tables import seen_alone, training_bags
from pipeline.data.dataset_options import DatasetOptions
from pipeline.data.groups import read_groups, samples_column
from pipeline.data.labels import Labels, read_labels
from pipeline.data.layouts import METADATA
from pipeline.data.locations import KAGGLE2018, LocationList, open_lists
from pipeline.data.plates import normalised, whole_plates
from pipeline.data.prediction_tables import OUTPUTS, log_odds_column, of_locations, of_network, read_outputs
from pipeline.data.tables import Note, all_ids, embedding_name, match, read_embedding, unmatched

FEATURES = "features"
"""Name of the block of handcrafted features."""

MOST_PLATES = 12
"""Plates of which each is a fold of its own; every pair of folds is fitted."""

LEAST_SPHERED = 10
"""Reference pictures that sphering needs in every fit."""

_ADD_ROW = "add its row; it counts as unknown"


@dataclass(frozen=True)
class Dataset:
    """Pictures with numbers and labels; all tables have the same rows, ordered by Id.

    Attributes
    ----------
    blocks : dict of str to DataFrame
        Features, if any; by file name, embeddings; networks' predictions, and the log-odds to start at, of
        the trained locations.
    targets : DataFrame of bool, all locations
    locations : LocationList
    labels : Labels
        As they were read.
    ungrouped : int or None
        Pictures whose group was not found, None where no groups were given; theirs is the picture and its
        near-duplicates.
    copies : int
        Pictures that are in a group because they are near-duplicates of another.
    random_fold : ndarray of int or None
        Folds that ignore groups, where asked for.
    left_out : dict
        Location without a model to the reason.
    embedding_columns : dict of str to dict
        By block of embeddings: what its columns are called in the model, and in their table.
    reference : ndarray of bool or None
        Pictures that features and embeddings are sphered by, where that was asked for.
    plates : Series of str or None
        Where folds are made of plates: those that each picture's fold may not split.
    """

    blocks: Mapping[str, pd.DataFrame]
    targets: pd.DataFrame
    locations: LocationList
    labels: Labels
    groups: pd.Series
    ungrouped: int | None
    copies: int
    fold: NDArray[np.int16]
    random_fold: NDArray[np.int16] | None
    left_out: Mapping[str, str]
    embedding_columns: Mapping[str, Mapping[str, str]]
    problems: list[Problem]
    reference: NDArray[np.bool_] | None = None
    plates: "pd.Series[str] | None" = None

    @property
    def trained(self) -> list[str]:
        """Locations that get a model."""
        return [name for name in self.targets.columns if name not in self.left_out]

    @property
    def alone(self) -> dict[str, tuple[str, ...]]:
        """Columns, of pictures and of cells, that learners of their own see; see `seen_alone`."""
        table = self.blocks.get(FEATURES, pd.DataFrame())
        of_pictures = [name for name in seen_alone(table.columns)[GRANULES] if table[name].notna().any()]
        of_cells = cell_columns(self.blocks[CELLS].columns.tolist()) if CELLS in self.blocks else []
        return seen_alone([*of_pictures, *of_cells])

    @property
    def units(self) -> NDArray[np.str_]:
        """What no fold may split: each picture's plate where folds are made of plates, else its group."""
        return (self.groups if self.plates is None else self.plates).to_numpy(dtype=str)

    @property
    def folds(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1


def read_dataset(options: DatasetOptions, note: Note) -> Dataset:
    """Bring together what a model is trained on: pictures with features or, without any, those of the tables.

    How many pictures each table has is noted, and listed as problems which it lacks.

    Raises
    ------
    PipelineError
        If a table cannot be used, no picture has both numbers and a label, or no location can be
        cross-validated.
    """
    work, (locations, written) = Workspace(options.work), open_lists(options)
    known = read_labels(options.labels, locations, written, note)
    tables, columns = _read_tables(options, work, locations)
    tables, reference, unplaced = _normalised(tables, options, work, note)
    main = work.features.name if FEATURES in tables else "the tables"
    pictures = tables[FEATURES].index if FEATURES in tables else all_ids(tables.values())
    ids, absent, doubtful = _labelled(options, known, pictures, note)
    problems = [*known.problems, *unplaced, *doubtful]
    problems += unmatched(absent, main, "no label", f"add it to {options.labels.name}")
    missing = known.targets.index.difference(pictures).difference([one.sample for one in unplaced])
    lacks = ("features", "extract its picture") if FEATURES in tables else ("row in any table", "add one")
    problems += unmatched(missing, options.labels.name, f"no {lacks[0]}", f"{lacks[1]}, or remove the label")
    for path in options.embedded:
        absent = match(path, tables[embedding_name(path)].index, ids, note)
        problems += unmatched(absent, path.name, "no embedding", _ADD_ROW)
    for path in options.outputs:
        absent = match(path, of_network(tables[OUTPUTS], path).dropna(how="all").index, ids, note)
        problems += unmatched(absent, path.name, "no prediction", _ADD_ROW)
    targets = known.targets.loc[ids]
    grouping = read_groups(work, options.groups, ids, note)
    alone = ids.difference(grouping.found) if len(grouping.found) else ids[:0]
    file = "samples" if options.groups is None else options.groups.name
    problems += unmatched(alone, file, "no group", "add its row; its group is the picture and its copies")
    plates = whole_plates(work, options.folds_by, grouping.groups, note) if options.folds_by else None
    fold, left_out = _deal(targets, grouping.groups if plates is None else plates, options)
    sphered = None if reference is None else _sphered_by(reference.reindex(ids), fold)
    blocks = {name: tables.pop(name).reindex(ids) for name in list(tables)} | _bags(options, work, ids)
    if OUTPUTS in blocks:
        blocks[OUTPUTS] = of_locations(blocks[OUTPUTS], targets.columns.drop(list(left_out)))
    if options.start is not None:
        trained = targets.columns.drop(list(left_out))
        blocks[options.start] = _started(blocks[options.start], options.start, trained)
    random_fold = _random_fold(targets, fold, left_out, options) if options.random_split else None
    return Dataset(
        blocks=blocks,
        targets=targets,
        locations=locations,
        labels=known,
        groups=grouping.groups,
        ungrouped=len(alone) if len(grouping.found) else None,
        copies=grouping.copies,
        fold=fold,
        random_fold=random_fold,
        left_out=left_out,
        embedding_columns=columns,
        problems=problems,
        reference=sphered,
        plates=plates,
    )


def _check_cells(options: DatasetOptions) -> None:
    """Refuse to learn from cells where there are none."""
    if options.cells and not uses_features(options):
        other = "--fast" if options.fast else "a work folder without features"
        raise PipelineError(f"--cells: learns from measured cells, which {other} rules out; leave one out")


def _bags(options: DatasetOptions, work: Workspace, pictures: pd.Index) -> dict[str, pd.DataFrame]:
    """Return the block of single cells, where it is asked for."""
    return {CELLS: training_bags(work, pictures, options.normalisation)} if options.cells else {}


def _started(log_odds: pd.DataFrame, network: str, trained: pd.Index) -> pd.DataFrame:
    """Keep a network's log-odds of the trained locations, in their order."""
    columns = [log_odds_column(network, name) for name in trained]
    unknown = [name for name, column in zip(trained, columns, strict=True) if column not in log_odds]
    if unknown:
        raise PipelineError(
            f"--start {network}: does not know {unknown[0]}; it knows the locations of {KAGGLE2018.name}: "
            "train on those, or leave --start out"
        )
    return log_odds[columns]


def _labelled(
    options: DatasetOptions, known: Labels, pictures: pd.Index, note: Note
) -> tuple[pd.Index, pd.Index, list[Problem]]:
    """Return the pictures that are learned from, those that have no row in the labels, and doubtful ones."""
    path = options.labels
    ids = pictures.intersection(known.targets.index).sort_values()
    listed = known.targets.index.union([one.sample for one in known.problems])
    if pictures.intersection(listed).empty and not uses_features(options):
        match((*options.outputs, *options.embedded)[0], pictures, listed, note)  # they are the tables' ids
    absent = match(path, listed, pictures, note)
    if ids.empty:
        one = known.problems[0]
        raise PipelineError(f"{path}: no picture has a label of use: '{one.sample}': {one.reason}")
    learned, doubtful = _without_doubt(Workspace(options.work), ids, note)
    return learned, absent, doubtful


def _without_doubt(work: Workspace, ids: pd.Index, note: Note) -> tuple[pd.Index, list[Problem]]:
    """Leave out pictures that `extract` has a doubt about, which `predict` gives no answer for; list them."""
    doubt = samples_column(work, "doubt").reindex(ids).fillna("")
    found = doubt[doubt != ""]
    if found.empty:
        return ids, []
    number = counted(len(ids), "picture")
    said = f"{len(found):,} of {number} with a label doubtful, such as {found.index[0]} ({found.iloc[0]})"
    if len(found) == len(ids):
        raise PipelineError(f"{work.samples}: {said}; there is none to learn from")
    note(f"Warning: {said}: left out, as predict gives no answer for such pictures")
    file = work.samples.name
    return ids.difference(found.index), [
        Problem(str(sample), file, *why.partition("; ")[::2]) for sample, why in found.items()
    ]


def uses_features(options: DatasetOptions) -> bool:
    """Say whether features belong to the data: where there are any, or no table stands in for them."""
    if options.fast:
        return False
    return Workspace(options.work).features.is_file() or not (options.embedded or options.outputs)


def _read_tables(
    options: DatasetOptions, work: Workspace, locations: LocationList
) -> tuple[dict[str, pd.DataFrame], dict[str, dict[str, str]]]:
    """Read features, where there are any, embeddings with their columns, and networks' predictions."""
    _check_cells(options)
    tables, columns = {}, {}
    if uses_features(options):
        tables[FEATURES] = read_features(work)
    for path in options.embedded:
        name = embedding_name(path)
        if name in {*tables, OUTPUTS}:
            raise PipelineError(f"{path}: another block is called '{name}' already; rename the file")
        tables[name], columns[name] = read_embedding(path)
    if options.outputs:
        tables[OUTPUTS] = read_outputs(options.outputs, locations)
    return tables, columns


def _normalised(
    tables: dict[str, pd.DataFrame], options: DatasetOptions, work: Workspace, note: Note
) -> tuple[dict[str, pd.DataFrame], "pd.Series[bool] | None", list[Problem]]:
    """Bring features and embeddings into units of their plates, where that is asked for.

    Also returned are the pictures that they are to be sphered by, and those that are left out.
    """
    how = options.normalisation
    if how is None:
        return tables, None, []
    if FEATURES not in tables:
        raise PipelineError(f"--normalise-by {how.by}: needs pictures that extract measured; leave it out")
    parts = {name: table for name, table in tables.items() if name != OUTPUTS}
    joined = parts.pop(FEATURES).join(list(parts.values())) if len(parts) > 1 else parts[FEATURES]
    found = normalised(joined, work, how, note)
    within = {name: found.table[table.columns] for name, table in tables.items() if name != OUTPUTS}
    reference = pd.Series(found.reference, index=found.table.index)
    return tables | within, reference if how.method == "sphering" else None, found.problems


def _sphered_by(reference: "pd.Series[bool]", fold: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Return the labelled pictures to sphere by; refuse too few of them outside of any two folds."""
    known = reference.to_numpy(dtype=bool)
    counts = np.sort(np.bincount(fold[known], minlength=int(fold.max()) + 1))
    if counts[:-2].sum() < LEAST_SPHERED:
        raise PipelineError(
            f"sphering needs {LEAST_SPHERED} labelled controls outside of any two folds, there are "
            f"{counts[:-2].sum()}; label more of them, or give --normalise-method robust-z"
        )
    return known


def read_features(work: Workspace) -> pd.DataFrame:
    """Read the features of pictures, index ``Id``, without what is only known of them.

    Raises
    ------
    PipelineError
        If they have not been extracted.
    """
    if not work.features.is_file():
        raise PipelineError(f"{work.features}: no features there; run extract with --work {work.root} first")
    check_intact(work.features)
    names = [name for name in names_in(work.features) if name != "Id" and not name.startswith(METADATA)]
    return read_made_numbers(work.features, names)


def _random_fold(
    targets: pd.DataFrame, fold: NDArray[np.int16], left_out: Mapping[str, str], options: DatasetOptions
) -> NDArray[np.int16]:
    """Deal pictures to folds as if none belonged together."""
    trained = targets.drop(columns=list(left_out)).to_numpy()
    alone = pd.Series(np.arange(len(targets)))
    dealt = stratified_group_folds(trained, alone, int(fold.max()) + 1, seed=options.seed)
    both = [crossed(column, fold) for column in trained.T]
    if not all(crossed(column, dealt) for column in trained.T[both]):
        raise PipelineError("folds that ignore groups leave a location out; give another --seed")
    return dealt


def _deal(
    targets: pd.DataFrame, groups: pd.Series, options: DatasetOptions
) -> tuple[NDArray[np.int16], dict[str, str]]:
    """Make as many folds as asked, or fewer where there are too few groups; or one of each plate.

    Learners of all locations, which see networks' predictions, need no positives in every fold.
    """
    positive, number = targets.to_numpy(), groups.nunique()
    each, noun = bool(options.folds_by) and number <= MOST_PLATES, "plate" if options.folds_by else "group"
    for count in range(number if each else min(options.folds, number), MINIMUM_FOLDS - 1, -1):
        if each:
            fold = pd.factorize(groups, sort=True)[0].astype(np.int16)
        else:
            fold = stratified_group_folds(positive, groups, count, seed=options.seed)
        usable = [crossed(column, fold) for column in positive.T]
        varied = list(positive.any(axis=0) & ~positive.all(axis=0))
        if any(varied if options.start else usable):
            if options.outputs or options.start:
                usable = varied
            return fold, _left_out(targets, groups, usable, count, noun)
        if each:
            raise PipelineError(
                f"--folds-by {options.folds_by}: no location is both seen and not seen on every one of the "
                f"{number} plates; give a column of fewer plates, or leave it out"
            )
    shown = [name for name in targets.columns if targets[name].any()]
    lack = f"{counted(len(targets), 'picture')}, {counted(number, noun)}"
    if number < MINIMUM_FOLDS:
        lack = f"there {'is' if number == 1 else 'are'} only {counted(number, noun)}"
    elif targets[shown].all(axis=None):
        lack = (
            f"all pictures show {' and '.join(shown)}, none is without" if shown else "no picture shows any"
        )
    raise PipelineError(
        f"no location has pictures with and without it in {MINIMUM_FOLDS} different {noun}s: {lack}; label "
        "more pictures"
    )


def _left_out(
    targets: pd.DataFrame, groups: pd.Series, usable: list[bool], folds: int, noun: str
) -> dict[str, str]:
    positive = targets.to_numpy()
    with_it, without_it = positive_groups(positive, groups), positive_groups(~positive, groups)
    reasons = {}
    for column, name in enumerate(targets.columns):
        if usable[column]:
            continue
        number, many = int(positive[:, column].sum()), with_it[column]
        if positive[:, column].all() or without_it[column] < folds:
            reasons[name] = f"only {counted(without_it[column], noun)} without it; {folds} folds need {folds}"
        elif not number:
            reasons[name] = "no picture with it"
        elif many < folds:
            pictures, groups_with_it = counted(number, "picture"), counted(many, noun)
            inside = "" if number == many == 1 else f" in {groups_with_it}"
            reasons[name] = f"only {pictures}{inside}; {folds} folds need {folds} {noun}s"
        else:
            reasons[name] = f"its {counted(many, noun)} cannot be spread over {folds} folds"
    return reasons
