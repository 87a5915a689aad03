"""Weights of embedding networks: where they lie, whether they are the ones meant, and how they load."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest, replacing
from pipeline.networks.architectures import build_network, forward
from pipeline.networks.card import Embedder
from pipeline.networks.checkpoints import load_checkpoint
from pipeline.networks.onnx import Answer, Planes, onnx_answer
from pipeline.networks.trainer import read_checkpoint

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import ModuleDict


SHIPPED = Path(__file__).resolve().parents[2] / "data" / "weights"
"""Folder of the weights that come with the project."""


def weights_path(embedder: Embedder) -> Path:
    """Return the file of a network's weights, checked against its digest.

    Raises
    ------
    PipelineError
        If it is missing, or is another file than the one meant.
    """
    path = SHIPPED / embedder.weights  # which an absolute path replaces
    if not path.is_file():
        raise PipelineError(
            f"{path}: the weights of '{embedder.name}' are not there; give --weights {embedder.name}=FILE"
        )
    found = file_digest(path)
    if found != embedder.sha256:
        raise PipelineError(
            f"{path}: sha256 {found[:12]}… is not the {embedder.sha256[:12]}… that was used; "
            "restore the file, or embed and train again"
        )
    return path


@lru_cache(maxsize=2)
def open_network(embedder: Embedder, device: str = "cpu") -> Answer:
    """Return the function that a network is, ready to answer batches.

    Raises
    ------
    PipelineError
        If the weights are missing, changed, or not those of the network.
    """
    path = weights_path(embedder)
    if embedder.kind == "onnx":
        return onnx_answer(embedder)
    return _torch_answer(load_network(embedder, path), embedder, device)


def load_network(embedder: Embedder, path: Path) -> "ModuleDict":
    """Build a torch network and fill it with weights.

    Raises
    ------
    PipelineError
        If the file is not a checkpoint of this network.
    """
    state = read_state(path)
    try:
        network = build_network(embedder.network, len(embedder.outputs) or 1)
        load_checkpoint(network, embedder.network, state)
    except ValueError as error:
        raise PipelineError(f"{path}: {error}") from error
    return network


def read_state(path: Path) -> "dict[str, Tensor]":
    """Read a ``state_dict`` from safetensors, or from a file of torch without running code from it.

    Raises
    ------
    PipelineError
        If it is unreadable or holds anything but tensors.
    """
    import torch

    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except SafetensorError as error:
            raise PipelineError(f"{path}: damaged safetensors file; restore it") from error
    content = read_checkpoint(path)
    state = content.get("state_dict", content)
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise PipelineError(f"{path}: holds no state_dict of tensors; give a checkpoint of weights")
    return state


def save_state(path: Path, state: "Mapping[str, Tensor]") -> str:
    """Write weights as safetensors; return the file's sha256."""
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        save_file(
            {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}, temporary
        )
    return file_digest(path)


def _torch_answer(network: "ModuleDict", embedder: Embedder, device: str) -> Answer:
    import torch

    network = network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def answer(batch: Planes) -> tuple[Planes, Planes | None]:
        pictures = torch.from_numpy(batch).to(device, memory_format=torch.channels_last)
        with torch.inference_mode():
            embedding, logits = forward(network, pictures)
        numbers = embedding.float().cpu().numpy().astype(np.float32)
        return numbers, logits.float().cpu().numpy() if embedder.outputs else None

    return answer
