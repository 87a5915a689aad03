"""How often pictures that are unlike those of a training are noticed, one by one and as a stream.

Fresh pictures of four channels are spoilt in ways that happen at a microscope and answered by a model in
memory. Each row tells how many are `unlike_training` by themselves, how many pictures a stream that was good
so far needs until `watch` and `serve` say that it drifts (median over orders of the pictures), and how many
orders are never noticed. Untouched pictures show the false alarms; how far apart those of a stream are is
simulated, too, with scores that are drawn as those of the training.

Run: python benchmarks/unlikeness.py --model demo/work/model --images demo/new/images
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from models.bundle import load_model
from models.drift import QUIET, StreamDrift
from models.unlikeness import Unlikeness
from pipeline.serving import Predictor

GOOD = 50
"""Untouched pictures before the spoilt ones."""

ORDERS, STREAMS = 200, 100
COLOURS = ("red", "green", "blue", "yellow")
CHANNELS = ("microtubules", "protein", "nucleus", "er")

Planes = NDArray[np.float32]
Floats = NDArray[np.float64]


def _defocused(sigma: float) -> Callable[[Planes], Planes]:
    return lambda planes: np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in planes])


def _grainy(photons: float) -> Callable[[Planes], Planes]:
    rng = np.random.default_rng(0)
    return lambda planes: np.asarray(rng.poisson(planes / 255 * photons) / photons * 255, np.float32)


def _dim_protein(planes: Planes) -> Planes:
    return planes * np.array([1, 0.3, 1, 1], np.float32)[:, None, None]


def _bleeding(planes: Planes) -> Planes:
    return planes + np.array([0, 0.6, 0, 0], np.float32)[:, None, None] * planes[2]


SPOILT: dict[str, Callable[[Planes], Planes]] = {
    "untouched": lambda planes: planes,
    "out of focus by 2 px": _defocused(2),
    "out of focus by 4 px": _defocused(4),
    "protein at 0.3 of its brightness": _dim_protein,
    "noise of 20 photons": _grainy(20),
    "DNA bleeds into the protein by 0.6": _bleeding,
    "microtubules and ER swapped": lambda planes: planes[[3, 1, 2, 0]],
    "protein and DNA swapped": lambda planes: planes[[0, 2, 1, 3]],
}


def fields(images: Path, most: int) -> list[Planes]:
    """Read the planes of the first samples of a folder."""
    names = [path.name.removesuffix(f"_{COLOURS[0]}.png") for path in images.glob(f"*_{COLOURS[0]}.png")]
    return [
        np.stack([cv2.imread(str(images / f"{name}_{one}.png"), cv2.IMREAD_GRAYSCALE) for one in COLOURS])
        for name in sorted(names)[:most]
    ]


def noticed_after(known: Floats, good: Floats, spoilt: Floats, rng: np.random.Generator) -> list[int | None]:
    """Return after how many spoilt pictures, in random orders, a stream is said to drift; None: never."""
    found: list[int | None] = []
    for _ in range(ORDERS):
        stream = StreamDrift(known)
        for score in rng.choice(good, GOOD):
            stream.add(score)
        order = rng.permutation(spoilt)
        found.append(next((n for n, score in enumerate(order, 1) if stream.add(score)), None))
    return found


def quiet_for(known: int, most: int = 20 * QUIET) -> float:
    """Return after how many pictures streams alarm that are like a training of so many groups: the mean."""
    rng, ends = np.random.default_rng(1), []
    for _ in range(STREAMS):
        stream = StreamDrift(rng.random(known))
        ends.append(next((n for n, score in enumerate(rng.random(most), 1) if stream.add(score)), most))
    return float(np.mean(ends))


def main(
    model: Annotated[Path, typer.Option(help="Folder of a trained model.")],
    images: Annotated[Path, typer.Option(help="Fresh pictures of four channels, as <Id>_red.png and so on.")],
    most: Annotated[int, typer.Option(help="Pictures that are looked at, at most.")] = 40,
) -> None:
    """Print a table of what was noticed."""
    learned: Unlikeness | None = load_model(model).unlikeness
    if learned is None or not len(learned.single):
        raise typer.BadParameter(f"{model} is of an older version; train again")
    predictor, pictures = Predictor.load(model), fields(images, most)
    rng, rows, good = np.random.default_rng(0), [], np.empty(0)
    for name, change in SPOILT.items():
        changed = [np.clip(np.rint(change(one.astype(np.float32))), 0, 255) for one in pictures]
        answers = [predictor.predict(one.astype(np.uint8), CHANNELS) for one in changed]
        scores = np.array([one.unlikeness for one in answers if one.unlikeness is not None])
        good = good if len(good) else scores
        after = noticed_after(learned.single, good, scores, rng)
        never = sum(one is None for one in after) / ORDERS
        middle = np.median([len(scores) + 1 if one is None else one for one in after])
        unlike = (scores > learned.limit).mean()
        rows.append((name, len(scores), unlike, np.median(scores), "–" if never > 0.5 else middle, never))
        print(*rows[-1], sep=" | ", flush=True)
    titles = ["pictures are", "n", "unlike", "median score", "drift noticed after", "never"]
    print(pd.DataFrame(rows, columns=titles).to_string(index=False, float_format="%.2f"))
    print(f"limit {learned.limit:.2f} at {learned.rate:.1%} false alarms; {len(learned.known)} groups")
    print(f"streams like the training alarm after {quiet_for(len(learned.known)):,.0f} pictures (mean)")


if __name__ == "__main__":
    typer.run(main)
