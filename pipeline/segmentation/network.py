"""The Cellpose 3.1 network: built, filled with weights and checked against its architecture."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

WIDTHS = (2, 32, 64, 128, 256)
"""Input channels, then channels of each level: the architecture of Cellpose's own `nuclei` and `cyto3`."""

OPTIONAL = {"diam_mean", "diam_labels"}
"""Diameters stored among the weights; Cellpose's older files lack them."""

OUTPUTS = 3
"""Flow down, flow right, and the log-odds of being inside an object."""


def build_network(diameter: float) -> "Module":
    """Return an untrained network that works at a median object diameter given in pixels."""
    from cellpose.resnet_torch import CPnet

    # Cellpose logs a warning for every empty picture; here that is an ordinary result
    logging.getLogger("cellpose").setLevel(logging.ERROR)
    network: Module = CPnet(list(WIDTHS), OUTPUTS, 3, diam_mean=diameter)
    return network


def load_state(network: "Module", state: Mapping[str, "Tensor"]) -> None:
    """Fill a network with weights.

    Raises
    ------
    ValueError
        Where names or shapes are not those of the network, naming the first that differ.
    """
    expected = network.state_dict()
    names = sorted((expected.keys() ^ state.keys()) - OPTIONAL)
    if names:
        raise ValueError(
            f"not a Cellpose 3 network: {len(names)} weights missing or unknown, first {names[0]}"
        )
    for name, value in expected.items():
        if name in state and state[name].shape != value.shape:
            shapes = f"{tuple(state[name].shape)} instead of {tuple(value.shape)}"
            raise ValueError(f"not this Cellpose 3 network: {name} has shape {shapes}")
    network.load_state_dict(
        {name: state.get(name, value).to(value.dtype) for name, value in expected.items()}
    )
