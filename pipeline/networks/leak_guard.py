"""The guard against leaks: an embedding must not be cross-validated on what its network was trained on.

A network that has seen a picture with its labels predicts that picture from memory. In cross-validation
such predictions score far above those of new pictures, and the stack learns to trust them.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest, write_table
from pipeline.core.weights import read_card, write_card
from pipeline.data.tables import embedding_name
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


def check_leaks(cards: Mapping[Path, TableCard | None], fold: pd.Series, *, accept: bool) -> list[str]:
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
    leaks = [_leak(path, card, fold, accept=accept) for path, card in cards.items()]
    return [leak for leak in leaks if leak]


def _leak(path: Path, card: TableCard | None, fold: pd.Series, *, accept: bool) -> str:
    """Return what is to be said of one embedding; nothing where it can be trusted."""
    if card is not None and not card.aligned:
        raise PipelineError(
            f"{path}: its rows come from networks whose numbers do not compare; stack the log-odds in "
            f"{path.name.replace(UNALIGNED, '')} instead"
        )
    if card is None or card.trained_on == UNKNOWN:
        return f"{path.name}: the pictures its network was trained on are unknown; scores may be optimistic"
    seen = fold.index.intersection(pd.Index(card.trained_on, dtype=str))
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


def described(cards: Mapping[Path, TableCard | None]) -> dict[str, object]:
    """Return what a model has to know of its embeddings, by block: `predict` makes them again from it."""
    return {
        embedding_name(path): None if card is None else card.model_dump(mode="json", exclude=_PICTURES)
        for path, card in cards.items()
    }


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
