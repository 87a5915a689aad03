"""Pictures as a network in training sees them, small and on disk: read once, used in every epoch."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError
from pipeline.core.files import text_digest, write_text
from pipeline.core.problems import SampleError
from pipeline.core.progress import Progress
from pipeline.core.workers import blocks_of
from pipeline.data.pictures import read_picture
from pipeline.data.samples import CHANNELS, Sample
from pipeline.networks.preprocessing import Preprocessing, prepare
from pipeline.networks.training import Bytes

_BLOCK = 64
"""Pictures read ahead at most: what is held in memory."""


def stored_pictures(
    folder: Path, samples: Sequence[Sample], preprocessing: Preprocessing, jobs: int, progress: Progress
) -> Bytes:
    """Return all pictures, brought to the network's side.

    Returns
    -------
    ndarray, shape (pictures, 4, side, side), uint8
        On disk, in the order of the samples.

    Raises
    ------
    PipelineError
        If a picture cannot be read.
    """
    key = text_digest([[sample.fingerprint() for sample in samples], preprocessing.model_dump(mode="json")])
    cache = PictureCache(folder, key, len(samples), preprocessing.side, "Reading pictures")
    return cache.filled(lambda row: _read(samples[row], preprocessing), jobs, progress)


@dataclass(frozen=True)
class PictureCache:
    """Pictures on disk that are made once; killed and filled again it goes on where it was.

    Attributes
    ----------
    folder : Path
    key : str
        Digest of all that decides the pixels; with another one, everything is made anew.
    pictures, side : int
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
        shape = (self.pictures, len(CHANNELS), self.side, self.side)
        pixels, done = _open(self.folder, self.key, shape)
        missing = np.flatnonzero(~done).tolist()
        with ThreadPoolExecutor(jobs) as pool, progress.track(self.title, len(missing)) as advance:
            for rows in blocks_of(missing, _BLOCK):
                for row, picture in zip(rows, pool.map(make, rows), strict=True):
                    pixels[row] = picture
                    done[row] = True
                    advance(1)
        return pixels


def _open(folder: Path, key: str, shape: tuple[int, ...]) -> tuple[Bytes, NDArray[np.bool_]]:
    """Open the pictures and what says which are there, or begin anew where they are of other samples."""
    names = [folder / "pictures.npy", folder / "pictures_done.npy"]
    record = folder / "pictures.json"
    if record.is_file() and json.loads(record.read_text()) == key:
        return _map(names[0], "r+"), _map(names[1], "r+")
    folder.mkdir(parents=True, exist_ok=True)
    record.unlink(missing_ok=True)
    opened = _map(names[0], "w+", np.uint8, shape), _map(names[1], "w+", np.bool_, shape[:1])
    write_text(record, json.dumps(key))
    return opened


def _map(
    path: Path, mode: Literal["r+", "w+"], dtype: type | None = None, shape: tuple[int, ...] | None = None
) -> NDArray[Any]:
    """Open a ``.npy`` file as an array on disk."""
    array: NDArray[Any] = np.lib.format.open_memmap(path, mode, dtype, shape)  # type: ignore[no-untyped-call]
    return array


def _read(sample: Sample, preprocessing: Preprocessing) -> Bytes:
    try:
        return as_bytes(read_picture(sample).pixels, preprocessing)
    except SampleError as error:
        raise PipelineError(f"{error}; or run extract again, which leaves the sample out") from error


def as_bytes(pixels: NDArray[np.float32], preprocessing: Preprocessing) -> Bytes:
    """Bring a picture to what the network sees, in steps of 1/255."""
    picture: Bytes = np.rint(prepare(pixels, preprocessing) * 255).astype(np.uint8)
    return picture
