"""All pictures of a work folder as columns in memory: what is said of each, so that pages need no tables.

What is said of a picture comes from cross-validation: probabilities are out of fold, by models that have not
seen it nor its group.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.annotators import majority_vote
from models.stack_model import STACK
from pipeline.core.errors import PipelineError
from pipeline.core.stage import check_intact, read_made
from pipeline.core.workspace import Workspace
from pipeline.data.labels import read_annotations, read_labels
from pipeline.data.layouts import PLATE, WELL
from pipeline.data.locations import LocationList, open_lists
from pipeline.data.quality_flags import read_flags
from pipeline.data.tables import Note, match
from pipeline.pages.history import command_of
from pipeline.stages.explore_options import ExploreOptions
from pipeline.stages.options import TrainOptions
from pipeline.stages.status import recorded_options
from pipeline.stages.train import Train

Floats = NDArray[np.float32]
Marks = NDArray[np.bool_]


@dataclass
class PictureIndex:
    """What is known of every picture; arrays have its pictures as rows and all locations as columns.

    Attributes
    ----------
    ids : Index of str
        Sorted.
    locations : LocationList
    about : DataFrame
        By Id: ``group, plate, well, cells, flags``; "" where nothing is said.
    probability : ndarray of float32, shape (pictures, locations)
        Out of fold; NaN where there is no model, or the picture was not in the training.
    chosen, given : ndarray of bool, of the same shape
        What the model names, and what the labels say.
    labelled : ndarray of bool, shape (pictures,)
    experts : ndarray of bool, shape (pictures, locations)
        Named by more than half of the experts who looked.
    seen_by_experts : ndarray of bool, shape (pictures,)
    """

    ids: pd.Index
    locations: LocationList
    about: pd.DataFrame
    probability: Floats
    chosen: Marks
    given: Marks
    labelled: Marks
    experts: Marks
    seen_by_experts: Marks
    checked: Marks = field(init=False)
    wrong: NDArray[np.int64] = field(init=False)
    disagreement: Floats = field(init=False)
    uncertainty: Floats = field(init=False)
    experts_differ: NDArray[np.int64] = field(init=False)
    rank: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        """Compare answers with labels."""
        self.checked = np.zeros(len(self.ids), bool)
        self.uncertainty = uncertainty(self.probability)
        self.disagreement = np.empty(len(self.ids), np.float32)
        self.wrong, self.experts_differ = np.empty((2, len(self.ids)), np.int64)
        self.compare()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the locations."""
        return self.locations.names

    def compare(self, rows: slice = slice(None)) -> None:
        """Compare answers, labels and experts, of those pictures whose labels changed; see `gap`."""
        probability, given, labelled = self.probability[rows], self.given[rows], self.labelled[rows]
        self.disagreement[rows] = gap(probability, given, labelled)
        judged = labelled[:, None] & np.isfinite(probability)
        self.wrong[rows] = ((self.chosen[rows] != given) & judged).sum(axis=1)
        both = (labelled & self.seen_by_experts[rows])[:, None]
        self.experts_differ[rows] = ((self.experts[rows] != given) & both).sum(axis=1)
        self.rank = teaching_order(self.worth, self.about["group"].to_numpy())

    @property
    def worth(self) -> Floats:
        """How much a look at the labels would teach, in [0, 1]: the gap to the label, or the uncertainty."""
        value = np.where(self.labelled, self.disagreement.clip(0), self.uncertainty)
        return np.where(self.checked, 0, value).astype(np.float32)

    def position(self, sample: str) -> int | None:
        """Return the row of a picture; None where there is no such picture."""
        found = self.ids.get_indexer(pd.Index([sample]))[0]
        return None if found < 0 else int(found)

    def named(self, marks: Marks) -> list[str]:
        """Return the names of the locations that are marked in one row."""
        return [self.names[k] for k in np.flatnonzero(marks)]


def gap(probability: Floats, given: Marks, labelled: Marks) -> Floats:
    """Return the largest distance of a picture's labels (0 or 1) from their probabilities; -1 without."""
    away = np.where(labelled[:, None], np.abs(given - probability), np.nan)
    return np.asarray(np.nan_to_num(away, nan=-1.0).max(axis=1, initial=-1.0), np.float32)


def uncertainty(probability: Floats) -> Floats:
    """Return the entropy in bits of a picture's least certain location: 1 where it is 1/2; 0 without."""
    inside = np.clip(np.nan_to_num(probability), 1e-7, 1 - 1e-7).astype(np.float64)
    bits = -(inside * np.log2(inside) + (1 - inside) * np.log2(1 - inside))
    return np.asarray(bits.max(axis=1, initial=0.0), np.float32)


