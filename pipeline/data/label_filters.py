"""Filters of labels that base learners learn from: expert annotations, and HPA's reliability by gene."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.annotators import majority_vote, unanimous
from pipeline.core.errors import PipelineError, Problem
from pipeline.core.names import counted, slug
from pipeline.core.workspace import Workspace
from pipeline.data.dataset_options import LEVELS, DatasetOptions
from pipeline.data.labels import read_annotations
from pipeline.data.locations import Location, LocationList, open_lists
from pipeline.data.quality_flags import read_flags
from pipeline.data.table_files import MISSING
from pipeline.data.tables import Note, match, read_column, read_table

AGREEMENT, RELIABILITY, CONFIDENT, QUALITY = "agreement", "reliability", "confident", "quality"
_WHY = {
    AGREEMENT: "suspected label error (experts)",
    RELIABILITY: "suspected label error (HPA's reliability)",
    CONFIDENT: "suspected label error (confident learning)",
    QUALITY: "the picture is flagged",
}

HPA_NAMES = {
    "nucleus": ("Nucleoplasm",),
    "vesicles": ("Peroxisomes", "Endosomes", "Lysosomes", "Lipid droplets"),
}
"""HPA's names that not all lists have, and which locations they may stand for."""


def read_filters(options: DatasetOptions, targets: pd.DataFrame, note: Note) -> dict[str, NDArray[np.bool_]]:
    """Return, by filter that was asked for, which labels it keeps; shape of `targets`.

    Raises
    ------
    PipelineError
        If a table cannot be used.
    """
    keep = {}
    lists = open_lists(options)
    if options.select_agreement is not None:
        keep[AGREEMENT] = agreeing(
            options.select_agreement, targets, note, lists, with_label=options.agree_with == "label"
        )
    if options.select_reliability is not None:
        if options.genes is None:
            raise PipelineError(
                f"{options.select_reliability}: is by gene; give the pictures' genes as --genes (Id,Gene)"
            )
        keep[RELIABILITY] = reliable(
            options.select_reliability, options.genes, targets, options.reliability, note, lists[0]
        )
    if options.select_unflagged:
        good = ~targets.index.isin(read_flags(Workspace(options.work)))
        keep[QUALITY] = np.repeat(good[:, None], targets.shape[1], axis=1)
    return keep


def agreeing(
    path: Path,
    targets: pd.DataFrame,
    note: Note,
    lists: tuple[LocationList, LocationList | None],
    *,
    with_label: bool,
) -> NDArray[np.bool_]:
    """Keep labels on which experts agree: their majority with the label, or all of them with each other.

    Labels of pictures that no expert saw are kept; so are, among annotators, those that one alone saw.
    """
    everything = pd.DataFrame(False, index=targets.index, columns=list(lists[0].names))
    everything[targets.columns] = targets
    annotations, problems = read_annotations(path, targets.index, note, *lists)
    if problems:
        first = f"{problems[0].sample}: {problems[0].reason}"
        note(f"Warning: {counted(len(problems), 'row')} of {path.name} not used; {first}")
    vote = majority_vote(annotations)
    agreed = vote == everything.loc[vote.index] if with_label else unanimous(annotations)
    keep = pd.DataFrame(True, index=targets.index, columns=targets.columns)
    keep.loc[agreed.index] = agreed[targets.columns]
    result: NDArray[np.bool_] = keep.to_numpy(dtype=bool)
    return result


def reliable(
    table: Path,
    genes: Path,
    targets: pd.DataFrame,
    least: str,
    note: Note,
    locations: LocationList,
) -> NDArray[np.bool_]:
    """Keep labels that HPA's table supports.

    Of a picture whose gene the table lists, a location that is labelled is kept where the table has it
    at level `least` or a better one, and one that is not labelled where the table does not have it at
    all. Labels of other pictures are kept.
    """
    known = _levels(table, locations)
    given = read_column(genes, "Gene")
    match(genes, given.index, targets.index, note)
    of_picture = given.reindex(targets.index)
    if not of_picture.isin(known.keys()).any():
        raise PipelineError(
            f"{genes}: no picture has a gene that {table.name} lists; one has '{of_picture.dropna().iloc[0]}'"
            f", {table.name} '{next(iter(known), '')}'; give Ensembl ids or names"
        )
    strange = of_picture[of_picture.notna() & ~of_picture.isin([*known, *MISSING])]
    if len(strange):
        count = counted(len(strange), "picture")
        note(
            f"Warning: {table.name} lacks the genes of {count}, such as '{strange.iloc[0]}'; all labels kept"
        )
    keep = np.ones(targets.shape, dtype=bool)
    bar, none = LEVELS.index(least), len(LEVELS)
    for row, gene in enumerate(of_picture):
        if gene not in known:
            continue
        level = np.array([known[gene].get(name, none) for name in targets.columns])
        keep[row] = np.where(targets.iloc[row].to_numpy(), level <= bar, level == none)
    return keep


def _levels(path: Path, locations: LocationList) -> dict[str, dict[str, int]]:
    """Read, by gene (id and name), every location's level as an index into `LEVELS`."""
    table = read_table(path, ("Gene", *LEVELS), ("Gene name",))
    twice = table["Gene"][table["Gene"].duplicated()]
    if len(twice):
        raise PipelineError(f"{path}: gene '{twice.iloc[0]}' occurs twice with other levels; keep one row")
    known: dict[str, dict[str, int]] = {}
    for row in table.to_dict("records"):
        levels: dict[str, int] = {}
        for index, level in enumerate(LEVELS):
            for location in _ours(str(row[level]), locations):
                levels.setdefault(location, index)
        for key in ("Gene", "Gene name"):
            if row.get(key):
                known[str(row[key])] = levels
    return known


def _ours(names: str, locations: LocationList) -> Iterator[str]:
    """Yield the locations that HPA's names, separated by semicolons or commas, stand for."""
    for name in re.split("[;,]", names):
        for one in (*HPA_NAMES.get(slug(name), ()), name.strip()):
            yield from locations.trained_as(Location(name=one)) or ()


def deletions(
    deleted: dict[str, NDArray[np.bool_]], targets: pd.DataFrame
) -> "tuple[pd.DataFrame, list[Problem]]":
    """Count what each filter takes from every location's training, and list the positive labels among it.

    The table has ``positives``, and per filter ``<filter>_positives`` and ``<filter>_negatives``.
    """
    truth = targets.to_numpy()
    table = pd.DataFrame({"positives": truth.sum(axis=0)}, index=pd.Index(targets.columns, name="location"))
    problems = []
    for name, gone in deleted.items():
        table[f"{name}_positives"] = (gone & truth).sum(axis=0)
        table[f"{name}_negatives"] = (gone & ~truth).sum(axis=0)
        for row, column in zip(*np.nonzero(gone & truth), strict=True):
            reason = f"{targets.columns[column]} is not learned from: {_WHY[name]}"
            problems.append(Problem(str(targets.index[row]), "labels", reason, "look at the picture"))
    return table, problems
