"""Scores per cell: out-of-fold answers against what is known of each, beside the picture's answer."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import average_precision_score

from models.bags import cell_columns
from models.base_learners import BaseLearner
from models.base_learners.cell_network import CellNetwork
from models.cell_answers import CellAnswers, ShownByCells, answers_of_cells
from models.hyperparameters import CELLS
from models.metrics import count, interval, interval_of_difference, resampled_counts
from pipeline.core.errors import PipelineError
from pipeline.core.files import content_digest
from pipeline.core.stage import Progress, file_inputs, read_made, read_record
from pipeline.core.workspace import Workspace
from pipeline.data.cell_tables import read_cells
from pipeline.data.dataset import Dataset
from pipeline.data.labels import parse_target
from pipeline.data.locations import LocationList, of_card
from pipeline.data.masks import read_mask
from pipeline.data.tables import match, read_table
from pipeline.stages.comparisons import OutOfFold, Score
from pipeline.stages.options import EvaluateOptions, TrainOptions
from pipeline.stages.trained_models import open_model

Labels = NDArray[np.bool_]
Floats = NDArray[np.float64]

SAME = 0.5
"""Intersection over union above which a cell that was found is the true one, and no other is."""


class CellScores(BaseModel):
    """How well cells are answered, and how well they would be if each were answered as its picture is.

    Attributes
    ----------
    cells, found : int
        True cells, and how many of them were found.
    macro_f1, picture_macro_f1, gain : Score
        Over the locations that a cell shows; missed cells count as answered with nothing.
    average_precision, picture_average_precision : float
        Mean over the same locations.
    locations : dict
        Of each: F1 of cells, F1 of the picture's answer, both average precisions, support.
    """

    model_config = ConfigDict(frozen=True)

    cells: int
    found: int
    macro_f1: Score
    picture_macro_f1: Score
    gain: Score
    average_precision: float
    picture_average_precision: float
    locations: dict[str, dict[str, float]]


def out_of_fold_cells(
    learners: Sequence[BaseLearner], data: Dataset, work: Workspace, options: TrainOptions
) -> tuple[pd.DataFrame, ShownByCells]:
    """Answer the cells of the labelled pictures by the learner, one per fold, that saw nothing of theirs.

    Returns
    -------
    DataFrame
        Id, label and, for every trained location, the probability that the cell shows it if its picture does.
    ShownByCells
        Estimated from all cells, for the model.
    """
    columns, truth = cell_columns(list(data.blocks[CELLS].columns)), data.targets[data.trained].to_numpy(bool)
    cells = read_cells(work, columns, options.normalisation)
    of = data.targets.index.get_indexer(cells.index)
    cells, of = cells[of >= 0], of[of >= 0]
    fold, labels, log_odds = data.fold[of], truth[of], np.empty((len(of), truth.shape[1]))
    for number, learner in enumerate(learners):
        if not isinstance(learner, CellNetwork):
            raise TypeError("not a learner of cells")
        own = cells.loc[fold == number, columns].to_numpy(np.float32)
        log_odds[fold == number] = learner.of_cells(own).mean(axis=0)
    given = np.empty(log_odds.shape)
    for number in range(data.folds):
        own = fold == number
        given[own] = ShownByCells.fit(log_odds[~own], labels[~own]).given(log_odds[own])
    table = pd.DataFrame(given, cells.index, data.trained)
    table.insert(0, "label", cells["label"])
    return table.sort_index(kind="stable").reset_index(), ShownByCells.fit(log_odds, labels)


def score_cells(
    work: Workspace, stack: OutOfFold, options: EvaluateOptions, progress: Progress
) -> CellScores:
    """Score the answers of cells.

    Raises
    ------
    PipelineError
        If the model knows no single cells, or nothing is known of the pictures' cells.
    """
    if options.truth is None:
        raise PipelineError("--per cell: needs --truth, a csv table Id,label,Target of what cells show")
    if not work.cells_out_of_fold.is_file():
        raise PipelineError(f"{work.model}: was trained without --cells; train it again with --cells")
    names = list(stack.truth.columns)
    known = _read_truth(options.truth, of_card(open_model(work.model).card), names)
    match(options.truth, known, stack.truth.index, progress.note)
    masks, pictures = _true_masks(options), [one for one in stack.truth.index if one in known]
    rows = []
    with progress.track("Comparing cells", len(pictures)) as advance:
        for one, labels, picture, said in said_of_cells(work, stack, pictures):
            same = _same(work, one, masks, labels, list(known[one]))
            rows += list(_rows(known[one], said.probability, said.chosen, picture, same, str(one)))
            advance(1)
    return _scored(rows, stack, names, options)


def said_of_cells(
    work: Workspace, stack: OutOfFold, pictures: Iterable[str]
) -> Iterator[tuple[str, NDArray[np.int64], tuple[Floats, Labels], CellAnswers]]:
    """Yield each picture, the labels of its cells, and the out-of-fold answers of both."""
    answers = read_made(work.cells_out_of_fold)
    by_picture, none = dict(iter(answers.groupby("Id", sort=False))), answers.head(0)
    for one in pictures:
        picture = stack.probability.loc[one].to_numpy(np.float64), stack.chosen.loc[one].to_numpy(bool)
        own = by_picture.get(one, none)
        given = own[list(stack.truth.columns)].to_numpy(np.float64)
        yield one, own["label"].to_numpy(), picture, answers_of_cells(given, given, *picture)


def inputs_of_cells(options: EvaluateOptions) -> dict[str, str]:
    """Return the digests of the cells that were found and of the true masks, as inputs of `evaluate`.

    Raises
    ------
    PipelineError
        If cells were measured again since the training, as their numbers may mean other cells.
    """
    work, masks = Workspace(options.work, options.name), _true_masks(options)
    found = file_inputs({"cells": work.cells})
    record = read_record(work.own_record("train"))
    if record is not None and record.inputs.get("cells", found["cells"]) != found["cells"]:
        raise PipelineError(f"{work.cells}: was made again since {work.model} was trained; run train again")
    return found if masks is None else found | {"true masks": content_digest(masks)}


def _true_masks(options: EvaluateOptions) -> Path | None:
    """Return the folder of the masks that true cells are numbered by; None if those that were found are."""
    if options.truth_masks is not None and not options.truth_masks.is_dir():
        raise PipelineError(f"--truth-masks {options.truth_masks}: no such folder; check the path")
    beside = options.truth.parent / "truth" if options.truth is not None else None
    return options.truth_masks or (beside if beside is not None and beside.is_dir() else None)


def _read_truth(path: Path, locations: LocationList, names: list[str]) -> dict[str, dict[int, Labels]]:
    """Read what cells show: by Id, by label, which of the trained locations."""
    found: dict[str, dict[int, Labels]] = {}
    for sample, label, text in read_table(path, ("Id", "label", "Target")).to_numpy():
        where = f"{path}: Id '{sample}', label '{label}'"
        try:
            shown = {locations.names[k] for k in parse_target(text, locations).columns} if text else set()
            cells, number = found.setdefault(sample, {}), int(label)
        except ValueError as error:
            raise PipelineError(f"{where}: {error}; correct it") from error
        row = np.array([name in shown for name in names])
        if not np.array_equal(cells.setdefault(number, row), row):
            raise PipelineError(f"{where}: is there twice with other locations; keep one")
    return found


def _same(
    work: Workspace, sample: str, masks: Path | None, ours: NDArray[Any], theirs: list[int]
) -> dict[int, int]:
    """Return which true cell each cell is, by position: by overlap with true masks, or else by label."""
    if masks is None:
        return {position: int(label) for position, label in enumerate(ours) if int(label) in theirs}
    path = masks / f"{sample}.tif"
    if not path.is_file():
        raise PipelineError(f"{path}: no such mask; give that of every picture in --truth")
    found, true = read_mask(work.mask(sample)).cells, read_mask(path).cells
    if found.shape != true.shape:
        raise PipelineError(f"{path}: not of the size of {work.mask(sample)}; give its own")
    sizes = [np.bincount(one.ravel()) for one in (found, true)]
    pairs, common = np.unique(
        found.astype(np.int64) * len(sizes[1]) + true.astype(np.int64), return_counts=True
    )
    of_pair = np.stack(np.divmod(pairs, len(sizes[1])), axis=1)
    return {
        position: int(b)
        for (a, b), number in zip(of_pair, common, strict=True)
        if a and b and number > SAME * (sizes[0][a] + sizes[1][b] - number)
        for position in np.flatnonzero(ours == a).tolist()
    }


def _rows(
    truth: dict[int, Labels],
    probability: Floats,
    chosen: Labels,
    picture: tuple[Floats, Labels],
    same: dict[int, int],
    sample: str,
) -> Iterator[tuple[Any, ...]]:
    """Give a row for every true cell (1: found, 0: missed) and for every other cell that was found (-1)."""
    nothing = np.zeros(len(picture[0])), np.zeros(len(picture[0]), bool)
    taken = {true: position for position, true in same.items()}
    for label, shown in truth.items():
        if label in taken:
            yield sample, 1, shown, probability[taken[label]], chosen[taken[label]], *picture
        else:
            yield sample, 0, shown, *nothing, *nothing
    for position in range(len(probability)):
        if same.get(position) not in truth:
            yield sample, -1, nothing[1], probability[position], chosen[position], *picture


def _scored(
    rows: list[tuple[Any, ...]], stack: OutOfFold, names: list[str], options: EvaluateOptions
) -> CellScores:
    samples, state = [row[0] for row in rows], np.array([row[1] for row in rows])
    truth, probability, chosen, whole, whole_chosen = (
        np.stack([row[k] for row in rows]) for k in range(2, 7)
    )
    occur = np.flatnonzero(truth.any(axis=0))
    groups = pd.Series(stack.units.loc[samples].to_numpy(dtype=str))
    drawn, exact = [], []
    for one in (chosen, whole_chosen):
        counts = resampled_counts(
            truth[:, occur], one[:, occur], groups, draws=options.draws, seed=options.seed
        )
        drawn.append(counts.macro_f1())
        exact.append(count(truth[:, occur], one[:, occur]))
    values = [float(one.macro_f1()) for one in exact]
    scores = [Score(value, *interval(many, value)) for value, many in zip(values, drawn, strict=True)]
    low, high = interval_of_difference(drawn[0] - drawn[1], values[0] - values[1])
    precisions = [
        [float(average_precision_score(truth[:, k], table[:, k])) for k in occur]
        for table in (probability, whole)
    ]
    columns = zip(exact[0].f1(), exact[1].f1(), *precisions, truth[:, occur].sum(axis=0), strict=True)
    titles = ("f1", "picture_f1", "average_precision", "picture_average_precision", "support")
    return CellScores(
        cells=int((state >= 0).sum()),
        found=int((state > 0).sum()),
        macro_f1=scores[0],
        picture_macro_f1=scores[1],
        gain=Score(value=scores[0].value - scores[1].value, low=low, high=high),
        average_precision=float(np.mean(precisions[0])),
        picture_average_precision=float(np.mean(precisions[1])),
        locations={
            names[k]: dict(zip(titles, map(float, values), strict=True))
            for k, values in zip(occur, columns, strict=True)
        },
    )