def teaching_order(worth: Floats, groups: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return the place of every picture in the queue: what teaches most first, one of a group at a time.

    Pictures of one group mostly share their labels, so that the second of a group comes after the first of
    every other; pictures without a group are each their own.
    """
    order = np.argsort(-worth, kind="stable")
    own = pd.Series(groups[order])
    own = own.where(own != "", [f"\0{row}" for row in order])
    turn = own.groupby(own, sort=False).cumcount().to_numpy()
    turn = np.where(worth[order] > 0, turn, turn.max(initial=0) + 1)
    queue = order[np.argsort(turn, kind="stable")]
    rank = np.empty(len(worth), np.int64)
    rank[queue] = np.arange(len(worth))
    return rank


@dataclass(frozen=True)
class Sources:
    """Where what is shown comes from: as given, or as it was in the training."""

    options: ExploreOptions
    training: TrainOptions | None

    @property
    def labels(self) -> Path | None:
        """The table of labels."""
        return self.options.labels or (self.training.labels if self.training else None)

    @property
    def experts(self) -> Path | None:
        """The table of experts' annotations."""
        return self.options.experts or (self.training.select_agreement if self.training else None)

    @property
    def embeddings(self) -> tuple[Path, ...]:
        """Tables of embeddings that the model was trained with."""
        return self.options.embeddings or (self.training.embedded if self.training else ())

    def again(self, labels: Path) -> str:
        """Return the command that trains as before, on other labels."""
        work = self.options.work
        asked = {"labels": labels, "work": work}
        if self.training is not None:
            return command_of("train", self.training.model_copy(update=asked))
        return command_of("train", TrainOptions(**asked))

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Tables of other networks' predictions that the model was trained with."""
        return self.options.outputs or (self.training.outputs if self.training else ())


def sources_of(options: ExploreOptions) -> Sources:
    """Return where what is shown comes from."""
    return Sources(options, recorded_options(Train(), Workspace(options.work, options.name)))


def read_index(sources: Sources, note: Note) -> PictureIndex:
    """Read all pictures of a work folder.

    Raises
    ------
    PipelineError
        If `extract` has not run there, or a table cannot be used.
    """
    options = sources.options
    work = Workspace(options.work, options.name)
    about = _about(work)
    if not work.out_of_fold.is_file():
        others = ", ".join(path.name for path in sorted(work.models.glob("*")))
        note(f"No answers: nothing was trained there; {f'give --name: {others}' if others else 'run train'}")
    locations, written = open_lists(sources.training or options)
    shape = (len(about), len(locations.names))
    probability, chosen = _answers(work, about.index, locations)
    given, labelled = np.zeros(shape, bool), np.zeros(len(about), bool)
    experts, seen = given.copy(), labelled.copy()
    if sources.labels is not None:
        if not sources.labels.is_file():
            raise PipelineError(f"{sources.labels}: no such file; give the table of labels as --labels")
        read = read_labels(sources.labels, locations, written, note)
        match(sources.labels, read.targets.index, about.index, note)
        if read.problems:
            note(f"{len(read.problems):,} rows of {sources.labels.name} not used: {read.problems[0].reason}")
        given, labelled = _placed(read.targets, about.index, locations)
        if sources.experts is not None:
            voted, _ = read_annotations(sources.experts, read.targets.index, note, locations, written)
            experts, seen = _placed(majority_vote(voted), about.index, locations)
    return PictureIndex(about.index, locations, about, probability, chosen, given, labelled, experts, seen)


def _about(work: Workspace) -> pd.DataFrame:
    """Return what is said of every picture; without cells, of those of the training."""
    path = next((one for one in (work.samples, work.folds) if one.is_file()), None)
    if path is None:
        raise PipelineError(f"{work.samples}: missing; run extract with --work {work.root} first")
    table = read_made(path).set_index("Id").sort_index()
    about = pd.DataFrame(index=table.index)
    for name, column in {"group": "group", "plate": PLATE, "well": WELL}.items():
        about[name] = table[column].fillna("").astype(str).astype(object) if column in table else ""
    about["cells"] = table["cells"].astype(int) if "cells" in table else 0
    flags = read_flags(work) if work.quality.is_file() else {}
    about["flags"] = [flags.get(sample, "") for sample in about.index]
    return about


def _answers(work: Workspace, ids: pd.Index, locations: LocationList) -> tuple[Floats, Marks]:
    """Return the stack's out-of-fold probabilities and choices; NaN and none where nothing was trained."""
    probability = np.full((len(ids), len(locations.names)), np.nan, np.float32)
    chosen = np.zeros(probability.shape, bool)
    if not work.out_of_fold.is_file():
        return probability, chosen
    check_intact(work.out_of_fold)
    columns = ["Id", "location", "probability", "chosen", "group"]
    table = pd.read_parquet(work.out_of_fold, columns=columns, filters=[("model", "==", STACK)])
    rows = ids.get_indexer(pd.Index(table["Id"]))
    places = table["location"].astype(str).map(dict(locations.columns)).to_numpy()
    here = rows >= 0
    at = rows[here], places[here].astype(int)
    probability[at] = table["probability"].to_numpy(np.float32)[here]
    chosen[at] = table["chosen"].to_numpy()[here]
    return probability, chosen


def _placed(table: pd.DataFrame, ids: pd.Index, locations: LocationList) -> tuple[Marks, Marks]:
    """Return a table of marks by picture as an array of all pictures, and which pictures it has."""
    there = ids.isin(table.index)
    marks = np.zeros((len(ids), len(locations.names)), bool)
    marks[there] = table.loc[ids[there], list(locations.names)].to_numpy(bool)
    return marks, np.asarray(there)
