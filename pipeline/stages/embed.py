"""The stage `embed`: pictures and a network, or a ready table, in; a table of embeddings and its card out."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError, Problem, write_problems
from pipeline.core.files import file_digest, text_digest
from pipeline.core.stage import Progress, Stage, Summary, option_inputs, read_made
from pipeline.core.weights import card_path, read_card
from pipeline.core.workers import check_device
from pipeline.core.workspace import Workspace
from pipeline.data.flat_fields import even_samples
from pipeline.data.locations import LOCATIONS
from pipeline.data.samples import picture_inputs
from pipeline.data.tables import (
    Note,
    embedding_columns,
    embedding_name,
    listed,
    match,
    read_numbers,
    read_table,
    renamed,
    unmatched,
)
from pipeline.networks.architectures import ARCHITECTURES, architecture
from pipeline.networks.checkpoints import UNKNOWN, CnnCard, TrainedOn, load_network
from pipeline.networks.inference import VERSION, block_name, embed_pictures, picture_keys
from pipeline.networks.leak_guard import TableCard, write_embeddings
from pipeline.networks.onnx import describe_onnx, onnx_digest
from pipeline.networks.preprocessing import Embedder, Preprocessing
from pipeline.networks.shipped import SHIPPED_BLOCK, WEIGHTS, shipped_embedder
from pipeline.stages.options import EmbedOptions

OWN = "compact"
"""The network of this project: nobody else publishes weights of it."""

BUILTIN = "builtin"
"""Stands for the shipped network, seen once."""

WINNER = (0.074598, 0.050630, 0.050891, 0.076287), (0.122813, 0.085745, 0.129882, 0.119411)
"""What the competition winner's network subtracts and divides by (microtubules, protein, nucleus, er)."""

IMAGENET = (0.485, 0.456, 0.406, 0.449), (0.229, 0.224, 0.225, 0.226)
"""The same of networks trained on ImageNet; the fourth plane has the mean of the three colours."""


class EmbedSummary(Summary):
    """What `embed` wrote.

    Attributes
    ----------
    name : str
        Of the block, its table and its record.
    pictures, columns : int
    training : str
        Which pictures the network was trained on, in words.
    constant : list of str
        Columns of a ready table that were left out.
    problems : list of Problem
        Skipped samples.
    """

    name: str
    pictures: int
    columns: int
    training: str
    constant: list[str]
    problems: list[Problem]


class Embed(Stage[EmbedOptions, EmbedSummary]):
    """See `pipeline.core.stage`; each block has a record of its own."""

    name = "embed"
    options = EmbedOptions
    summary = EmbedSummary

    def inputs(self, options: EmbedOptions) -> dict[str, str]:
        """Return the fingerprints of what `embed` would read now, by name.

        Raises
        ------
        PipelineError
            If there is no source or more than one, or a file is missing.
        """
        source = _source(options)
        stated = None if options.trained_on in (None, "none") else Path(str(options.trained_on))
        beside = [card_path(source), source.with_suffix(".toml"), *([] if stated is None else [stated])]
        found = {path.name: file_digest(path) for path in (source, *beside) if path.is_file()}
        if options.onnx is not None and options.onnx.is_file():
            found[source.name] = onnx_digest(source)
        if options.table is None and options.images is not None:
            samples, problems = even_samples(options, Workspace(options.work))
            found |= picture_inputs(samples, problems, Workspace(options.work))
            if options.per == "cell":
                found["cells"] = text_digest(picture_keys(options.per, samples, Workspace(options.work)))
            found["version of embeddings"] = str(VERSION)
        return found | option_inputs(options, "network", "name", "trained_on", "per", "side")

    def outputs(self, options: EmbedOptions) -> tuple[Path, ...]:
        """Return the table and its card."""
        path = Workspace(options.work).embedding(_name(options))
        return path, card_path(path)

    def run(self, options: EmbedOptions, progress: Progress) -> EmbedSummary:
        """Embed pictures by a network, or take a ready table."""
        if options.table is None:
            return _embed(options, progress)
        return _take(options, options.table, progress.note)

    def record(self, options: EmbedOptions) -> Path:
        """Return the record of this block."""
        return Workspace(options.work).record(f"{self.name}-{_name(options)}")


