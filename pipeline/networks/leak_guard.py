"""The guard against leaks: an embedding must not be cross-validated on what its network was trained on.

A network that has seen a picture with its labels predicts that picture from memory. In cross-validation
such predictions score far above those of new pictures, and the stack learns to trust them.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from models.bundle import Model
from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest, write_table
from pipeline.core.weights import read_card, write_card
from pipeline.data.locations import of_card
from pipeline.data.prediction_tables import output_networks, read_outputs
from pipeline.data.tables import (
    Note,
    are_alike,
    compared,
    embedding_columns,
    embedding_name,
    listed,
    read_numbers,
    renamed,
)
from pipeline.networks.checkpoints import UNKNOWN, TrainedOn
from pipeline.networks.preprocessing import Embedder

UNALIGNED = "_unaligned"
"""Ends the name of a table whose rows come from different networks."""

_PICTURES = {"trained_on", "folds", "sha256"}
"""What is long, and of use only where it was trained."""


class TableCard(BaseModel):
    """What lies beside a table of embeddings: what made it, and which pictures its network was trained on.

    Attributes
    ----------
    name, columns : str, int
        Block of columns, and how many, once the table is written.
    names : dict of str to str
        What the columns of a table that came ready are called here, and were called there.
    embedder : Embedder, optional
        The network; None for a table that came ready.
    trained_on : "unknown" or tuple of str
        Ids of the pictures that the network was trained on.
    training : str
        The same in words.
    folds : dict of str to int, optional
        Where every fold has a network of its own: the fold of each picture, whose network has not seen it.
    aligned : bool
        Whether a column means the same in every row; not so where rows come from different networks.
    sha256 : str
        Digest of the table, which the card belongs to.
    """

    model_config = ConfigDict(frozen=True)  # those of older versions say more

    name: str
    columns: int = 0
    names: dict[str, str] = {}
    embedder: Embedder | None = None
    trained_on: TrainedOn = UNKNOWN
    training: str = "unknown"
    folds: dict[str, int] | None = None
    aligned: bool = True
    sha256: str = ""


def card_of(path: Path) -> TableCard | None:
    """Read the card beside a table, or refuse a damaged one; a card of another table counts as none."""
    card = read_card(path, TableCard)
    return card if card is not None and card.sha256 == file_digest(path) else None


def write_embeddings(path: Path, table: pd.DataFrame, card: TableCard) -> TableCard:
    """Write a table of embeddings, index ``Id``, and its card; return the card with the table's digest."""
    write_table(path, table.rename_axis("Id").reset_index())
    signed = card.model_copy(update={"columns": table.shape[1], "sha256": file_digest(path)})
    write_card(path, signed)
    return signed


def check_leaks(
    cards: Mapping[Path, TableCard | None], fold: pd.Series, note: Note, *, accept: bool
) -> list[str]:
    """Refuse embeddings whose networks saw the pictures in training; return lines on those that may leak.

    Parameters
    ----------
    cards : mapping of Path to TableCard or None
        Of the tables to be stacked.
    fold : Series of int
        The stack's fold of every labelled picture, index ``Id``.
    accept : bool
        Whether the user accepts leaks.

    Raises
    ------
    PipelineError
        If an embedding leaks, or mixes networks whose numbers do not compare, and that is not accepted.
    """
    leaks = [_leak(path, card, fold, note, accept=accept) for path, card in cards.items()]
    return [leak for leak in leaks if leak]


def _leak(path: Path, card: TableCard | None, fold: pd.Series, note: Note, *, accept: bool) -> str:
    """Return what is to be said of one embedding; nothing where it can be trusted."""
    if card is not None and not card.aligned:
        raise PipelineError(
            f"{path}: its rows come from networks whose numbers do not compare; stack the log-odds in "
            f"{path.name.replace(UNALIGNED, '')} instead"
        )
    if card is None or card.trained_on == UNKNOWN:
        return f"{path.name}: the pictures its network was trained on are unknown; scores may be optimistic"
    seen = fold.index.intersection(pd.Index(card.trained_on, dtype=str))
    if card.trained_on and not card.folds:
        note(f"The network's training pictures: {listed(path, card.trained_on, fold.index)[1]}")
    if seen.empty and are_alike(card.trained_on, fold.index):
        about = compared(card.trained_on, fold.index)
        return f"{path.name}: the ids of its network's training pictures are written otherwise ({about})"
    if seen.empty or same_folds(card, fold):
        return ""
    about = f"its network was trained on {len(seen)} of these {len(fold)} pictures ({seen[0]}, …)"
    if accept:
        return f"{path.name}: {about}; scores are optimistic"
    why = " in other folds than the stack's" if card.folds else ""
    raise PipelineError(
        f"{path}: {about}{why}: cross-validated, it would predict from memory; train it per fold with "
        "train-cnn, leave it out, or give --accept-leak to get scores that are marked"
    )


