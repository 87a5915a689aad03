"""The guard against leaks: an embedding must not be cross-validated on what its network was trained on.

A network that has seen a picture with its labels answers that picture from memory. In cross-validation
such answers score far above what new pictures will get, and the stack learns to trust them.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest
from pipeline.data.embedding_tables import embedding_name
from pipeline.networks.card import UNKNOWN, EmbeddingCard, read_card

UNALIGNED = "_unaligned"
"""Ends the name of a table whose rows come from different networks."""

_PICTURES = {"trained_on", "folds", "sha256"}
"""What is long, and of use only where it was trained."""


def card_of(path: Path) -> EmbeddingCard | None:
    """Read the card beside a table; a card of another table counts as none.

    Raises
    ------
    PipelineError
        If the card is damaged.
    """
    card = read_card(path)
    return card if card is not None and card.sha256 == file_digest(path) else None


def check_leaks(cards: Mapping[Path, EmbeddingCard | None], fold: pd.Series, *, accept: bool) -> list[str]:
    """Refuse embeddings whose networks know the pictures; return what is to be said of every score.

    Parameters
    ----------
    cards : mapping of Path to EmbeddingCard or None
        The tables to be stacked, each with its card.
    fold : Series of int
        The stack's fold of every labelled picture, index ``Id``.
    accept : bool
        Whether the user accepts leaks.

    Returns
    -------
    list of str
        One line per embedding that leaks, or may; empty where every score can be trusted.

    Raises
    ------
    PipelineError
        If an embedding leaks, or mixes networks whose numbers do not compare, and that is not accepted.
    """
    marks = [_mark(path, card, fold, accept=accept) for path, card in cards.items()]
    return [mark for mark in marks if mark]


def _mark(path: Path, card: EmbeddingCard | None, fold: pd.Series, *, accept: bool) -> str:
    """Return what is to be said of one embedding; nothing where it can be trusted."""
    if card is not None and not card.aligned:
        raise PipelineError(
            f"{path}: its rows come from networks whose numbers do not compare; stack the log-odds in "
            f"{path.name.replace(UNALIGNED, '')} instead"
        )
    if card is None or card.trained_on == UNKNOWN:
        return f"{path.name}: the pictures its network was trained on are unknown; scores may flatter"
    seen = fold.index.intersection(pd.Index(card.trained_on, dtype=str))
    if seen.empty or same_folds(card, fold):
        return ""
    about = f"its network was trained on {len(seen)} of these {len(fold)} pictures ({seen[0]}, …)"
    if accept:
        return f"{path.name}: {about}; scores are too good"
    why = " in other folds than the stack's" if card.folds else ""
    raise PipelineError(
        f"{path}: {about}{why}: cross-validated, it would answer from memory; train it per fold with "
        "train-cnn, leave it out, or give --accept-leak to get scores that are marked"
    )


def described(cards: Mapping[Path, EmbeddingCard | None]) -> dict[str, object]:
    """Return what a model has to know of its embeddings, by block: `predict` makes them again from it."""
    return {
        embedding_name(path): None if card is None else card.model_dump(mode="json", exclude=_PICTURES)
        for path, card in cards.items()
    }


def same_folds(card: EmbeddingCard, fold: pd.Series) -> bool:
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
