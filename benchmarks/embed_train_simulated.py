"""Train the compact network on simulated pictures of all 28 locations.

Run from the project's folder: ``python benchmarks/embed_train_simulated.py FOLDER [--pictures N]``.
Killed and run again it goes on: pictures are made in chunks, training at the last finished epoch. Writes
``simulated.safetensors`` and its card ``simulated.json``, for ``embed --checkpoint``; the seed of the
proteins must be one that no benchmark, test or demo uses.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pipeline.cnn.trainer import CnnSettings, State, Trainer
from pipeline.console import RichProgress
from pipeline.embedding.card import Embedder, EmbeddingCard, write_card
from pipeline.embedding.pictures import threads
from pipeline.embedding.preprocessing import Preprocessing, prepare
from pipeline.embedding.weights import save_state
from pipeline.locations import LOCATIONS
from pipeline.progress import Progress
from pipeline.records import replacing
from pipeline.simulation.field import simulate_picture
from pipeline.simulation.proteins import Protein, proteins

SEED = 770_001
"""Of the training proteins."""

CHUNK = 64
"""Proteins simulated between two writes."""

VALIDATION = 12
"""Every so many proteins one chooses the epoch."""


def simulated(
    folder: Path, pictures: int, side: int, progress: Progress
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pictures (uint8), truth and the number of each picture's protein; at most two of one protein."""
    preprocessing = Preprocessing(side=side, scale="picture")
    series = proteins(SEED, LOCATIONS)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    with progress.track("Simulating pictures", pictures) as advance:
        while sum(len(part[0]) for part in found) < pictures:
            chunk = [next(series) for _ in range(CHUNK)]
            path = folder / f"pictures-{side}-{len(found):04}.npz"
            if not path.is_file():
                _write(path, chunk, preprocessing)
            with np.load(path) as arrays:
                found.append((arrays["pixels"], arrays["truth"], arrays["protein"]))
            advance(len(found[-1][0]))
    pixels, truth, protein = (np.concatenate(column)[:pictures] for column in zip(*found, strict=True))
    return pixels, truth, protein


def _write(path: Path, chunk: list[Protein], preprocessing: Preprocessing) -> None:
    shots = [(protein, index) for protein in chunk for index in range(min(2, protein.pictures))]
    made = (simulate_picture(SEED, protein, index, locations=LOCATIONS) for protein, index in shots)
    pixels = [prepare(one.picture.pixels, preprocessing) for one in made]
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            pixels=np.rint(np.stack(pixels) * 255).astype(np.uint8),
            truth=np.array([[name in protein.locations for name in LOCATIONS] for protein, _ in shots]),
            protein=np.array([protein.number for protein, _ in shots]),
        )


def write_network(weights: Path, state: State, side: int, words: str) -> Path:
    """Write weights and their card."""
    embedder = Embedder(
        name="simulated",
        network="compact",
        weights=weights,
        sha256=save_state(weights, state),
        preprocessing=Preprocessing(side=side, scale="picture"),
        outputs=LOCATIONS,
    )
    card = EmbeddingCard(name="simulated", columns=0, embedder=embedder, trained_on=(), training=words)
    write_card(weights, card)
    return weights


def main() -> None:
    """Simulate, train, and write weights and card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--side", type=int, default=384)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    progress = RichProgress()
    pixels, truth, protein = simulated(given.folder, given.pictures, given.side, progress)
    choosing = protein % VALIDATION == 0
    settings = CnnSettings(
        network="compact",
        side=given.side,
        crop=given.side * 3 // 4,
        epochs=given.epochs,
        patience=given.epochs,
    )
    checkpoint = given.folder / "checkpoint.pt"
    with threads(given.jobs), progress.track("Training", given.epochs) as advance:
        trainer = Trainer(pixels, truth, np.flatnonzero(~choosing), np.flatnonzero(choosing), settings)
        if checkpoint.is_file():
            trainer.resume(checkpoint)
            advance(trainer.epoch)

        def finished(epoch: int, loss: float) -> None:
            advance(1)
            progress.note(f"epoch {epoch}: validation log-loss {loss:.4f}")

        state = trainer.run(checkpoint, finished)
    words = f"{len(pixels)} simulated pictures of seed {SEED}, proteins 0 to {protein.max()}; no real picture"
    weights = write_network(given.folder / "simulated.safetensors", state, given.side, words)
    print(f"best validation log-loss {trainer.best:.4f} at epoch {trainer.best_epoch}: {weights}")


if __name__ == "__main__":
    main()