def described(
    cards: Mapping[Path, TableCard | None], columns: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """Return what a model has to know of its embeddings, by block: `predict` makes them again from it.

    Parameters
    ----------
    cards : mapping of Path to TableCard or None
    columns : mapping of str to mapping
        By block, what its columns are called in the model and in the table; other tables are no embeddings.
    """
    known = {}
    for path, card in cards.items():
        name = embedding_name(path)
        if name in columns:
            full = TableCard(name=name) if card is None else card
            names = full.names or dict(columns[name])
            known[name] = full.model_copy(update={"names": names}).model_dump(mode="json", exclude=_PICTURES)
    return known


def read_named(path: Path) -> pd.DataFrame:
    """Read a table of embeddings under the names that its columns had when it came, whatever its own."""
    card = card_of(path)
    return read_numbers(path, unknown=card is not None).rename(columns={} if card is None else card.names)


def read_given(
    folder: Path,
    model: Model,
    embeddings: Sequence[Path],
    outputs: Sequence[Path],
    made: Collection[str] = (),
) -> dict[Path, pd.DataFrame]:
    """Read the tables that a model is asked with: exactly those of its training, columns matched by name.

    Parameters
    ----------
    folder : Path
        The model's folder, for messages.
    made : collection of str
        Blocks of embeddings that may be left out, as they can be made from pictures.

    Returns
    -------
    dict of Path to DataFrame
        Index ``Id``, columns as in the model.

    Raises
    ------
    PipelineError
        If a table was not in the training, one of those is missing, or a column differs.
    """
    known = {
        name: TableCard(name=name) if card is None else TableCard.model_validate(card)
        for name, card in model.card.get("embeddings", {}).items()
        if name in model.card["blocks"]  # older versions listed outputs too
    }
    _check_tables(folder, "--embeddings", embeddings, known, known.keys() - made)
    networks = output_networks(model.columns)
    _check_tables(folder, "--outputs", outputs, networks, networks)
    tables = {path: _as_trained(folder, model, path, known[embedding_name(path)]) for path in embeddings}
    return tables | {path: read_outputs([path], of_card(model.card)) for path in outputs}


def _check_tables(
    folder: Path, option: str, paths: Sequence[Path], known: Collection[str], needed: Collection[str]
) -> None:
    """Refuse other tables than those of the training, by the names of their files."""
    given = [embedding_name(path) for path in paths]
    if not set(needed) <= set(given) <= set(known) or len(set(given)) < len(given):
        raise PipelineError(
            f"{folder}: was trained with {option} {', '.join(sorted(known)) or 'none'}, but given are "
            f"{', '.join(given) or 'none'}; give the tables it was trained with as {option}, "
            "each under the name its file had"
        )


def _as_trained(folder: Path, model: Model, path: Path, card: TableCard) -> pd.DataFrame:
    table, names = read_named(path), card.names
    if not names:  # of an older version: only names that say for themselves what they are can be matched
        names = embedding_columns(path, table.columns)
        if any(not name.isdecimal() and name not in names for name in table.columns):
            raise PipelineError(
                f"{folder}: an older version trained it and kept no names of the columns of {path.name}, so "
                "they cannot be matched; train again"
            )
    found, needed = set(map(str.casefold, table.columns)), set(model.columns)
    names = {own: name for own, name in names.items() if own in needed or name.casefold() in found}
    return renamed(path, table, names)


def same_folds(card: TableCard, fold: pd.Series) -> bool:
    """Say whether the networks were trained on the stack's folds, whatever their numbers.

    Every labelled picture has to have a fold in the card, and two pictures share a fold there exactly where
    they share one here.
    """
    if card.folds is None:
        return False
    theirs = pd.Series(card.folds).reindex(fold.index)
    if theirs.isna().any():
        return False
    pairs = np.unique(np.column_stack([theirs.to_numpy(int), fold.to_numpy(int)]), axis=0)
    return len(pairs) == theirs.nunique() == fold.nunique()
