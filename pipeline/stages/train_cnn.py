"""The stage `train-cnn`: pictures and labels in; a network per fold of the stack, and one for new pictures.

The networks of different folds do not agree on what a column of their embeddings means. The stack gets
the log-odds of the locations, which mean the same in all of them (docs/decisions/0050).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest, text_digest
from pipeline.core.stage import Progress, Stage, Summary, option_inputs
from pipeline.core.weights import card_path
from pipeline.core.workers import check_device
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import Dataset, read_dataset, read_features
from pipeline.data.dataset_options import FoldOptions
from pipeline.data.flat_fields import even_samples
from pipeline.data.layouts import CHANNELS
from pipeline.data.locations import list_inputs
from pipeline.data.samples import Sample, fingerprints
from pipeline.networks.architectures import CnnHyperparameters, architecture
from pipeline.networks.inference import block_name, embed_pictures
from pipeline.networks.leak_guard import UNALIGNED, TableCard, write_embeddings
from pipeline.networks.preprocessing import Embedder, Preprocessing
from pipeline.networks.training import VERSION, TrainingRun, fit_networks
from pipeline.networks.training_pictures import DROPPED, stored_pictures
from pipeline.stages.options import TrainCnnOptions, TrainOptions

WHOLE = "_whole"
"""Ends the name of the table by the network of all pictures: for `nearest`, not for a stack."""


class TrainCnnSummary(Summary):
    """What `train-cnn` wrote.

    Attributes
    ----------
    name : str
        Of the table of out-of-fold log-odds, for `train --embeddings`; with `WHOLE`, that of the
        embeddings by the network of all pictures, for `nearest`.
    pictures, folds : int
    losses : list of float
        Best validation log-loss of the network of each fold.
    locations : list of str
    """

    name: str
    pictures: int
    folds: int
    losses: list[float]
    locations: list[str]


class TrainCnn(Stage[TrainCnnOptions, TrainCnnSummary]):
    """See `pipeline.core.stage`; each name has a record of its own."""

    name = "train-cnn"
    options = TrainCnnOptions
    summary = TrainCnnSummary

    def inputs(self, options: TrainCnnOptions) -> dict[str, str]:
        """Return the fingerprints of what `train-cnn` would read now, by name.

        Raises
        ------
        PipelineError
            If a file is missing, or the network is unknown.
        """
        _check(options)
        work = Workspace(options.work)
        files = {"labels": options.labels, "groups": options.groups or work.samples}
        if options.folds_by:
            files["plates"] = work.samples
        for path in files.values():
            if not path.is_file():
                raise PipelineError(f"{path}: no such file; check the path, and that extract has run")
        samples, _ = even_samples(options, work)
        return {
            **{f"{what} {path.name}": file_digest(path) for what, path in files.items()},
            "pictures": text_digest(list(fingerprints(samples, work).values())),
            "extracted pictures": text_digest(sorted(read_features(work).index)),
            "version of networks": str(VERSION),
            **option_inputs(options, "folds", "folds_by", *CnnHyperparameters.model_fields),
            **list_inputs(options),
        }

    def outputs(self, options: TrainCnnOptions) -> tuple[Path, ...]:
        """Return the three tables and their cards."""
        work, name = Workspace(options.work), block_name(options.name)
        tables = [work.embedding(name + ending) for ending in ("", UNALIGNED, WHOLE)]
        return *tables, *map(card_path, tables)

    def run(self, options: TrainCnnOptions, progress: Progress) -> TrainCnnSummary:
        """Train a network without each fold, and one on everything; each predicts what it did not see."""
        data = _read(options, progress)
        run = _training_run(options, data, progress)
        fitted = fit_networks(run, range(data.folds), progress)
        epochs = max(1, round(float(np.median([card.best_epoch for _, card in fitted]))))
        everything = fit_networks(run.shortened(epochs), [None], progress)[0]
        networks = [card.embedder(block_name(options.name), path) for path, card in (*fitted, everything)]
        _write_tables(options, data, networks, progress)
        return TrainCnnSummary(
            name=block_name(options.name),
            pictures=len(data.targets),
            folds=data.folds,
            losses=[card.scores["log_loss"] for _, card in fitted],
            locations=data.trained,
        )

    def record(self, options: TrainCnnOptions) -> Path:
        """Return the record of this name."""
        return Workspace(options.work).record(f"{self.name}-{block_name(options.name)}")


def _check(options: TrainCnnOptions) -> None:
    """Refuse what cannot be trained."""
    block_name(options.name)
    architecture(options.network)
    if options.crop > options.side:
        raise PipelineError(f"crop {options.crop} is larger than side {options.side}; lower it")
    check_device(options.device)


def _read(options: TrainCnnOptions, progress: Progress) -> Dataset:
    """Read labels and folds as `train` does."""
    asked = options.model_dump(include=set(FoldOptions.model_fields))
    return read_dataset(TrainOptions.model_validate(asked), progress.note)


def _training_run(options: TrainCnnOptions, data: Dataset, progress: Progress) -> TrainingRun:
    """Return what all networks share; the pictures are read once and kept small on disk."""
    samples = _samples(options, data)
    hyperparameters = options.hyperparameters
    absent = tuple(name for name in CHANNELS if any(name not in one.channels for one in samples))
    # what some lack, or is dropped, is 0 in training, and may be so in new pictures
    dropped = {*absent, *(DROPPED if hyperparameters.channel_dropout else ())}
    without = tuple(name for name in CHANNELS if name in dropped)
    preprocessing = Preprocessing(side=hyperparameters.side, scale="picture", dropped=without)
    if absent:
        progress.note(f"Some pictures show no {' and no '.join(absent)}: the networks learn to do without")
    work = Workspace(options.work)
    folder, digests = work.network(block_name(options.name)), fingerprints(samples, work)
    stored = stored_pictures(folder, samples, list(digests.values()), preprocessing, options.jobs, progress)
    return TrainingRun(
        pixels=stored,
        preprocessing=preprocessing,
        targets=data.targets[data.trained].to_numpy(),
        locations=tuple(data.trained),
        fingerprints=digests,
        fold=data.fold,
        hyperparameters=hyperparameters,
        folder=folder,
        device=options.device,
        jobs=options.jobs,
    )


def _samples(options: TrainCnnOptions, data: Dataset) -> list[Sample]:
    """Return the samples of the data set in its order."""
    found, _ = even_samples(options, Workspace(options.work))
    known = {sample.id: sample for sample in found}
    absent = [sample for sample in data.targets.index if sample not in known]
    if absent:
        raise PipelineError(
            f"{options.images}: no picture of {absent[0]} and {len(absent) - 1} others that were extracted; "
            "give the folder and samples that extract read"
        )
    return [known[sample] for sample in data.targets.index]


def _write_tables(
    options: TrainCnnOptions, data: Dataset, networks: list[Embedder], progress: Progress
) -> None:
    """Write the log-odds for the stack, the embeddings that do not compare, and those by the whole."""
    work, samples = Workspace(options.work), _samples(options, data)
    tables = []
    for fold in range(data.folds):
        unseen = [sample for sample, own in zip(samples, data.fold, strict=True) if own == fold]
        tables.append(embed_pictures(networks[fold], unseen, work, options.jobs, progress, options.device)[0])
    ids = tuple(str(sample) for sample in data.targets.index)
    out_of_fold = pd.concat(tables).loc[list(ids)]
    whole = embed_pictures(networks[-1], samples, work, options.jobs, progress, options.device)[0]
    logits = [column for column in out_of_fold.columns if "__logit_" in column]
    folds = {sample: int(fold) for sample, fold in zip(ids, data.fold, strict=True)}
    name, training = block_name(options.name), f"these {len(ids)} pictures"
    card = TableCard(name=name, trained_on=ids, training=training, folds=folds)
    stacked = {
        "embedder": networks[-1].model_copy(update={"keep": "outputs"}),
        "training": f"{training}; each row is by a network that did not see its fold",
    }
    write_embeddings(work.embedding(name), out_of_fold[logits], card.model_copy(update=stacked))
    unaligned = out_of_fold.drop(columns=logits)
    write_embeddings(work.embedding(name + UNALIGNED), unaligned, card.model_copy(update={"aligned": False}))
    by_whole = card.model_copy(update={"embedder": networks[-1], "folds": None})
    write_embeddings(work.embedding(name + WHOLE), whole, by_whole)
