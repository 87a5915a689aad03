"""The stage `train`: features, tables and labels in; folds, out-of-fold predictions and a model out."""

import json
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from sqlalchemy import URL

from models.blocks import View
from models.bundle import save_model
from models.hyperparameters import CELLS
from models.label_noise import MINIMUM_FOLDS as CONFIDENT_FOLDS
from models.stacking import VERSION, StackedLocations
from models.tuning import Tuning
from models.unlikeness import Unlikeness
from pipeline.core.errors import PipelineError, write_problems
from pipeline.core.files import file_digest, replacing, sync, temporary_of, write_table, write_text
from pipeline.core.stage import (
    Progress,
    Record,
    Stage,
    Summary,
    check_intact,
    execute,
    file_inputs,
    read_record,
)
from pipeline.core.store import Store
from pipeline.core.weights import card_path
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import FEATURES, Dataset, read_dataset, uses_features
from pipeline.data.dataset_options import PictureOptions
from pipeline.data.label_filters import deletions, read_filters
from pipeline.data.layouts import CHANNELS
from pipeline.data.locations import PAIR, list_inputs, of_card, open_list
from pipeline.data.prediction_tables import OUTPUTS
from pipeline.data.tables import embedding_name
from pipeline.networks.leak_guard import card_of, check_leaks, described
from pipeline.networks.shipped import WEIGHTS, shipped_card
from pipeline.stages.answered_cells import SINGLE_CELLS
from pipeline.stages.answered_groups import card_of_groups
from pipeline.stages.cell_scores import out_of_fold_cells
from pipeline.stages.channel_views import channel_scores, channel_views
from pipeline.stages.cluster_fits import fitting
from pipeline.stages.embed import Embed
from pipeline.stages.fast_training import check_fast, cost_of_speed
from pipeline.stages.options import EmbedOptions, TrainOptions
from pipeline.stages.reliance import RISK, learn_unlikeness, risk_card
from pipeline.stages.training_tables import write_tables

CARD_VERSIONS = ("lightgbm", "xgboost-cpu", "scikit-learn", "numpy", "pandas")


class TrainSummary(Summary):
    """What `train` did.

    Attributes
    ----------
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
    started : bool
        Whether the shipped network answers the locations without a model.
    """

    pictures: int
    groups: int
    copies: int
    folds: int
    trained: list[str]
    left_out: Mapping[str, str]
    problems: int
    grouped: bool
    started: bool = False


