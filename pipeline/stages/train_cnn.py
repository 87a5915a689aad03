"""The stage `train-cnn`: pictures and labels in; a network per fold of the stack, and one for new pictures.

The networks of different folds do not agree on what a column of their embeddings means. The stack gets
the log-odds of the locations, which mean the same in all of them (docs/decisions/0050).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest, replacing, text_digest
from pipeline.core.names import slug
from pipeline.core.progress import Progress
from pipeline.core.stage import write_record
from pipeline.core.torch_runtime import check_device
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import Dataset, read_dataset, read_features
from pipeline.data.samples import Sample, find_samples
from pipeline.networks.architectures import architecture
from pipeline.networks.card import Embedder, EmbeddingCard, write_card
from pipeline.networks.fold_networks import Fitted, Lesson, fit_network
from pipeline.networks.inference import embed_pictures
from pipeline.networks.leak_guard import UNALIGNED
from pipeline.networks.preprocessing import Preprocessing
from pipeline.networks.trainer import CnnSettings
from pipeline.networks.training_pictures import stored_pictures
from pipeline.stages.options import TrainCnnOptions, TrainOptions

WHOLE = "_whole"
"""Ends the name of the table by the network of everything: for `nearest`, not for a stack."""


@dataclass(frozen=True)
class TrainCnnSummary:
    """What `train-cnn` wrote.

    Attributes
    ----------
    table : Path
        Out-of-fold log-odds, for `train --embeddings`.
    whole : Path
        Embeddings by the network of everything, for `nearest`.
    pictures, folds : int
    losses : list of float
        Best validation log-loss of the network of each fold.
    locations : list of str
    """

    table: Path
    whole: Path
    pictures: int
    folds: int
    losses: list[float]
    locations: list[str]


def inputs(options: TrainCnnOptions) -> dict[str, str]:
    """Return the fingerprints of what `train-cnn` would read now, by name.

    Raises
    ------
    PipelineError
        If a file is missing.
    """
    work = Workspace(options.work)
    files = {"labels": options.labels, "groups": options.groups or work.samples}
    for path in files.values():
        if not path.is_file():
            raise PipelineError(f"{path}: no such file; run extract first, or give the right path")
    samples, _ = find_samples(options.images, options.samples)
    named = {name: str(getattr(options, name)) for name in ("folds", "seed")}
    named |= {name: str(value) for name, value in options.settings.model_dump().items() if name != "seed"}
    return {
        **{f"{what} {path.name}": file_digest(path) for what, path in files.items()},
        "pictures": text_digest(_digest_of(samples)),
        "extracted pictures": text_digest(sorted(read_features(work).index)),
        **{f"option {name}": value for name, value in named.items()},
    }


def train_cnn(options: TrainCnnOptions, progress: Progress) -> TrainCnnSummary:
    """Train a network without each fold, and one on everything; answer each fold by the one without it.

    Raises
    ------
    PipelineError
        If features, labels or pictures are missing, or the network is unknown.
    """
    name, settings = _checked(options)
    work, now = Workspace(options.work), inputs(options)
    data = read_dataset(
        TrainOptions(
            work=options.work,
            labels=options.labels,
            groups=options.groups,
            folds=options.folds,
            seed=options.seed,
        )
    )
    samples = _samples(options, data)
    preprocessing = Preprocessing(side=settings.side, scale="picture")
    folder = work.network(name)
    pixels = stored_pictures(folder, samples, preprocessing, options.jobs, progress)
    targets = data.targets[data.trained].to_numpy()
    lesson = Lesson(pixels, targets, _digest_of(samples), settings, folder, options.device, options.jobs)
    fitted = [fit_network(lesson, data.fold, fold, progress) for fold in range(data.folds)]
    epochs = max(1, round(float(np.median([one.best_epoch for one in fitted]))))
    everything = fit_network(lesson.shortened(epochs), data.fold, None, progress)

    networks = [_embedder(name, settings, preprocessing, one, data) for one in (*fitted, everything)]
    answered = _out_of_fold(options, data, samples, networks, progress)
    whole = embed_pictures(networks[-1], samples, work, options.jobs, progress, options.device)[0]
    path = _write(work, data, answered, whole, networks[-1])
    beside = path.with_stem(path.stem + WHOLE)
    write_record(work.record(f"train-cnn-{name}"), "train-cnn", options, now)
    losses = [one.loss for one in fitted]
    return TrainCnnSummary(path, beside, len(samples), data.folds, losses, data.trained)


def _embedder(
    name: str, settings: CnnSettings, preprocessing: Preprocessing, one: Fitted, data: Dataset
) -> Embedder:
    return Embedder(
        name=name,
        network=settings.network,
        weights=one.path.resolve(),
        sha256=file_digest(one.path),
        preprocessing=preprocessing,
        outputs=tuple(data.trained),
    )


def _out_of_fold(
    options: TrainCnnOptions,
    data: Dataset,
    samples: list[Sample],
    networks: list[Embedder],
    progress: Progress,
) -> pd.DataFrame:
    """Answer the pictures of each fold by the network that did not see it."""
    work = Workspace(options.work)
    tables = []
    for fold in range(data.folds):
        unseen = [sample for sample, place in zip(samples, data.fold, strict=True) if place == fold]
        found, _ = embed_pictures(networks[fold], unseen, work, options.jobs, progress, options.device)
        tables.append(found)
    return pd.concat(tables).loc[list(data.targets.index)]


def _checked(options: TrainCnnOptions) -> tuple[str, CnnSettings]:
    name = slug(options.name)
    if not name:
        raise PipelineError(f"name '{options.name}': give letters or digits")
    settings = options.settings.model_copy(update={"seed": options.seed})
    try:
        architecture(settings.network)
    except ValueError as error:
        raise PipelineError(str(error)) from error
    if settings.crop > settings.side:
        raise PipelineError(f"crop {settings.crop} is larger than side {settings.side}; lower it")
    check_device(options.device)
    return name, settings


def _samples(options: TrainCnnOptions, data: Dataset) -> list[Sample]:
    """Return the samples of the data set in its order."""
    found, _ = find_samples(options.images, options.samples)
    known = {sample.id: sample for sample in found}
    absent = [sample for sample in data.targets.index if sample not in known]
    if absent:
        raise PipelineError(
            f"{options.images}: no picture of {absent[0]} and {len(absent) - 1} others that were extracted; "
            "give the folder and samples that extract read"
        )
    return [known[sample] for sample in data.targets.index]


def _digest_of(samples: list[Sample]) -> list[str]:
    return [sample.fingerprint() for sample in samples]


def _write(
    work: Workspace, data: Dataset, answered: pd.DataFrame, whole: pd.DataFrame, embedder: Embedder
) -> Path:
    """Write the log-odds for the stack, the embeddings that do not compare, and those by the whole."""
    name = embedder.name
    ids = tuple(str(sample) for sample in data.targets.index)
    folds = {sample: int(fold) for sample, fold in zip(ids, data.fold, strict=True)}
    logits = [column for column in answered.columns if "__logit_" in column]
    card = EmbeddingCard(name=name, columns=0, trained_on=ids, training=f"these {len(ids)} pictures")
    stacked = {
        "embedder": embedder.model_copy(update={"keep": "outputs"}),
        "folds": folds,
        "training": f"these {len(ids)} pictures; each row is by a network that did not see its fold",
    }
    path = _table(work, name, answered[logits], card.model_copy(update=stacked))
    unaligned = {"folds": folds, "aligned": False}
    _table(work, name + UNALIGNED, answered.drop(columns=logits), card.model_copy(update=unaligned))
    _table(work, name + WHOLE, whole, card.model_copy(update={"embedder": embedder}))
    return path


def _table(work: Workspace, name: str, table: pd.DataFrame, card: EmbeddingCard) -> Path:
    path = work.embeddings / f"{name}.parquet"
    with replacing(path) as temporary:
        table.rename_axis("Id").reset_index().to_parquet(temporary, index=False)
    write_card(path, card.model_copy(update={"columns": table.shape[1], "sha256": file_digest(path)}))
    return path
