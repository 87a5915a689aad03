"""What a picture goes through before a network sees it, and what else changes an embedding."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from pipeline.data.layouts import CHANNELS

Per = Literal["picture", "cell"]
Planes = NDArray[np.float32]
Number = TypeVar("Number", bound=np.generic)

BRIGHTEST = 99.8
"""Percentile of a plane that becomes 1 where each picture is scaled by itself."""

DARKEST = 0.03
"""Planes whose brightest pixels are below this stay dark: what they show is noise."""


class Preprocessing(BaseModel):
    """How a picture becomes a network's input; two embeddings compare only under the same one.

    Attributes
    ----------
    channels : tuple of str
        The network's planes, in its order.
    side : int
        Side in pixels of the square that every picture is brought to.
    scale : str
        "full": intensities as stored, in [0, 1]; "picture": each plane divided by its brightest pixels.
    mean, std : tuple of float
        Subtracted from, and divided out of, each plane afterwards.
    dropped : tuple of str
        Channels that were left out at random in training: a picture may lack them, and has 0 there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: tuple[str, ...] = CHANNELS
    side: int = Field(ge=32)
    scale: Literal["full", "picture"] = "full"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    dropped: tuple[str, ...] = ()

    @model_serializer(mode="wrap")
    def _as_before(self, whole: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out what networks of older versions, and most others, do not have: digests stay."""
        return {name: value for name, value in whole(self).items() if name != "dropped" or value}


class Embedder(BaseModel):
    """A network and everything that changes its numbers: enough for `predict` to repeat it.

    Attributes
    ----------
    name, network : str
        Of the block of columns, ``cnn__<name>__…``; of the architecture or file.
    weights, sha256 : Path, str
        File of weights, one that comes with the project where it has no folder, and its digest.
    outputs : tuple of str
        Names of the class outputs, empty where the network has none of use.
    per : str
        A row is of a picture, or of the crops of its segmented cells.
    embedding, logits : str, optional
        For "onnx": names of the outputs that are the embedding, and `probabilities` or log-odds of classes.
    keep : str
        "all" columns, or the class "outputs" alone.
    sides : tuple of int
        Sides that a picture is brought to, each in all eight turns and flips, over which numbers are averaged
        (test-time averaging); without any, the picture is seen once, at the side of the preprocessing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern="^[a-z0-9]+(_[a-z0-9]+)*$")  # of columns and files, none of them elsewhere
    kind: Literal["torch", "onnx"] = "torch"
    network: str
    weights: Path
    sha256: str
    preprocessing: Preprocessing
    outputs: tuple[str, ...] = ()
    per: Per = "picture"
    embedding: str | None = None
    logits: str | None = None
    probabilities: bool = False
    keep: Literal["all", "outputs"] = "all"
    sides: tuple[int, ...] = ()

    @property
    def needed(self) -> list[str]:
        """Channels that it sees, and was not trained to do without."""
        return [name for name in self.preprocessing.channels if name not in self.preprocessing.dropped]

    def needs(self, absent: Iterable[str]) -> bool:
        """Say whether it needs one of these channels."""
        return not {*absent}.isdisjoint(self.needed)


def prepare(pixels: Planes, preprocessing: Preprocessing, channels: Sequence[str] = CHANNELS) -> Planes:
    """Return a network's input, shape (channels, side, side), of a picture or a crop of one, in [0, 1].

    `channels` are those of the picture; what it lacks of the network's, which the network was trained to do
    without, is 0 as in that training.
    """
    planes = squared(pixels, preprocessing.side)
    if preprocessing.scale == "picture":
        planes = _scaled(planes)
    shown = dict(zip(channels, planes, strict=True))
    dark = np.zeros((preprocessing.side, preprocessing.side), np.float32)
    order = [shown.get(channel, dark) for channel in preprocessing.channels]
    mean = np.array(preprocessing.mean, np.float32)[:, None, None]
    std = np.array(preprocessing.std, np.float32)[:, None, None]
    return np.asarray((np.stack(order) - mean) / std)


def turned(planes: Planes) -> list[Planes]:
    """Return a square picture, shape (channels, side, side), in its eight turns and flips."""
    return [np.rot90(one, turn, (1, 2)).copy() for one in (planes, planes[:, ::-1]) for turn in range(4)]


def squared(pixels: NDArray[Number], side: int) -> NDArray[Number]:
    """Pad a picture with black to a square and resize it: shrinking averages, growing interpolates."""
    import cv2

    height, width = pixels.shape[1:]
    longer = max(height, width)
    if (height, width) == (side, side):
        return pixels
    if height != width:
        pixels = np.pad(pixels, ((0, 0), (0, longer - height), (0, longer - width)))
    how = cv2.INTER_AREA if longer > side else cv2.INTER_LINEAR
    return np.stack([cv2.resize(plane, (side, side), interpolation=how) for plane in pixels])


def _scaled(planes: Planes) -> Planes:
    """Divide each plane by its brightest pixels, so that exposure matters less; values stay in [0, 1]."""
    flat = planes.reshape(len(planes), -1)
    rank = int(flat.shape[1] * BRIGHTEST / 100)
    top = np.sort(flat, axis=1)[:, rank]  # many equal values make a partition ten times slower
    bright: Planes = np.maximum(top, np.float32(DARKEST))[:, None, None]
    return np.minimum(planes / bright, np.float32(1))
