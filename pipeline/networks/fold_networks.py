"""The networks of one `train-cnn`: one without each fold and one of everything, each trained once."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import text_digest
from pipeline.core.stage import Progress
from pipeline.core.weights import read_card, save_state, write_card
from pipeline.core.workers import torch_threads
from pipeline.networks.architectures import CnnHyperparameters
from pipeline.networks.checkpoints import CnnCard
from pipeline.networks.preprocessing import Preprocessing
from pipeline.networks.training import Rows, cnn_training
from pipeline.networks.training_pictures import Bytes

VERSION = 2
"""Raise it when the same pictures and hyperparameters give other weights than before."""


@dataclass(frozen=True)
class TrainingRun:
    """What all networks of a run share.

    Attributes
    ----------
    pixels : ndarray, shape (pictures, 4, side, side), uint8
    preprocessing : Preprocessing
        That made `pixels`.
    targets : ndarray of bool, shape (pictures, locations)
    locations : tuple of str
    fingerprints : dict of str to str
        Id of each picture to what its pixels are known by.
    fold : ndarray of int, shape (pictures,)
        The stack's folds.
    hyperparameters : CnnHyperparameters
    folder : Path
        Of weights and checkpoints.
    device : str
    jobs : int
        Threads.
    """

    pixels: Bytes
    preprocessing: Preprocessing
    targets: NDArray[np.bool_]
    locations: tuple[str, ...]
    fingerprints: dict[str, str]
    fold: NDArray[np.int16]
    hyperparameters: CnnHyperparameters
    folder: Path
    device: str
    jobs: int

    def shortened(self, epochs: int) -> "TrainingRun":
        """Return the same with a fixed number of epochs."""
        fewer = {"epochs": epochs, "patience": epochs}
        return replace(self, hyperparameters=self.hyperparameters.model_copy(update=fewer))

    def digest(self, left_out: int | None) -> str:
        """Return a digest of everything that decides a network's weights."""
        parts = [VERSION, self.hyperparameters.model_dump(), list(self.fingerprints.values())]
        folds = self.fold.tolist() if left_out is not None else []
        return text_digest([*parts, np.packbits(self.targets).tolist(), folds, left_out])


def fit_network(run: TrainingRun, left_out: int | None, progress: Progress) -> tuple[Path, CnnCard]:
    """Train the network that does not see one fold, or, with None, the one that sees everything.

    The fold after the one left out chooses the epoch, so that the predictions for the fold left out, which
    are scored later, had no part in it. A finished network is not trained again; an unfinished one goes on at
    its checkpoint.

    Returns
    -------
    path : Path
        Of the weights, with their card beside them.
    card : CnnCard
    """
    label = "everything" if left_out is None else f"fold_{left_out}"
    recipe = run.digest(left_out)
    path = run.folder / f"{label}-{recipe[:12]}.safetensors"
    card = read_card(path, CnnCard) if path.is_file() else None
    if card is None:
        card = _train(run, left_out, path, progress).model_copy(update={"recipe": recipe})
        write_card(path, card)
        path.with_suffix(".checkpoint").unlink(missing_ok=True)
    if left_out is not None:
        loss = card.scores.get("log_loss", np.nan)
        progress.note(f"{label}: validation log-loss {loss:.4f} at epoch {card.best_epoch}")
    return path, card


def _train(run: TrainingRun, left_out: int | None, path: Path, progress: Progress) -> CnnCard:
    """Train one network and write its weights; return what its card says."""
    rows, validation = split(run.fold, left_out)
    title = "Training the network of everything" if left_out is None else f"Training without fold {left_out}"
    with torch_threads(run.jobs):
        training = cnn_training(run.pixels, run.targets, rows, validation, run.hyperparameters, run.device)
        state = training.run(progress, title, path.with_suffix(".checkpoint"))
    ids = list(run.fingerprints)
    seen = tuple(ids[row] for row in np.sort(np.concatenate([rows, validation])))
    chosen = training.chosen is not None
    return CnnCard(
        network=run.hyperparameters.network,
        sha256=save_state(path, state),
        data=f"{len(seen)} of these {len(ids)} pictures",
        licence="that of the pictures and labels",
        command="train-cnn",
        steps=training.best_step if chosen else training.step,
        scores={"log_loss": training.best} if chosen else {},
        preprocessing=run.preprocessing,
        outputs=run.locations,
        trained_on=seen,
        best_epoch=training.best_step // training.schedule.round if chosen else None,
    )


def split(fold: NDArray[np.int16], left_out: int | None) -> tuple[Rows, Rows]:
    """Return the pictures to train on and those to choose the epoch by."""
    if left_out is None:
        return np.arange(len(fold)), np.arange(0)
    choosing = (left_out + 1) % (int(fold.max()) + 1)
    return np.flatnonzero((fold != left_out) & (fold != choosing)), np.flatnonzero(fold == choosing)