class Train(Stage[TrainOptions, TrainSummary]):
    """Cross-validate, tune and train."""

    name = "train"
    options = TrainOptions
    summary = TrainSummary

    def inputs(self, options: TrainOptions) -> dict[str, str]:
        """Return fingerprints of the tables, their cards, the options and the method of training."""
        work = Workspace(options.work, options.name)
        options.refuse_without("--select-agreement", "agree_with")
        options.refuse_without("--select-reliability", "reliability", "genes")
        options.refuse_without("--normalise-by", "normalise_method", "controls", "normalise_minimum")
        files = dict(options.tables)
        if uses_features(options):
            files = {"features": work.features} | files
        if options.cells:
            files["cells"] = work.cells
        if options.groups is not None:
            files[f"groups {options.groups.name}"] = options.groups
        if work.samples.is_file():
            files["groups and copies of the samples"] = work.samples
        if uses_features(options) and not work.features.is_file():
            raise PipelineError(f"{work.features}: no such file; run extract first")
        if options.start is not None:
            files["shipped network"] = card_path(WEIGHTS)
        for path in (*options.embeddings, *options.outputs):
            if card_path(path).is_file():
                files[f"card of {path.name}"] = card_path(path)
        settings = {f"option {name}": str(value) for name, value in options.settings.items()}
        method = {"the method of training": str(VERSION)}
        return file_inputs(files) | list_inputs(options) | settings | method

    def outputs(self, options: TrainOptions) -> tuple[Path, ...]:
        """Return the model and what scores are made from."""
        work = Workspace(options.work, options.name)
        cells = (work.cells_out_of_fold,) if options.cells else ()
        made = work.model, work.folds, work.out_of_fold, work.groups_out_of_fold, work.base_log_odds
        return *made, *cells

    def check_replaced(
        self,
        options: TrainOptions,
        record: Record | None,  # noqa: ARG002 - the model itself says what it was trained with
        now: Mapping[str, str],  # noqa: ARG002
    ) -> None:
        """Refuse to replace a model of other options or tables; one that is damaged may be."""
        model = Workspace(options.work, options.name).model
        try:
            card = json.loads((model / "card.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return
        asked = json.loads(json.dumps(options.settings, default=str))
        before = {name: value for name, value in card["options"].items() if name in asked}
        others = [f"{name} {value}" for name, value in before.items() if asked[name] != value]
        known = of_card(card)
        if known.names != open_list(options.locations).names:
            others.append(f"the locations of {known.name}")
        if set(card["blocks"]) != _blocks(options):
            others.append(f"the tables {', '.join(card['blocks'])}")
        if others and not options.overwrite:
            raise PipelineError(
                f"{model}: was trained with {others[0]}; give --name NAME to train another one beside it, or "
                "--overwrite"
            )

    def run(self, options: TrainOptions, progress: Progress) -> TrainSummary:
        """Train; base learners that a killed run finished are not fitted again.

        Raises
        ------
        PipelineError
            If there are no numbers or labels, they allow no model, or an embedding leaks.
        """
        if options.start is not None:
            _make_start(options, progress)
        cards = {path: card_of(path) for path in (*options.embedded, *options.outputs)}
        check_fast(options, cards)
        work, data = Workspace(options.work, options.name), read_dataset(options, progress.note)
        fold = pd.Series(data.fold, index=data.targets.index)
        leaks = check_leaks(cards, fold, progress.note, accept=options.accept_leak)
        for leak in leaks:
            progress.note(f"Scores are marked: {leak}")
        if options.select_confident and data.folds < CONFIDENT_FOLDS:
            raise PipelineError(
                f"--select-confident needs {CONFIDENT_FOLDS} folds, there are {data.folds}; give --folds "
                f"{CONFIDENT_FOLDS} (and enough groups), or leave it out"
            )
        if FEATURES not in data.blocks and not options.fast:
            progress.note(f"No features in {work.root}: training on the given tables alone")
        if data.ungrouped is None:
            progress.note("No groups given: every picture is a group of its own, but for near-duplicates")
        if options.channel_dropout and data.reference is not None:
            raise PipelineError("--channel-dropout: columns that are sphered mix all channels; leave one out")
        work.model.parent.mkdir(parents=True, exist_ok=True)
        card = _card(options, data, work) | {
            "leaks": leaks,
            "embeddings": described(cards, data.embedding_columns),
        }
        if options.start is not None:
            card["start"] = _started(options.start, data)
        store = Store(work.learners)
        channels = (card["extraction"] or {}).get("channels", CHANNELS)
        of_blocks = {embedding_name(path): one for path, one in cards.items() if path in options.embedded}
        views = channel_views(data.blocks, channels, of_blocks) if data.reference is None else []
        stack = _fit(options, data, work, store, progress, views)
        card |= {"channels": channel_scores(stack, data), RISK: risk_card(stack, data, options.risk)}
        card |= card_of_groups(stack, data)
        card |= cost_of_speed(stack, data, options, progress)
        unlikeness = learn_unlikeness(data, progress)
        write_tables(stack, data, options, work)
        work.cells_out_of_fold.unlink(missing_ok=True)
        if options.cells:
            table, shown = out_of_fold_cells(stack.cell_learners_, data, work, options)
            write_table(work.cells_out_of_fold, table)
            card[SINGLE_CELLS] = shown.as_card(data.trained)
        _write_selection(stack, data, work)
        _save(stack, work, card, unlikeness)
        if work.tuning.is_file():
            write_text(work.tuning_digest, file_digest(work.tuning))
        store.clear()
        return _summary(data, started=options.start is not None)


def _make_start(options: TrainOptions, progress: Progress) -> None:
    """Let the shipped network see the pictures of the work folder, unless it has.

    Raises
    ------
    PipelineError
        If it is not known which pictures these are.
    """
    work = Workspace(options.work)
    known = [read_record(work.record(name)) for name in ("extract", f"embed-{options.start}")]
    record = next((one for one in known if one is not None), None)
    if record is None:
        raise PipelineError(
            f"{work.root}: --start {options.start} needs the pictures; run embed --network {options.start} "
            f"--images FOLDER --work {work.root} first"
        )
    pictures = {name: record.options.get(name) for name in PictureOptions.model_fields}
    given = pictures | {"work": options.work, "network": options.start, "jobs": options.jobs}
    execute(Embed(), EmbedOptions.model_validate(given), progress)


def _started(network: str, data: Dataset) -> dict[str, Any]:
    """Say, for the model's card, how the network answers the locations that have no model, and why these."""
    card, deciding = shipped_card()
    alone = {name: why for name, why in data.left_out.items() if name in card.outputs}
    return {
        "network": network,
        "locations": alone,
        "deciding": deciding.model_dump(),
        "outputs": card.outputs,
    }


def _blocks(options: TrainOptions) -> set[str]:
    """Return the names of the blocks that the tables make."""
    features = [FEATURES] if uses_features(options) else []
    cells = [CELLS] if options.cells else []
    return {*features, *cells, *map(embedding_name, options.embedded), *[OUTPUTS for _ in options.outputs]}


def _fit(
    options: TrainOptions,
    data: Dataset,
    work: Workspace,
    store: Store,
    progress: Progress,
    views: Sequence[View],
) -> StackedLocations:
    targets = data.targets[data.trained]
    stack = StackedLocations(
        tuning=_tuning(options, data, work, progress.note),
        seed=options.seed,
        jobs=fitting(options.jobs, work.learners / "tables"),
        rule=options.rule,
        top_two=PAIR,
        kinds=options.boosters,
        of_networks=(OUTPUTS,) if options.outputs else (),
        starts=() if options.start is None else (options.start,),
        alone=data.alone,
        always=options.always == "yes",
    )
    keep = read_filters(options, targets, progress.note)
    runs = 1 + bool(keep or options.select_confident) + options.random_split
    total = runs * stack.fits_needed(data.blocks, len(data.trained), data.folds)
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
            reference=data.reference,
            confident=options.select_confident,
            random_fold=data.random_fold,
            views=views,
            dropout=options.channel_dropout,
            store=store,
            finished=finished,
        )
        advance(max(0, total - done))  # what was pruned, or shared by folds that chose alike
    return stack


def _tuning(options: TrainOptions, data: Dataset, work: Workspace, note: Callable[[str], None]) -> Tuning:
    storage = None
    if options.trials and set(data.blocks) != {OUTPUTS}:  # learners of all locations are not tuned
        begin_studies(work)
        url = URL.create("sqlite", database=str(work.tuning.resolve()))
        storage = optuna.storages.RDBStorage(url.render_as_string())
    return Tuning(options.trials, options.tune_by, options.timeout, storage, note)


def begin_studies(work: Workspace) -> None:
    """Keep the studies of a finished training only; others may be damaged, and need no fit that is kept."""
    digest = work.tuning_digest.read_bytes() if work.tuning_digest.is_file() else b""
    if not work.tuning.is_file() or file_digest(work.tuning).encode() != digest:
        for path in work.tuning.parent.glob(f"{work.tuning.name}*"):
            path.unlink()
    work.tuning_digest.unlink(missing_ok=True)


def _write_selection(stack: StackedLocations, data: Dataset, work: Workspace) -> None:
    """Write what every filter takes from the training, as a table and as problems."""
    work.selection.unlink(missing_ok=True)
    problems = list(data.problems)
    if stack.deleted_:
        table, more = deletions(stack.deleted_, data.targets[data.trained])
        problems += more
        with replacing(work.selection) as temporary:
            table.to_csv(temporary)
    write_problems(work.problems, "train", problems)


def _save(
    stack: StackedLocations, work: Workspace, card: Mapping[str, Any], unlikeness: Unlikeness | None
) -> None:
    """Write the model beside its final folder and swap it in: a kill leaves the old one or the new one."""
    temporary = temporary_of(work.model)
    save_model(stack.model_, temporary, card, unlikeness)
    for path in (*temporary.rglob("*"), temporary):
        sync(path)
    shutil.rmtree(work.model, ignore_errors=True)
    temporary.rename(work.model)


def _card(options: TrainOptions, data: Dataset, work: Workspace) -> dict[str, Any]:
    """Say what the model is trained on."""
    positives = data.targets[data.trained].sum()
    groups = data.targets.groupby(data.groups).any()[data.trained].sum()
    return {
        "pictures": len(data.targets),
        "groups": int(data.groups.nunique()),
        "grouped": data.ungrouped == 0,
        "ungrouped": data.ungrouped,
        "folds": data.folds,
        "locations": {
            name: {"pictures": int(positives[name]), "groups": int(groups[name])} for name in data.trained
        },
        "positives": {name: int(number) for name, number in data.targets.sum().items()},
        "left_out": dict(data.left_out),
        "blocks": {name: table.shape[1] for name, table in data.blocks.items()},
        "options": options.settings,
        "normalisation": None if options.normalisation is None else options.normalisation.model_dump(),
        "location_list": data.locations.as_card(),
        "labels": {
            "file": options.labels.name,
            "sha256": file_digest(options.labels),
            "written_in": data.labels.written.name,
            "without_counterpart": data.labels.lost,
        },
        "extraction": _extraction(work) if FEATURES in data.blocks else None,
        "versions": {name: version(name) for name in CARD_VERSIONS} | {"python": platform.python_version()},
    }


def _extraction(work: Workspace) -> Any:
    """Read how the pictures were measured, which `predict` has to repeat."""
    if not work.extraction.is_file():
        raise PipelineError(f"{work.extraction}: missing; run extract again with --work {work.root}")
    check_intact(work.extraction)
    return json.loads(work.extraction.read_bytes())


def _summary(data: Dataset, *, started: bool) -> TrainSummary:
    return TrainSummary(
        pictures=len(data.targets),
        groups=int(data.groups.nunique()),
        copies=data.copies,
        folds=data.folds,
        trained=data.trained,
        left_out=data.left_out,
        problems=len(data.problems),
        grouped=data.ungrouped is not None,
        started=started,
    )