def _source(options: EmbedOptions) -> Path:
    """Return the one file that the embeddings come from."""
    shipped = WEIGHTS if options.network in (BUILTIN, SHIPPED_BLOCK) else None
    known = {f"--{name}": getattr(options, name) for name in ("table", "onnx", "checkpoint")}
    given = {name: path for name, path in (known | {f"--network {options.network}": shipped}).items() if path}
    if not given:
        raise PipelineError(
            f"no source of embeddings; give --network {BUILTIN}, --checkpoint, --onnx or --table"
        )
    first, *others = given
    if others:
        raise PipelineError(f"{first} and {others[0]} exclude each other; give one source")
    if options.images is None and options.table is None:
        raise PipelineError("--images is missing; give the folder of pictures, or a ready table as --table")
    source: Path = given[first]
    if not source.is_file():
        raise PipelineError(f"{source}: no such file; give the path of a table or of a network's weights")
    return source


def _name(options: EmbedOptions) -> str:
    """Return the token that names the block, its table and its record."""
    if options.name is not None:
        return block_name(options.name)
    source = _source(options)
    if options.network == SHIPPED_BLOCK:
        return SHIPPED_BLOCK
    if options.checkpoint is None:
        return embedding_name(source)
    card = read_card(source, CnnCard)
    return block_name(_network(options, source) if card is None else card.network)


def _network(options: EmbedOptions, path: Path) -> str:
    """Return the architecture of a checkpoint that has no card."""
    if options.network is None or options.network == OWN:
        known = ", ".join(name for name in ARCHITECTURES if name != OWN)
        raise PipelineError(f"{path}: no card beside it; name its network as --network: {known}")
    return options.network


def _embed(options: EmbedOptions, progress: Progress) -> EmbedSummary:
    """Embed pictures by a network."""
    pictures, words, embedder = _described(options)
    work = Workspace(options.work)
    samples, problems = even_samples(options, work)
    device = check_device(options.device)
    table, more = embed_pictures(embedder, samples, work, options.jobs, progress, device)
    problems = [*problems, *more]
    write_problems(work.problems, "embed", problems)
    if table.empty:
        shown = ", ".join(embedder.needed)
        raise PipelineError(
            f"{options.images}: no picture has all that '{embedder.name}' needs ({shown}); add the files, or "
            "take a network that was trained without"
        )
    _constant(table, embedder.name)
    _check_training(options, pictures, table.index, progress.note)
    card = TableCard(name=embedder.name, embedder=embedder, trained_on=pictures, training=words)
    return _written(work, card, table, [], problems)


def _take(options: EmbedOptions, path: Path, note: Note) -> EmbedSummary:
    """Check a ready table and put it, without constant columns, into the work folder."""
    name, table = _name(options), read_numbers(path)
    columns = embedding_columns(path, table.columns)
    names = {
        f"cnn__{name}__{_last(column, position)}": given
        for position, (column, given) in enumerate(columns.items())
    }
    if table.empty or len(names) < len(columns):
        raise PipelineError(f"{path}: no numbers, or two columns of one name; name every column otherwise")
    table = renamed(path, table, names)
    trained_on, training = _training(options.trained_on)
    _check_training(options, trained_on, table.index, note)
    card = TableCard(name=name, names=names, trained_on=trained_on, training=training)
    constant = _constant(table, name)
    work = Workspace(options.work)
    problems = _without_row(work, path, table.index, note)
    return _written(work, card, table.drop(columns=constant), constant, problems)


