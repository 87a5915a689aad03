"""Pictures as a network in training sees them: read once, small on disk, and a random view of each per epoch.

Why the views are not made by MONAI's transforms: docs/decisions/0052.
"""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError, SampleError
from pipeline.core.files import text_digest, write_text
from pipeline.core.stage import Progress
from pipeline.core.workers import blocks_of
from pipeline.data.layouts import CHANNELS
from pipeline.data.pictures import read_picture
from pipeline.data.samples import Sample
from pipeline.networks.preprocessing import Planes, Preprocessing, prepare, squared

Bytes = NDArray[np.uint8]

DROPPED = ("microtubules", "er")
"""Channels that networks can learn to do without."""

_BLOCK = 64
"""Pictures read ahead at most: what is held in memory."""

ZOOM = (0.8, 1.25)
"""Range of sizes relative to the crop."""

GAIN = 0.25
"""Spread of each plane's brightness (standard deviation of its logarithm)."""

GAMMA = 0.2
"""The same for the power that intensities are raised to."""

BLURRED, BLUR = 0.3, 1.2
"""Share of views that are out of focus, and by how many pixels at most (standard deviation)."""

NOISY, NOISE = 0.3, 0.05
"""Share of views with more noise, and its standard deviation at most."""


def stored_pictures(
    folder: Path,
    samples: Sequence[Sample],
    digests: Sequence[str],
    preprocessing: Preprocessing,
    jobs: int,
    progress: Progress,
) -> Bytes:
    """Return all pictures, shape (pictures, 4, side, side), uint8, on disk; refuse an unreadable one.

    `digests` are those of the samples (`fingerprints`).
    """
    key = text_digest([list(digests), preprocessing.model_dump(mode="json")])
    cache = PictureCache(folder, key, len(samples), preprocessing.side, "Reading pictures")
    return cache.filled(lambda row: _read(samples[row], preprocessing), jobs, progress)


@dataclass(frozen=True)
class PictureCache:
    """Pictures on disk that are made once; killed and filled again it goes on where it was.

    Attributes
    ----------
    key : str
        Digest of all that decides the pixels; with another one, everything is made anew.
    title : str
        Of the progress bar.
    """

    folder: Path
    key: str
    pictures: int
    side: int
    title: str

    def filled(self, make: Callable[[int], Bytes], jobs: int, progress: Progress) -> Bytes:
        """Make the pictures that are missing, each from its number; return all of them."""
        pixels, done = self._open()
        missing = np.flatnonzero(~done).tolist()
        with ThreadPoolExecutor(jobs) as pool, progress.track(self.title, len(missing)) as advance:
            for rows in blocks_of(missing, _BLOCK):
                for row, picture in zip(rows, pool.map(make, rows), strict=True):
                    pixels[row] = picture
                    done[row] = True
                    advance(1)
        return pixels

    def _open(self) -> tuple[Bytes, NDArray[np.bool_]]:
        """Open the pictures and which are there; begin anew where they are of other samples."""
        record = self.folder / "pictures.json"
        known = record.is_file() and json.loads(record.read_bytes()) == self.key
        if not known:
            self.folder.mkdir(parents=True, exist_ok=True)
            record.unlink(missing_ok=True)
        mode, shape = "r+" if known else "w+", (self.pictures, len(CHANNELS), self.side, self.side)
        open_array: Any = np.lib.format.open_memmap
        pixels = open_array(self.folder / "pictures.npy", mode, np.uint8, shape)
        done = open_array(self.folder / "pictures_done.npy", mode, np.bool_, shape[:1])
        write_text(record, json.dumps(self.key))
        return pixels, done


def _read(sample: Sample, preprocessing: Preprocessing) -> Bytes:
    try:
        picture = read_picture(sample)
        return as_bytes(picture.pixels, preprocessing, picture.channels)
    except SampleError as error:
        raise PipelineError(f"{error}; or run extract again, which leaves the sample out") from error


def as_bytes(
    pixels: NDArray[np.float32], preprocessing: Preprocessing, channels: Sequence[str] = CHANNELS
) -> Bytes:
    """Bring a picture of these channels to what the network sees, in steps of 1/255."""
    picture: Bytes = np.rint(prepare(pixels, preprocessing, channels) * 255).astype(np.uint8)
    return picture


def augmented(pixels: Bytes, crop: int, rng: np.random.Generator, channel_dropout: float = 0.0) -> Planes:
    """Return a random view of a picture, shape (channels, crop, crop), in [0, 1]; crop at most its side.

    Each of `DROPPED` is black, as a channel that was not recorded, in the share `channel_dropout` of views.
    """
    side = pixels.shape[1]
    size = min(side, round(crop / rng.uniform(*ZOOM)))
    top, left = rng.integers(0, side - size + 1, 2)
    view = squared(pixels[:, top : top + size, left : left + size], crop)
    if rng.random() < 0.5:
        view = view[:, ::-1]
    view = np.rot90(view, int(rng.integers(4)), axes=(1, 2))
    seen = _worsened(_brightened(view, rng), rng)
    for channel in DROPPED if channel_dropout else ():
        if rng.random() < channel_dropout:
            seen[CHANNELS.index(channel)] = 0
    return seen


def _brightened(view: Bytes, rng: np.random.Generator) -> Planes:
    """Change each plane's brightness and contrast, by a table of the 256 values that there are."""
    gain = np.exp(rng.normal(0, GAIN, (len(view), 1)))
    gamma = np.exp(rng.normal(0, GAMMA, (len(view), 1)))
    table = np.minimum(gain * (np.arange(256) / 255) ** gamma, 1).astype(np.float32)
    return np.stack([row[plane] for row, plane in zip(table, view, strict=True)])


def _worsened(view: Planes, rng: np.random.Generator) -> Planes:
    """Put some views out of focus, and some into noise."""
    import cv2

    if rng.random() < BLURRED:
        width = rng.uniform(0.3, BLUR)
        view = np.stack([cv2.GaussianBlur(plane, (0, 0), width) for plane in view])
    if rng.random() < NOISY:
        noise = rng.standard_normal(view.shape, dtype=np.float32)
        view = np.clip(view + np.float32(rng.uniform(0, NOISE)) * noise, 0, 1)
    return view


def plain(pixels: Bytes) -> Planes:
    """Return pictures as they are, in [0, 1]."""
    whole: Planes = pixels.astype(np.float32) / np.float32(255)
    return whole
