"""The stage `train`: features, tables and labels in; folds, out-of-fold predictions and a model out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import optuna
import pandas as pd
from sqlalchemy import URL

from models.label_noise import MINIMUM_FOLDS as CONFIDENT_FOLDS
from models.stacking import VERSION, StackedLocations
from models.tuning import Tuning
from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest, replacing
from pipeline.core.problems import write_problems
from pipeline.core.progress import Progress
from pipeline.core.stage import changes, read_record, write_record
from pipeline.core.store import Store
from pipeline.core.weights import card_path
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import FEATURES, Dataset, read_dataset
from pipeline.data.label_filters import deletions, read_filters
from pipeline.data.locations import TOP_TWO
from pipeline.data.prediction_tables import OUTPUTS
from pipeline.networks.leak_guard import card_of, check_leaks, described
from pipeline.stages.options import TrainOptions
from pipeline.stages.train_artefacts import make_card, save, write_tables


@dataclass(frozen=True)
class TrainSummary:
    """What `train` did.

    Attributes
    ----------
    fresh : bool
        False where a model from the same inputs was there already.
    pictures, groups, copies, folds : int
        Copies are pictures that share a group because they are near-duplicates.
    trained : list of str
        Locations with a model.
    left_out : dict
        Locations without one, with the reason.
    problems : int
        Pictures that could not be used, or only in part.
    grouped : bool
        Whether groups were given.
    """

    fresh: bool
    pictures: int
    groups: int
    copies: int
    folds: int
    trained: list[str]
    left_out: Mapping[str, str]
    problems: int
    grouped: bool


def inputs(options: TrainOptions) -> dict[str, str]:
    """Return the fingerprints of what `train` would read now, by name.

    Raises
    ------
    PipelineError
        If a file is missing.
    """
    work = Workspace(options.work)
    files = dict(options.tables)
    if work.features.is_file() or not (options.embeddings or options.outputs):
        files = {"features": work.features} | files
    if options.groups is not None:
        files[f"groups {options.groups.name}"] = options.groups
    if work.samples.is_file():
        files["groups and copies of the samples"] = work.samples
    for path in files.values():
        if not path.is_file():
            remedy = "run extract first" if path == work.features else "check the path"
            raise PipelineError(f"{path}: no such file; {remedy}")
    for path in (*options.embeddings, *options.outputs):
        if card_path(path).is_file():
            files[f"card of {path.name}"] = card_path(path)
    settings = {f"option {name}": str(value) for name, value in options.settings.items()}
    method = {"the method of training": str(VERSION)}
    return {name: file_digest(path) for name, path in files.items()} | settings | method


def train(options: TrainOptions, progress: Progress) -> TrainSummary:
    """Cross-validate, tune and train, unless a model from the same inputs is there.

    Raises
    ------
    PipelineError
        If there are no features or labels, they allow no model, or an embedding leaks.
    """
    work = Workspace(options.work)
    now = inputs(options)
    record = read_record(work.record("train"))
    data = read_dataset(options)
    cards = {path: card_of(path) for path in (*options.embeddings, *options.outputs)}
    fold = pd.Series(data.fold, index=data.targets.index)
    marks = check_leaks(cards, fold, accept=options.accept_leak)
    for mark in marks:
        progress.note(f"Marked: {mark}")
    outputs = (work.model, work.out_of_fold, work.level0)
    if record and not changes(record, now) and all(path.exists() for path in outputs):
        return _summary(data, fresh=False)
    if options.select_confident and data.folds < CONFIDENT_FOLDS:
        raise PipelineError(
            f"--select-confident needs {CONFIDENT_FOLDS} folds, there are {data.folds}; leave it out"
        )
    work.record("train").unlink(missing_ok=True)
    card = make_card(options, data, work) | {"leaks": marks, "embeddings": described(cards)}
    if FEATURES not in data.blocks:
        progress.note(f"No features in {work.root}: training on the given tables alone")
    if not data.grouped:
        progress.note("No groups given: every picture is one of its own, but for near-duplicates")
    store = Store(work.boosters)
    stack = _fit(options, data, work, store, progress)
    write_tables(stack, data, work)
    _report_selection(stack, data, work)
    save(stack, work, card)
    write_record(work.record("train"), "train", options, now)
    store.clear()
    return _summary(data, fresh=True)


def _fit(
    options: TrainOptions, data: Dataset, work: Workspace, store: Store, progress: Progress
) -> StackedLocations:
    targets = data.targets[data.trained]
    stack = StackedLocations(
        _tuning(options, work, progress.note),
        options.seed,
        options.jobs,
        options.rule,
        TOP_TWO,
        options.boosters,
        (OUTPUTS,) if options.outputs else (),
        options.always,
    )
    keep = read_filters(options, targets)
    runs = 1 + bool(keep or options.select_confident) + options.random_split
    total = runs * stack.fits_needed(list(data.blocks), len(data.trained), data.folds)
    done = 0

    def finished(units: int) -> None:
        nonlocal done
        done += units
        advance(min(units, max(0, total - done)))

    with progress.track("Fitting base learners", total) as advance:
        stack.fit(
            data.blocks,
            targets,
            data.fold,
            groups=data.groups.to_numpy(dtype=str),
            keep=keep,
            confident=options.select_confident,
            random_fold=data.random_fold,
            store=store,
            finished=finished,
        )
        advance(max(0, total - done))  # what was pruned, or shared by folds that chose alike
    return stack


def _tuning(options: TrainOptions, work: Workspace, note: Callable[[str], None]) -> Tuning:
    storage = None
    if options.trials:
        url = URL.create("sqlite", database=str(work.tuning.resolve()))
        storage = optuna.storages.RDBStorage(url.render_as_string())
    return Tuning(options.trials, options.tune_by, options.timeout, storage, note)


def _report_selection(stack: StackedLocations, data: Dataset, work: Workspace) -> None:
    """Write what every filter takes from the training, as a table and as problems."""
    work.selection.unlink(missing_ok=True)
    problems = list(data.problems)
    if stack.deleted_:
        table, more = deletions(stack.deleted_, data.targets[data.trained])
        problems += more
        with replacing(work.selection) as temporary:
            table.to_csv(temporary)
    write_problems(work.problems, "train", problems)


def _summary(data: Dataset, *, fresh: bool) -> TrainSummary:
    return TrainSummary(
        fresh,
        len(data.targets),
        int(data.groups.nunique()),
        data.copies,
        data.folds,
        data.trained,
        data.left_out,
        len(data.problems),
        data.grouped,
    )
