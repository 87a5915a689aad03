"""The networks of one `train-cnn`: each trained once, kept under a digest, resumable."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import replacing, text_digest
from pipeline.core.progress import Progress
from pipeline.core.workers import torch_threads
from pipeline.networks.trainer import Bytes, CnnSettings, Trainer
from pipeline.networks.weights import save_state


@dataclass(frozen=True)
class Lesson:
    """What all networks of a run share.

    Attributes
    ----------
    pixels : ndarray, shape (pictures, 4, side, side), uint8
    targets : ndarray of bool, shape (pictures, locations)
    fingerprints : list of str
        Of the pictures.
    settings : CnnSettings
    folder : Path
        Of weights and checkpoints.
    device : str
    jobs : int
        Threads.
    """

    pixels: Bytes
    targets: NDArray[np.bool_]
    fingerprints: list[str]
    settings: CnnSettings
    folder: Path
    device: str
    jobs: int

    def shortened(self, epochs: int) -> "Lesson":
        """Return the same with a fixed number of epochs."""
        return replace(self, settings=self.settings.model_copy(update={"epochs": epochs, "patience": epochs}))


@dataclass(frozen=True)
class Fitted:
    """A trained network: its weights, and the epoch and validation log-loss they are of."""

    path: Path
    best_epoch: int
    loss: float


def fit_network(lesson: Lesson, fold: NDArray[np.int16], left_out: int | None, progress: Progress) -> Fitted:
    """Train the network that does not see one fold, or, with None, the one that sees everything.

    The fold after the one left out chooses the epoch, so that the answers for the fold left out, which are
    scored later, had no part in it.
    """
    label = "everything" if left_out is None else f"fold_{left_out}"
    key = text_digest(
        [
            lesson.settings.model_dump(),
            lesson.fingerprints,
            np.packbits(lesson.targets).tolist(),
            fold.tolist() if left_out is not None else [],
            left_out,
        ]
    )[:12]
    path = lesson.folder / f"{label}-{key}.safetensors"
    record = path.with_suffix(".json")
    if not (path.is_file() and record.is_file()):
        rows, validation = split(fold, left_out)
        checkpoint = path.with_suffix(".checkpoint")
        title = (
            "Training the network of everything" if left_out is None else f"Training without fold {left_out}"
        )
        with torch_threads(lesson.jobs), progress.track(title, lesson.settings.epochs) as advance:
            trainer = Trainer(lesson.pixels, lesson.targets, rows, validation, lesson.settings, lesson.device)
            if checkpoint.is_file():
                trainer.resume(checkpoint)
                advance(trainer.epoch)
            state = trainer.run(checkpoint, lambda _epoch, _loss: advance(1))
        save_state(path, state)
        with replacing(record) as temporary:
            temporary.write_text(json.dumps({"best_epoch": trainer.best_epoch, "loss": trainer.best}))
        checkpoint.unlink(missing_ok=True)
    said = json.loads(record.read_text())
    if left_out is not None:
        progress.note(f"{label}: validation log-loss {said['loss']:.4f} at epoch {said['best_epoch']}")
    return Fitted(path, int(said["best_epoch"]), float(said["loss"]))


def split(fold: NDArray[np.int16], left_out: int | None) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pictures to train on and those to choose the epoch by."""
    if left_out is None:
        return np.arange(len(fold)), np.arange(0)
    choosing = (left_out + 1) % (int(fold.max()) + 1)
    return np.flatnonzero((fold != left_out) & (fold != choosing)), np.flatnonzero(fold == choosing)
