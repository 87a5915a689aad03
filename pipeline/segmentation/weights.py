"""Weights of Cellpose networks: found where they lie, checked, read; never downloaded."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest, replacing
from pipeline.segmentation.card import Card, card_path, read_card, write_card
from pipeline.segmentation.network import build_network, load_state
from pipeline.segmentation.upsampling import enlarge_late

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "weights"
"""Folder of the weights that come with the project."""

OFFICIAL = {"nuclei": ("nucleitorch_0", 17.0), "cyto2": ("cyto2torch_0", 30.0), "cyto3": ("cyto3", 30.0)}
"""Cellpose's own models that can be used: file name in its cache, and diameter in pixels."""

SOURCE = "https://www.cellpose.org/models"
"""Where Cellpose publishes its models."""


@dataclass(frozen=True)
class Weights:
    """A file of weights that has been found and checked.

    Attributes
    ----------
    path : Path
    digest : str
        sha256 of the file.
    diameter : float
        Median object diameter, in pixels, at which the network works.
    inside : float
        Log-odds above which a pixel is inside an object; Cellpose's own is 0.
    """

    path: Path
    digest: str
    diameter: float
    inside: float = 0.0


def find_weights(name: str) -> Weights:
    """Find weights by path, by the name of a shipped file, or by an official name in Cellpose's cache.

    Parameters
    ----------
    name : str
        ``shipped:nuclei`` or ``shipped:cells``; ``nuclei``, ``cyto2`` or ``cyto3``; or the path of a file
        written by `train-segmenter` (.safetensors) or by Cellpose 3.

    Raises
    ------
    PipelineError
        Where the file is missing, saying what to download to where; or does not match its card.
    """
    if name.startswith("shipped:"):
        return _checked(SHIPPED / f"{name.removeprefix('shipped:')}.safetensors")
    if name in OFFICIAL:
        file, diameter = OFFICIAL[name]
        path = cache_folder() / file
        if not path.is_file():
            raise PipelineError(
                f"{path}: Cellpose's weights '{name}' are not in its cache; download {SOURCE}/{file} "
                f"to that path, or give a file of weights"
            )
        return Weights(path, file_digest(path), diameter)
    path = Path(name)
    if not path.is_file():
        raise PipelineError(f"{name}: no such file of weights; known names: {', '.join(OFFICIAL)}")
    return _checked(path)


def cache_folder() -> Path:
    """Return the folder in which Cellpose keeps its models."""
    return Path(os.environ.get("CELLPOSE_LOCAL_MODELS_PATH") or Path.home() / ".cellpose" / "models")


def _checked(path: Path) -> Weights:
    """Check a file against the card beside it, where there is one; our own format must have one."""
    if not path.is_file():
        raise PipelineError(f"{path}: missing weights; restore the file from the project's repository")
    digest = file_digest(path)
    if path.suffix != ".safetensors" and not card_path(path).exists():
        return Weights(path, digest, 30.0)
    card = read_card(path)
    if card.sha256 != digest:
        raise PipelineError(
            f"{path}: sha256 {digest[:12]}… is not the card's {card.sha256[:12]}…: damaged or changed; "
            "restore the file from where it came"
        )
    return Weights(path, digest, card.diameter, card.inside)


@lru_cache(maxsize=4)
def load_network(weights: Weights, device: str = "cpu") -> "Module":
    """Return the network of a file of weights, ready to predict on a device.

    Raises
    ------
    PipelineError
        Where the file cannot be read or holds another architecture.
    """
    import torch

    network = build_network(weights.diameter)
    try:
        load_state(network, read_state(weights.path))
    except ValueError as error:
        raise PipelineError(f"{weights.path}: {error}; give weights of Cellpose 3") from error
    ready: Module = network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    enlarge_late(ready)
    return ready


def save_weights(path: Path, state: "Mapping[str, Tensor]", card: Card) -> Card:
    """Write weights in half precision with their card; return the card with the file's digest.

    Raises
    ------
    ValueError
        Where a weight is not finite in half precision.
    """
    import torch
    from safetensors.torch import save

    halves = {}
    for name, value in sorted(state.items()):
        half = value.detach().cpu().half() if value.is_floating_point() else value.detach().cpu()
        if not torch.isfinite(half).all():
            raise ValueError(f"{name} is not finite in half precision")
        halves[name] = half.contiguous().clone()
    with replacing(path) as temporary:
        temporary.write_bytes(save(halves))
    signed = card.model_copy(update={"sha256": file_digest(path)})
    write_card(path, signed)
    return signed


def read_state(path: Path) -> "dict[str, Tensor]":
    """Read named weights from .safetensors or from Cellpose's own files, without running code from them."""
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: dict[str, Tensor] = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (SafetensorError, RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        raise PipelineError(f"{path}: not a readable file of weights ({_first_line(error)})") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise PipelineError(f"{path}: holds no named weights; give weights of Cellpose 3")
    return state


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
