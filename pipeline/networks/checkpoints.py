"""Weights of CNNs: found and checked by their card, published checkpoints brought into our shape, loaded.

Each adapter takes a ``state_dict`` as its authors saved it and returns one that a network of
`pipeline.networks.architectures` loads strictly: a missing or unknown name is an error, never a layer
left untrained.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest
from pipeline.core.weights import SHIPPED, WeightsCard, check_digest, load_state, read_state
from pipeline.core.workers import Precision
from pipeline.networks.architectures import build_network, forward
from pipeline.networks.onnx import Forward, onnx_digest, open_onnx
from pipeline.networks.preprocessing import Embedder, Planes, Preprocessing

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import ModuleDict

    State = Mapping[str, Tensor]

TrainedOn = tuple[str, ...] | Literal["unknown"]
UNKNOWN: Literal["unknown"] = "unknown"


class Deciding(BaseModel):
    """How a network alone names locations: what `predict` does where no model is given.

    Attributes
    ----------
    sides : tuple of int
        Sides that pictures are brought to; see `Embedder`.
    threshold : float
        Locations of at least this probability are named.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sides: tuple[int, ...]
    threshold: float


class CnnCard(WeightsCard):
    """What is known about a CNN's weights.

    Attributes
    ----------
    outputs : tuple of str
        Names of the class outputs.
    trained_on : "unknown" or tuple of str
        Ids of the pictures that it was trained on.
    best_epoch : int, optional
        Epoch that the weights are of, where a validation chose it.
    precision : str, optional
        What the training multiplied.
    deciding : Deciding, optional
        How it names locations by itself; None where it was not made for that.
    """

    preprocessing: Preprocessing
    outputs: tuple[str, ...] = ()
    trained_on: TrainedOn = UNKNOWN
    best_epoch: int | None = None
    precision: Precision | None = None
    deciding: Deciding | None = None

    def embedder(self, name: str, path: Path) -> Embedder:
        """Return what `embed` does with the weights, which lie at `path`."""
        return Embedder(
            name=name,
            network=self.network,
            weights=Path(path.name) if path.parent == SHIPPED else path.resolve(),
            sha256=self.sha256,
            preprocessing=self.preprocessing,
            outputs=self.outputs,
        )


def weights_path(embedder: Embedder) -> Path:
    """Return the file of a network's weights; refuse one that is missing or has another digest."""
    path = SHIPPED / embedder.weights  # which an absolute path replaces
    if not path.is_file():
        raise PipelineError(
            f"{path}: the weights of '{embedder.name}' are not there; give --weights {embedder.name}=FILE"
        )
    check_digest(path, embedder.sha256, onnx_digest if embedder.kind == "onnx" else file_digest)
    return path


@lru_cache(maxsize=2)
def open_network(embedder: Embedder, device: str = "cpu") -> Forward:
    """Return a network as a function of batches; refuse weights that are missing, changed or not its own."""
    if embedder.kind == "onnx":
        weights_path(embedder)
        return open_onnx(embedder)
    import torch

    network = load_network(embedder)
    network = network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def run(batch: Planes) -> tuple[Planes, Planes | None]:
        pictures = torch.from_numpy(batch).to(device, memory_format=torch.channels_last)
        with torch.inference_mode():
            embedding, logits = forward(network, pictures)
        numbers = embedding.float().cpu().numpy().astype(np.float32)
        return numbers, logits.float().cpu().numpy() if embedder.outputs else None

    return run


def load_network(embedder: Embedder) -> "ModuleDict":
    """Build a torch network and fill it with its weights; refuse a file that is not a checkpoint of it."""
    path = weights_path(embedder)
    state = read_state(path)
    try:
        network = build_network(embedder.network, len(embedder.outputs) or 1)
        load_checkpoint(network, embedder.network, state)
    except (PipelineError, ValueError) as error:
        raise PipelineError(f"{path}: {error}; give its checkpoint, or another --network") from error
    return network


