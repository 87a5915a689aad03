"""Train the shipped network, on simulated pictures of all 28 locations.

Run from the project's folder: ``nice python benchmarks/train_builtin.py FOLDER``. Killed and run again it
goes on: with the next picture, or after the last finished epoch. Writes ``data/weights/builtin.safetensors``
and its card, for ``embed --network builtin``. No benchmark, test or demo simulates from its seed.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from varied_pictures import VERSION as VARIED
from varied_pictures import Varied, varied_picture, varied_protein

from pipeline.commands.console import RichProgress
from pipeline.core.files import text_digest
from pipeline.core.stage import Progress
from pipeline.core.training_loop import TrainingLoop
from pipeline.core.weights import SHIPPED, save_state, write_card
from pipeline.core.workers import torch_threads
from pipeline.data.locations import LOCATIONS
from pipeline.networks.architectures import architecture
from pipeline.networks.checkpoints import CnnCard, Deciding
from pipeline.networks.preprocessing import Preprocessing
from pipeline.networks.training import (
    CnnHyperparameters,
    cnn_training,
    log_loss,
    log_odds,
    positive_weights,
    unweighted,
)
from pipeline.networks.training_pictures import DROPPED, Bytes, PictureCache, as_bytes
from pipeline.stages.simulate import VERSION

SEED = 770_002
"""Of the training proteins."""

SIDE = 336
"""Side in pixels of the pictures: small fields hold fewer cells, but more proteins fit into the time."""

CROP = 208
"""Side of the random views that it is trained on."""

PICTURES = Preprocessing(side=SIDE, scale="picture", dropped=DROPPED)

SIDES, THRESHOLD = (384, 512), 0.16
"""How the network names locations by itself, chosen on real pictures (docs/decisions/0080)."""

CHOOSING = 20
"""Every so many proteins one chooses the epoch."""


def simulated(folder: Path, wanted: list[Varied], jobs: int, progress: Progress) -> Bytes:
    """Return one picture of each protein as the network sees it, made once and kept in the folder."""
    key = text_digest([VERSION, VARIED, SEED, len(wanted), PICTURES.model_dump(mode="json")])
    cache = PictureCache(folder, key, len(wanted), SIDE, "Simulating pictures")
    with ProcessPoolExecutor(jobs) as workers:
        return cache.filled(lambda row: workers.submit(_simulated, wanted[row]).result(), 2 * jobs, progress)


def _simulated(described: Varied) -> Bytes:
    return as_bytes(varied_picture(SEED, described, SIDE), PICTURES)


def targets_of(wanted: list[Varied]) -> NDArray[np.bool_]:
    """Return where each protein is, shape (proteins, 28)."""
    return np.array([[name in one.protein.locations for name in LOCATIONS] for one in wanted])


def trained(
    folder: Path,
    pixels: Bytes,
    truth: NDArray[np.bool_],
    hyperparameters: CnnHyperparameters,
    progress: Progress,
) -> tuple[TrainingLoop, dict[str, float]]:
    """Return the weights of the best epoch, and how they do on the proteins that chose it."""
    choosing = np.arange(len(pixels)) % CHOOSING == 0
    rows = np.flatnonzero(choosing)
    with torch_threads(2):
        training = cnn_training(pixels, truth, np.flatnonzero(~choosing), rows, hyperparameters)
        state = training.run(progress, "Training", folder / "checkpoint.pt", progress.note)
        training.network.load_state_dict(state)
        logits = log_odds(training.network.eval(), pixels, rows)
    return training, scores(unweighted(logits, positive_weights(truth[~choosing])), truth[rows])


def scores(logits: NDArray[np.float32], truth: NDArray[np.bool_]) -> dict[str, float]:
    """Return log-loss and macro average precision over the locations that occur."""
    present = truth.any(axis=0)
    precision = average_precision_score(truth[:, present], logits[:, present], average="macro")
    found = {"log_loss": log_loss(logits, truth), "macro_average_precision": float(precision)}
    always = np.clip(truth.mean(axis=0), 1e-3, 1 - 1e-3)
    prevalence = np.tile(np.log(always / (1 - always)), (len(truth), 1)).astype(np.float32)
    found["log_loss_of_prevalence"] = log_loss(prevalence, truth)
    return {name: round(value, 4) for name, value in found.items()}


def write_network(
    folder: Path,
    training: TrainingLoop,
    pictures: int,
    hyperparameters: CnnHyperparameters,
    found: dict[str, float],
    prior: NDArray[np.float32],
) -> Path:
    """Write weights and their card."""
    weights = folder / "builtin.safetensors"
    card = CnnCard(
        network=hyperparameters.network,
        sha256=save_state(weights, training.state),
        preprocessing=PICTURES.model_copy(update={"side": architecture(hyperparameters.network).side}),
        outputs=LOCATIONS,
        trained_on=(),
        steps=training.best_step,
        best_epoch=training.best_step // training.schedule.round,
        data=f"{pictures} simulated pictures of {SIDE} px, varied at random, with all 28 locations, one of "
        f"each of the first proteins of seed {SEED} (every {CHOOSING}th chose the epoch); no real picture",
        licence="that of the project: pictures and weights are its own",
        command=f"python benchmarks/train_builtin.py FOLDER --pictures {pictures} "
        f"--epochs {hyperparameters.epochs}",
        scores=found,
        deciding=Deciding(sides=SIDES, prior=tuple(prior.round(4).tolist()), threshold=THRESHOLD),
    )
    write_card(weights, card)
    return weights


def main() -> None:
    """Simulate, train, and write weights and card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=13)
    parser.add_argument("--jobs", type=int, default=2, help="Processes that simulate.")
    parser.add_argument("--output", type=Path, default=SHIPPED, help="Folder of weights and card.")
    given = parser.parse_args()
    progress = RichProgress()
    wanted = [varied_protein(SEED, number) for number in range(given.pictures)]
    pixels = simulated(given.folder, wanted, given.jobs, progress)
    hyperparameters = CnnHyperparameters(
        network="compact",
        side=SIDE,
        crop=CROP,
        batch=32,
        epochs=given.epochs,
        patience=given.epochs,
        averaging=0.995,
        channel_dropout=0.25,
    )
    truth = targets_of(wanted)
    training, found = trained(given.folder, pixels, truth, hyperparameters, progress)
    prior = -np.log(positive_weights(truth[np.arange(len(truth)) % CHOOSING != 0]))
    print(write_network(given.output, training, len(wanted), hyperparameters, found, prior), found)


if __name__ == "__main__":
    main()
