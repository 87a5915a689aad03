"""Published checkpoints brought into the shape of this project's networks.

Each adapter takes a ``state_dict`` as its authors saved it and returns one that a network of
`pipeline.networks.architectures` loads strictly: a missing or unknown name is an error, never a layer
left untrained.
"""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import ModuleDict

State = Mapping[str, "Tensor"]

_OLD_NAME = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")
_LAYER = re.compile(r"(denseblock\d+\.denselayer\d+)\.(?=norm|conv)")
_REPEATED = ("conv1.", "encoder2.", "encoder3.", "encoder4.", "encoder5.")
"""The winner's network holds its backbone twice, whole and cut into these parts, with the same tensors."""


def load_checkpoint(network: "ModuleDict", name: str, state: State) -> bool:
    """Fill a network with published weights.

    Parameters
    ----------
    network : ModuleDict
        From `build_network(name, ...)`.
    name : str
        Name of its architecture.
    state : mapping of str to Tensor
        The ``state_dict`` of the checkpoint.

    Returns
    -------
    bool
        Whether its class outputs are of use: ImageNet's are not.

    Raises
    ------
    ValueError
        If the names or shapes are not those of the architecture, naming the first that differ.
    """
    state = {key.removeprefix("module."): value for key, value in state.items()}
    own = any(key.startswith("trunk.") for key in state)
    adapted = state if own else _adapter(name)(state)
    with_head = any(key.startswith("head.") for key in adapted)
    expected = {key: value for key, value in network.state_dict().items() if with_head or key[:5] == "trunk"}
    _check(name, expected, adapted)
    filled = {key: adapted.get(key, value) for key, value in expected.items()}
    network.load_state_dict({**network.state_dict(), **filled})
    return with_head


def _check(name: str, expected: State, found: State) -> None:
    """Compare names and shapes; counters of batches are younger than some checkpoints."""
    missing = [key for key in expected if key not in found and not key.endswith("num_batches_tracked")]
    unknown = [key for key in found if key not in expected]
    if missing or unknown:
        first = f"'{missing[0]}' is missing" if missing else f"'{unknown[0]}' is not part of it"
        raise ValueError(
            f"not a checkpoint of {name}: {len(missing)} weights missing, {len(unknown)} unknown; {first}; "
            "give the checkpoint of this network, or another --network"
        )
    for key, value in expected.items():
        if key in found and found[key].shape != value.shape:
            shapes = f"{tuple(found[key].shape)} instead of {tuple(value.shape)}"
            raise ValueError(f"not a checkpoint of {name}: '{key}' has shape {shapes}; give another network")


def _adapter(name: str) -> Callable[[State], dict[str, "Tensor"]]:
    if name.startswith("bestfitting"):
        return _from_bestfitting
    if name.startswith("densenet"):
        return _from_torchvision_densenet
    if name.startswith("resnet"):
        return _from_torchvision_resnet
    return dict


def _from_bestfitting(state: State) -> dict[str, "Tensor"]:
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


def _from_torchvision_densenet(state: State) -> dict[str, "Tensor"]:
    """Adapt torchvision's DenseNet121: ``features.*``; the 1,000 classes of ImageNet are left out."""
    adapted = {}
    for key, value in state.items():
        if key.startswith("classifier."):
            continue
        inner = _monai(key).removeprefix("features.")
        adapted[f"trunk.0.{inner}"] = four_planes(value) if inner == "conv0.weight" else value
    return adapted


def _from_torchvision_resnet(state: State) -> dict[str, "Tensor"]:
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
    """Let a first convolution of three colours see four planes.

    The fourth plane gets the mean of the three; all are weighed by 3/4, so that a grey picture gives the
    activations it gave before. Weights of four planes are returned as they are.

    Parameters
    ----------
    weight : Tensor, shape (outputs, 3 or 4, kernel, kernel)
    """
    import torch

    if weight.shape[1] != 3:
        return weight
    return torch.cat((weight, weight.mean(1, keepdim=True)), dim=1) * 0.75
