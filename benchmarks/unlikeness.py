"""How often pictures that are unlike those of a training are noticed, at 5 % false alarms.

Fresh pictures of four channels are spoilt in ways that happen at a microscope, measured as those of the
training were, and compared with them (`models.unlikeness`). Untouched ones show the false alarms.

Run: PYTHONPATH=. python benchmarks/unlikeness.py --work demo/work --images demo/new/images --into demo/spoilt
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from models.unlikeness import Unlikeness, fit_unlikeness, overall
from pipeline.core.stage import SilentProgress, execute, read_made
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import FEATURES, read_features
from pipeline.stages.extract import Extract
from pipeline.stages.options import ExtractOptions
from pipeline.stages.reliance import parts_of
from pipeline.stages.trained_models import read_card

RATE = 0.05
COLOURS = ("red", "green", "blue", "yellow")
PROTEIN = 1

Planes = NDArray[np.float32]


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


def learned(work: Workspace) -> Unlikeness:
    """Learn where the pictures of a training lie, as `train` does, for another rate."""
    folds = read_made(work.folds).set_index("Id")
    tables = {FEATURES: read_features(work).loc[folds.index]}
    fold, groups = folds["fold"].to_numpy(np.int16), folds["group"].to_numpy(dtype=str)
    return fit_unlikeness(tables, parts_of(tables), fold, groups, RATE)


def spoil(images: Path, into: Path, change: Callable[[Planes], Planes]) -> None:
    """Write changed copies of all samples of a folder."""
    into.mkdir(parents=True, exist_ok=True)
    for path in sorted(images.glob(f"*_{COLOURS[0]}.png")):
        name = path.name.removesuffix(f"_{COLOURS[0]}.png")
        files = [images / f"{name}_{colour}.png" for colour in COLOURS]
        planes = np.stack([cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files])
        changed = np.clip(np.rint(change(planes.astype(np.float32))), 0, 255).astype(np.uint8)
        for file, plane in zip(files, changed, strict=True):
            cv2.imwrite(str(into / file.name), plane)


def main(
    work: Annotated[Path, typer.Option(help="Work folder of a training.")],
    images: Annotated[Path, typer.Option(help="Fresh pictures of four channels, as <Id>_red.png and so on.")],
    into: Annotated[Path, typer.Option(help="Folder for the changed pictures and their features.")],
) -> None:
    """Print a table of what was noticed."""
    space = Workspace(work)
    model, trained = learned(space), read_card(space.model)["extraction"]
    asked = {"segmenter": trained["segmenter"], "families": tuple(trained["families"]), "jobs": 1}
    rows = []
    for number, (name, change) in enumerate(SPOILT.items()):
        folder = into / f"{number}"
        spoil(images, folder / "images", change)
        options = ExtractOptions(images=folder / "images", work=folder / "work", **asked)
        execute(Extract(), options, SilentProgress())
        surprises = model.surprises(read_features(Workspace(folder / "work")).reindex(columns=model.columns))
        scores = overall(surprises)
        part = surprises.mean().idxmax()
        rows.append((name, len(scores), (scores > model.limit).mean(), scores.median(), part))
        print(*rows[-1], sep=" | ", flush=True)
    titles = ["pictures are", "n", "unlike", "median score", "most by"]
    print(pd.DataFrame(rows, columns=titles).to_markdown(index=False, floatfmt=".2f"))
    print(f"limit {model.limit:.2f} at {model.rate:.1%} false alarms; {len(model.known)} groups in training")


if __name__ == "__main__":
    typer.run(main)
