"""Measure flags of pictures, and the removal of uneven illumination, on pictures made worse on purpose.

    python benchmarks/picture_quality.py flags --images REAL/hpa2018/images
    python benchmarks/picture_quality.py illumination --images REAL/hpa2018/images

Every picture that is made worse is judged among the others as they are. Needs the project's folder as current
directory.
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

from pipeline.commands.console import RichProgress
from pipeline.core.workers import torch_threads
from pipeline.data.layouts import CHANNELS
from pipeline.data.picture_quality import quality
from pipeline.data.pictures import Picture, read_picture
from pipeline.data.quality_flags import flags
from pipeline.data.samples import find_samples
from pipeline.formats.illumination import SIDE, shared_illumination, squares
from pipeline.segmentation import Segmenter, make_segmenter, measure_scale, readable_pictures, some_samples

Pixels = NDArray[np.float32]
Samples = Annotated[Path | None, typer.Option(help="Their samples.csv.")]

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
rng = np.random.default_rng(0)

_LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def blurred(pixels: Pixels, width: float) -> Pixels:
    """Blur by a Gaussian of a width in pixels, and add the noise that the picture had (Immerkær)."""
    noise = [np.sqrt(np.pi / 72) * np.abs(cv2.filter2D(plane, -1, _LAPLACIAN)).mean() for plane in pixels]
    planes = [cv2.GaussianBlur(plane, (0, 0), width) for plane in pixels]
    return np.stack([plane + rng.normal(0, sd, plane.shape) for plane, sd in zip(planes, noise, strict=True)])


def vignetted(pixels: Pixels, loss: float, centre: tuple[float, float] = (0.0, 0.0)) -> Pixels:
    """Darken a picture with the square of the distance from a centre, in half sides from the middle."""
    down, across = (
        np.linspace(-1, 1, side) - off for side, off in zip(pixels.shape[1:], centre, strict=True)
    )
    square = down[:, None] ** 2 + across**2
    return pixels * (1 - loss * square / square.max())


def dusty(pixels: Pixels, channels: tuple[int, ...]) -> Pixels:
    """Put three saturated specks of 8 to 44 pixels into channels."""
    specks = np.zeros(pixels.shape[1:], np.float32)
    for _ in range(3):
        centre = [int(place) for place in rng.integers(30, np.array(specks.shape[::-1]) - 30)]
        axes = int(rng.integers(6, 22)), int(rng.integers(4, 12))
        cv2.ellipse(specks, centre, axes, int(rng.integers(180)), 0, 360, 1.0, -1)
    specks = cv2.GaussianBlur(specks, (0, 0), 1.5)
    chosen = np.isin(np.arange(len(pixels)), channels)[:, None, None]
    return np.where(chosen, np.maximum(pixels, specks), pixels)


WORSE: dict[str, tuple[str, Callable[[Pixels], Pixels]]] = {
    "defocus of 2 pixels": ("out of focus", lambda pixels: blurred(pixels, 2)),
    "defocus of 4 pixels": ("out of focus", lambda pixels: blurred(pixels, 4)),
    "gain of 4": ("saturated", lambda pixels: pixels * 4),
    "corners at 40 % of the light": ("uneven illumination", lambda pixels: vignetted(pixels, 0.6)),
    "specks in the nucleus channel": ("debris", lambda pixels: dusty(pixels, (2,))),
    "specks in all channels": ("debris", lambda pixels: dusty(pixels, (0, 1, 2, 3))),
    "nucleus at 20 %": ("unusual channel balance", lambda p: p * np.array([1, 1, 0.2, 1])[:, None, None]),
    "nucleus and er interchanged": ("unusual channel balance", lambda pixels: pixels[[0, 1, 3, 2]]),
}
"""What is done to a picture: the flag that it should have then."""


@app.command("flags")
def judge(
    images: Annotated[Path, typer.Option(help="Folder of pictures.")],
    samples: Samples = None,
    every: int = 3,
    segmenter: str = "cellpose",
) -> None:
    """Print how many pictures are flagged as they are, and made worse (of each kind, every third picture)."""
    listed = find_samples(images, samples)[0]
    pictures, made = readable_pictures(listed), make_segmenter(segmenter)
    fitted = made.at(measure_scale(made, readable_pictures(some_samples(listed)), cells=True))
    chosen = pictures[::every]
    rows: dict[str, pd.DataFrame] = {}
    with (
        torch_threads(1),
        RichProgress().track("Judging", len(pictures) + len(WORSE) * len(chosen)) as advance,
    ):
        plain = pd.DataFrame([judged(one, fitted, advance) for one in pictures])
        for name, (_, change) in WORSE.items():
            rows[name] = pd.DataFrame([judged(changed(one, change), fitted, advance) for one in chosen])
    told = flags(plain)
    print(f"{(told != '').sum()} of {len(told)} pictures flagged as they are: {counts(told)}")
    for name, (flag, _) in WORSE.items():
        told = pd.Series([among(plain, place * every, row) for place, row in rows[name].iterrows()])
        print(f"{name}: {told.str.contains(flag).mean():.0%} of {len(told)} '{flag}'; {counts(told)}")


def judged(picture: Picture, segmenter: Segmenter, advance: Callable[[int], None]) -> dict[str, float]:
    """Segment a picture and return its numbers."""
    found = segmenter.segment(picture)
    advance(1)
    return {"cells": found.count, **quality(picture, found)}


def changed(picture: Picture, change: Callable[[Pixels], Pixels]) -> Picture:
    """Return a picture made worse, in 8 bits."""
    return Picture((np.rint(np.clip(change(picture.pixels), 0, 1) * 255) / 255).astype(np.float32))


def among(plain: pd.DataFrame, place: int, worse: pd.Series) -> str:
    """Return the flags of a picture in the place of the one that it was made from."""
    table = pd.concat([plain.drop(index=place), worse.to_frame().T], ignore_index=True)
    return flags(table.astype(float)).iloc[-1]


def counts(told: pd.Series) -> dict[str, int]:
    """Count flags, wherever they are up."""
    names = told.str.split("; ").explode().str.replace(r" \(.*", "", regex=True)
    return names[names != ""].value_counts().to_dict()


@app.command()
def illumination(
    images: Annotated[Path, typer.Option(help="Folder of pictures.")], samples: Samples = None, draws: int = 5
) -> None:
    """Print how much unevenness is left of known illuminations, by the number of pictures.

    Pictures are shifted around their borders at random, so that their own illumination is even.
    """
    pixels = [read_picture(sample).pixels for sample in find_samples(images, samples)[0]]
    shifted = [np.roll(one, rng.integers(0, one.shape[1:]), axis=(1, 2)) for one in pixels]
    shrunk = np.array([[squares(plane) for plane in one] for one in shifted])
    even = np.ones((1, SIDE, SIDE), np.float32)
    lights = {
        "even": even[0],
        "corners at 50 %": vignetted(even, 0.5)[0],
        "off centre, one corner at 40 %": vignetted(even, 0.6, (0.3, 0.2))[0],
    }
    for name, light in lights.items():
        for number in (16, 32, 64):
            left = []
            for draw in range(draws):
                some = np.random.default_rng(draw).permutation(len(shrunk))[:number]
                for channel in range(len(CHANNELS)):
                    found = shared_illumination(shrunk[some, channel] * light.astype(np.float32), 0.0)
                    left.append(np.std(np.log(light / found.surface((SIDE, SIDE)))))
            print(
                f"{name}, {number} pictures: unevenness {np.std(np.log(light)):.3f}, left {np.mean(left):.3f}"
            )


if __name__ == "__main__":
    app()