def _check_training(options: EmbedOptions, trained_on: TrainedOn, pictures: pd.Index, note: Note) -> None:
    """Say how many of the pictures that the user says the network was trained on are among these."""
    if options.trained_on not in (None, "none") and trained_on != UNKNOWN:
        number, said = listed(Path(str(options.trained_on)), trained_on, pictures)
        note(said if number else f"Warning: {said}")


def _last(column: str, position: int) -> str:
    """Keep what a column is called within its block."""
    return column.split("__", 2)[2] if column.startswith("cnn__") else f"e{position:04}"


def _without_row(work: Workspace, path: Path, ids: pd.Index, note: Note) -> list[Problem]:
    """List the extracted pictures that a ready table lacks."""
    if not work.samples.is_file():
        return []
    known = pd.Index(read_made(work.samples, ["Id"])["Id"])
    absent = match(path, ids, known, note)
    return unmatched(absent, path.name, "no embedding", "add its row; it counts as unknown")


def _constant(table: pd.DataFrame, name: str) -> list[str]:
    """Return the constant columns; refuse a table that has no other."""
    values = table.to_numpy()
    same: NDArray[np.bool_] = (values == values[:1]).all(axis=0) & (len(table) > 1)
    if same.all():
        raise PipelineError(f"all columns of '{name}' are constant; give embeddings that vary")
    return [str(column) for column in table.columns[same]]


def _written(
    work: Workspace, card: TableCard, table: pd.DataFrame, constant: list[str], problems: list[Problem]
) -> EmbedSummary:
    signed = write_embeddings(work.embedding(card.name), table, card)
    return EmbedSummary(
        name=card.name,
        pictures=len(table),
        columns=signed.columns,
        training=signed.training,
        constant=constant,
        problems=problems,
    )


def _described(options: EmbedOptions) -> tuple[TrainedOn, str, Embedder]:
    """Return which pictures a network was trained on, the same in words, and how it embeds."""
    pictures, words = _training(options.trained_on)
    source, name = _source(options), _name(options)
    card = None if options.onnx is not None else read_card(source, CnnCard)
    if options.onnx is not None:
        embedder = describe_onnx(options.onnx, name)
    elif card is None:
        embedder = _without_card(options, source, name)
    else:
        _check_card(options, source, card)
        alone = options.network == SHIPPED_BLOCK
        embedder = shipped_embedder(name) if alone else card.embedder(name, source)
        if options.trained_on is None:
            pictures, words = card.trained_on, card.data
    return pictures, words, embedder.model_copy(update={"per": options.per})


def _check_card(options: EmbedOptions, path: Path, card: CnnCard) -> None:
    """Refuse words that the card beside the weights makes needless."""
    if options.network not in (None, BUILTIN, SHIPPED_BLOCK, card.network) or options.side is not None:
        raise PipelineError(
            f"{path}: its card says {card.network}, {card.preprocessing.side} px; "
            "leave out --network and --side"
        )


def _without_card(options: EmbedOptions, path: Path, name: str) -> Embedder:
    """Describe a published checkpoint; it is loaded once to see that it is one."""
    network = _network(options, path)
    side = options.side or architecture(network).side
    winner = network.startswith("bestfitting")
    mean, std = WINNER if winner else IMAGENET
    embedder = Embedder(
        name=name,
        network=network,
        weights=path.resolve(),
        sha256=file_digest(path),
        preprocessing=Preprocessing(side=side, mean=mean, std=std),
        outputs=LOCATIONS if winner else (),
    )
    load_network(embedder)
    return embedder


def _training(given: str | None) -> tuple[TrainedOn, str]:
    """Say which pictures a network was trained on, as far as the user knows."""
    if given is None:
        return UNKNOWN, "unknown"
    if given == "none":
        return (), "stated by the user: on none of these pictures"
    ids = tuple(sorted(set(read_table(Path(given), ("Id",))["Id"])))
    if not ids:
        raise PipelineError(f"{given}: lists no pictures; give --trained-on none where the network saw none")
    return ids, f"stated by the user in {Path(given).name}"
