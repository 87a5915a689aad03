"""The stage `embed`: pictures and a network, or a ready table, in; a table of embeddings and its card out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest, replacing, text_digest
from pipeline.core.names import slug
from pipeline.core.problems import Problem, write_problems
from pipeline.core.progress import Progress
from pipeline.core.stage import write_record
from pipeline.core.torch_runtime import check_device
from pipeline.core.workspace import Workspace
from pipeline.data.embedding_tables import embedding_name, read_embedding
from pipeline.data.labels import read_table
from pipeline.data.locations import LOCATIONS
from pipeline.data.samples import find_samples
from pipeline.networks.architectures import ARCHITECTURES, architecture
from pipeline.networks.card import (
    UNKNOWN,
    Embedder,
    EmbeddingCard,
    TrainedOn,
    card_path,
    read_card,
    write_card,
)
from pipeline.networks.inference import embed_pictures, picture_keys
from pipeline.networks.onnx import describe_onnx
from pipeline.networks.preprocessing import Preprocessing
from pipeline.networks.weights import SHIPPED, load_network
from pipeline.stages.options import EmbedOptions

OWN = "compact"
"""The network of this project: nobody else publishes weights of it."""

BUILTIN = "builtin"
"""Stands for the weights that come with the project."""

WINNER = (0.074598, 0.050630, 0.050891, 0.076287), (0.122813, 0.085745, 0.129882, 0.119411)
"""What the competition winner's network subtracts and divides by (microtubules, protein, nucleus, er)."""

IMAGENET = (0.485, 0.456, 0.406, 0.449), (0.229, 0.224, 0.225, 0.226)
"""The same of networks trained on ImageNet; the fourth plane has the mean of the three colours."""


@dataclass(frozen=True)
class EmbedSummary:
    """What `embed` wrote: the table, its card, columns left out as constant, and skipped samples."""

    path: Path
    card: EmbeddingCard
    pictures: int
    constant: list[str]
    problems: list[Problem]


def inputs(options: EmbedOptions) -> dict[str, str]:
    """Return the fingerprints of what `embed` would read now, by name.

    Raises
    ------
    PipelineError
        If there is no source or more than one, or a file is missing.
    """
    asked = _with_source(options)
    source = asked.table or asked.onnx or asked.checkpoint
    assert source is not None  # noqa: S101 - narrows the type: `_with_source` found one
    if not source.is_file():
        raise PipelineError(f"{source}: no such file; give the path of a table or of a network's weights")
    stated = None if asked.trained_on in (None, "none") else Path(str(asked.trained_on))
    beside = [card_path(source), source.with_suffix(".toml"), *([] if stated is None else [stated])]
    found = {path.name: file_digest(path) for path in (source, *beside) if path.is_file()}
    if asked.table is None and asked.images is not None:
        samples, _ = find_samples(asked.images, asked.samples)
        found["pictures"] = text_digest(picture_keys(asked.per, samples, Workspace(asked.work)))
    named = ("network", "name", "trained_on", "per", "side")
    return found | {f"option {name}": str(getattr(options, name)) for name in named}


def embed(options: EmbedOptions, progress: Progress) -> EmbedSummary:
    """Write ``embeddings/<name>.parquet`` and its card.

    Raises
    ------
    PipelineError
        If no source or more than one is given, or it cannot be used.
    """
    asked, now = _with_source(options), inputs(options)
    done = _run(asked, progress) if asked.table is None else _bring(asked, asked.table)
    write_record(Workspace(options.work).record(f"embed-{done.card.name}"), "embed", options, now)
    return done


def _with_source(options: EmbedOptions) -> EmbedOptions:
    """Check that there is one source of embeddings; fill in the one that comes with the project."""
    given = [f"--{name}" for name in ("table", "onnx", "checkpoint") if getattr(options, name) is not None]
    if options.network == BUILTIN:
        given.append(f"--network {BUILTIN}")
    if not given:
        raise PipelineError(
            f"no source of embeddings; give --network {BUILTIN}, --checkpoint, --onnx or --table"
        )
    if len(given) > 1:
        raise PipelineError(f"{given[0]} and {given[1]} exclude each other; give one source")
    if options.images is None and options.table is None:
        raise PipelineError("--images is missing; give the folder of pictures, or a ready table as --table")
    if options.network != BUILTIN:
        return options
    return options.model_copy(update={"checkpoint": SHIPPED / f"{BUILTIN}.safetensors", "network": None})


def _run(options: EmbedOptions, progress: Progress) -> EmbedSummary:
    """Embed pictures by a network."""
    card = _card(options)
    assert card.embedder is not None  # noqa: S101 - narrows the types: `_card` and `_with_source` see to it
    assert options.images is not None  # noqa: S101
    samples, problems = find_samples(options.images, options.samples)
    work = Workspace(options.work)
    device = check_device(options.device)
    table, more = embed_pictures(card.embedder, samples, work, options.jobs, progress, device)
    write_problems(work.problems, "embed", [*problems, *more])
    return _write(work, card, table, [*problems, *more])