_OLD_NAME = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")
_LAYER = re.compile(r"(denseblock\d+\.denselayer\d+)\.(?=norm|conv)")
_REPEATED = ("conv1.", "encoder2.", "encoder3.", "encoder4.", "encoder5.")
"""The winner's network holds its backbone twice, whole and cut into these parts, with the same tensors."""


def load_checkpoint(network: "ModuleDict", name: str, state: "State") -> None:
    """Fill a network, by the name of its architecture, with the ``state_dict`` of a published checkpoint.

    A checkpoint without class outputs of use, as ImageNet's, fills the trunk alone. ValueError if names or
    shapes are not those of the architecture, naming the first that differ.
    """
    state = {key.removeprefix("module."): value for key, value in state.items()}
    own = any(key.startswith("trunk.") for key in state)
    adapters = (adapt for start, adapt in _ADAPTERS.items() if name.startswith(start))
    adapted = state if own else next(adapters, dict)(state)
    part = "" if any(key.startswith("head.") for key in adapted) else "trunk."
    # counters of batches are younger than some checkpoints
    load_state(network, name, adapted, ("num_batches_tracked",), part)


def _from_bestfitting(state: "State") -> dict[str, "Tensor"]:
    """Adapt the competition winner's checkpoint.

    Its names: ``backbone.features.*`` and an unused ``backbone.classifier``; the backbone once more as
    ``conv1`` and ``encoder2`` to ``encoder5``; ``bn1``, ``fc1``, ``bn2`` and ``logit``.
    Source: github.com/CellProfiling/densenet, predict/models.py.
    """
    adapted = {}
    for key, value in state.items():
        if key.startswith(("backbone.classifier.", *_REPEATED)):
            continue
        if key.startswith("backbone.features."):
            adapted[f"trunk.{_monai(key.removeprefix('backbone.'))}"] = value
        elif key.startswith("logit."):
            adapted[f"head.1.{key.removeprefix('logit.')}"] = value
        else:
            adapted[f"trunk.{key}"] = value
    return adapted


def _from_torchvision_densenet(state: "State") -> dict[str, "Tensor"]:
    """Adapt torchvision's DenseNet121: ``features.*``; the 1,000 classes of ImageNet are left out."""
    adapted = {}
    for key, value in state.items():
        if key.startswith("classifier."):
            continue
        inner = _monai(key).removeprefix("features.")
        adapted[f"trunk.0.{inner}"] = four_planes(value) if inner == "conv0.weight" else value
    return adapted


def _from_torchvision_resnet(state: "State") -> dict[str, "Tensor"]:
    """Adapt torchvision's ResNets, whose names MONAI shares; the classes of ImageNet are left out."""
    return {
        f"trunk.{key}": four_planes(value) if key == "conv1.weight" else value
        for key, value in state.items()
        if not key.startswith("fc.")
    }


def _monai(key: str) -> str:
    """Rename a layer of torchvision's DenseNet (also of before 2018: ``norm.1``) to MONAI's."""
    return _LAYER.sub(r"\1.layers.", _OLD_NAME.sub(r"\1\2", key))


def four_planes(weight: "Tensor") -> "Tensor":
    """Let a first convolution, shape (outputs, 3 or 4, kernel, kernel), of three colours see four planes.

    The fourth plane gets the mean of the three; all are weighed by 3/4, so that a grey picture gives the
    activations it gave before. Weights of four planes are returned as they are.
    """
    import torch

    if weight.shape[1] != 3:
        return weight
    return torch.cat((weight, weight.mean(1, keepdim=True)), dim=1) * 0.75


_ADAPTERS: dict[str, Callable[["State"], dict[str, "Tensor"]]] = {
    "bestfitting": _from_bestfitting,
    "densenet": _from_torchvision_densenet,
    "resnet": _from_torchvision_resnet,
}
"""By how the names of the architectures begin."""