def _bring(options: EmbedOptions, path: Path) -> EmbedSummary:
    """Check a ready table and put it into the work folder."""
    name = _name(options, path)
    table = read_embedding(path)
    if table.isna().any(axis=None):
        column = table.columns[table.isna().any()][0]
        sample = table.index[table[column].isna()][0]
        raise PipelineError(
            f"{path}: no number for Id '{sample}' in {column}; fill it in or leave out the row"
        )
    names = [f"cnn__{name}__{_last(str(column), place)}" for place, column in enumerate(table)]
    table.columns = pd.Index(names)
    trained_on, training = _training(options.trained_on)
    card = EmbeddingCard(name=name, columns=0, trained_on=trained_on, training=training)
    work = Workspace(options.work)
    problems = []
    if work.samples.is_file():
        known = pd.read_parquet(work.samples, columns=["Id"])["Id"]
        absent = sorted(set(known) - set(table.index))
        if len(absent) == len(known):
            raise PipelineError(
                f"{path}: none of its ids is among the pictures of {work.root}; use their ids"
            )
        remedy = "add its row; it counts as unknown"
        problems = [Problem(sample, path.name, "no embedding", remedy) for sample in absent]
    return _write(work, card, table, problems)


def _last(column: str, place: int) -> str:
    """Keep what a column is called within its block."""
    return column.split("__", 2)[2] if column.startswith("cnn__") else f"e{place:04}"


def _write(
    work: Workspace, card: EmbeddingCard, table: pd.DataFrame, problems: list[Problem]
) -> EmbedSummary:
    """Write table and card without constant columns, which say nothing."""
    values = table.to_numpy()
    same = (values == values[:1]).all(axis=0) if len(table) > 1 else np.zeros(values.shape[1], bool)
    if same.all():
        raise PipelineError(f"all columns of '{card.name}' are constant; they say nothing about pictures")
    constant = [str(column) for column in table.columns[same]] if card.embedder is None else []
    path = work.embeddings / f"{card.name}.parquet"
    kept = table.drop(columns=constant)
    with replacing(path) as temporary:
        kept.rename_axis("Id").reset_index().to_parquet(temporary, index=False)
    card = card.model_copy(update={"columns": kept.shape[1], "sha256": file_digest(path)})
    write_card(path, card)
    return EmbedSummary(path, card, len(kept), constant, problems)


def _card(options: EmbedOptions) -> EmbeddingCard:
    """Describe the network that was asked for."""
    pictures, words = _training(options.trained_on)
    beside = None if options.checkpoint is None else read_card(options.checkpoint)
    if options.onnx is not None:
        embedder = describe_onnx(options.onnx, _name(options, options.onnx))
    elif options.checkpoint is not None and beside is not None and beside.embedder is not None:
        embedder = _with_card(options, options.checkpoint, beside.embedder)
        if options.trained_on is None:
            pictures, words = beside.trained_on, beside.training
    else:
        embedder = _of_checkpoint(options)
    embedder = embedder.model_copy(update={"per": options.per})
    name = embedder.name
    return EmbeddingCard(name=name, columns=0, embedder=embedder, trained_on=pictures, training=words)


def _with_card(options: EmbedOptions, path: Path, embedder: Embedder) -> Embedder:
    """Use weights as the card beside them says, which leaves nothing to be asked."""
    if options.network not in (None, embedder.network) or options.side is not None:
        raise PipelineError(
            f"{path}: its card says {embedder.network}, {embedder.preprocessing.side} px; "
            "leave out --network and --side"
        )
    name = _token(options.name or embedder.name)
    where = Path(path.name) if path.parent == SHIPPED else path.resolve()
    return embedder.model_copy(update={"name": name, "weights": where})


def _of_checkpoint(options: EmbedOptions) -> Embedder:
    path, network = options.checkpoint, options.network
    if path is None or not path.is_file():
        raise PipelineError(f"{path}: no such file; give a checkpoint of weights")
    if network is None or network == OWN:
        known = ", ".join(name for name in ARCHITECTURES if name != OWN)
        raise PipelineError(f"{path}: no card beside it; name its network as --network: {known}")
    try:
        design = architecture(network)
    except ValueError as error:
        raise PipelineError(str(error)) from error
    winner = network.startswith("bestfitting")
    mean, std = WINNER if winner else IMAGENET
    embedder = Embedder(
        name=_token(options.name or network),
        network=network,
        weights=path.resolve(),
        sha256=file_digest(path),
        preprocessing=Preprocessing(side=options.side or design.side, mean=mean, std=std),
        outputs=LOCATIONS if winner else (),
    )
    load_network(embedder, path)
    return embedder


def _name(options: EmbedOptions, path: Path) -> str:
    return _token(options.name) if options.name else embedding_name(path)


def _token(name: str) -> str:
    token = slug(name)
    if not token:
        raise PipelineError(f"name '{name}': give letters or digits")
    return token


def _training(given: str | None) -> tuple[TrainedOn, str]:
    """Say which pictures a network was trained on, as far as the user knows."""
    if given is None:
        return UNKNOWN, "unknown"
    if given == "none":
        return (), "stated by the user: on none of these pictures"
    ids = tuple(sorted(set(read_table(Path(given), ("Id",))["Id"])))
    return ids, f"stated by the user in {Path(given).name}"
