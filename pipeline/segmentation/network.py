"""The Cellpose 3.1 network, and its weights: found where they lie, checked, loaded; never downloaded."""

import logging
import os
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest
from pipeline.core.weights import (
    SHIPPED,
    WeightsCard,
    card_path,
    check_digest,
    load_state,
    read_card,
    read_state,
    save_state,
    write_card,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor
    from torch.nn import Conv2d, Module

WIDTHS = (2, 32, 64, 128, 256)
"""Input channels, then channels of each level: the architecture of Cellpose's own `nuclei` and `cyto3`."""

OUTPUTS = 3
"""Flow down, flow right, and the log-odds of being inside an object."""

OFFICIAL = {"nuclei": ("nucleitorch_0", 17.0), "cyto2": ("cyto2torch_0", 30.0), "cyto3": ("cyto3", 30.0)}
"""Cellpose's own models that can be used: file name in its cache, and diameter in pixels."""

SOURCE = "https://www.cellpose.org/models"
"""Where Cellpose publishes its models."""

_NAME = "Cellpose 3"


class SegmenterCard(WeightsCard):
    """What is known about a segmenter's weights.

    Attributes
    ----------
    objects : str
        What the network finds: nuclei or cells.
    diameter : float
        Median object diameter, in pixels, at which it works.
    inside : float
        Log-odds above which a pixel is inside an object; Cellpose's own is 0.
    """

    network: str = _NAME
    objects: str
    diameter: float = Field(gt=1)
    inside: float = 0.0


@dataclass(frozen=True)
class Weights:
    """A file of weights that has been found and checked: its sha256, and what its `SegmenterCard` says."""

    path: Path
    digest: str
    diameter: float
    inside: float = 0.0


def find_weights(name: str) -> Weights:
    """Find weights by path, by the name of a shipped file, or by an official name in Cellpose's cache.

    Names are ``shipped:nuclei`` or ``shipped:cells``; ``nuclei``, ``cyto2`` or ``cyto3``; files are those of
    `train-segmenter` (.safetensors) or of Cellpose 3. A file that is missing is refused, saying what to
    download to where, and so is one that does not match its card.
    """
    if name.startswith("shipped:"):
        return _with_card(SHIPPED / f"{name.removeprefix('shipped:')}.safetensors")
    if name in OFFICIAL:
        file, diameter = OFFICIAL[name]
        path = Path(os.environ.get("CELLPOSE_LOCAL_MODELS_PATH") or Path.home() / ".cellpose/models") / file
        if not path.is_file():
            raise PipelineError(
                f"{path}: Cellpose's weights '{name}' are not in its cache; download {SOURCE}/{file} "
                f"to that path, or give a file of weights"
            )
        return Weights(path, file_digest(path), diameter)
    path = Path(name)
    if not path.is_file():
        raise PipelineError(f"{name}: no such file of weights; known names: {', '.join(OFFICIAL)}")
    if path.suffix != ".safetensors" and not card_path(path).exists():
        return Weights(path, file_digest(path), 30.0)
    return _with_card(path)


def _with_card(path: Path) -> Weights:
    """Check a file against the card beside it: our own format must have one."""
    card = read_segmenter_card(path)
    return Weights(path, check_digest(path, card.sha256), card.diameter, card.inside)


def read_segmenter_card(path: Path) -> SegmenterCard:
    """Read the card of a segmenter's weights; refuse one that is missing or damaged."""
    card = read_card(path, SegmenterCard)
    if card is None:
        raise PipelineError(f"{card_path(path)}: missing; weights come with a card of this name, copy it too")
    return card


def build_network(diameter: float) -> "Module":
    """Return an untrained network that works at a median object diameter given in pixels."""
    from cellpose.resnet_torch import CPnet

    # Cellpose logs a warning for every empty picture; here that is an ordinary result
    logging.getLogger("cellpose").setLevel(logging.ERROR)
    network: Module = CPnet(list(WIDTHS), OUTPUTS, 3, diam_mean=diameter)
    return network


def fill_network(network: "Module", state: "Mapping[str, Tensor]") -> None:
    """Fill a network with weights; ValueError, naming the first, where names or shapes are not the network's.

    Cellpose's older files lack the diameters stored among them.
    """
    load_state(network, _NAME, state, optional=("diam_mean", "diam_labels"))


@lru_cache(maxsize=4)
def load_network(weights: Weights, device: str = "cpu") -> "Module":
    """Return the network of a file of weights, ready for a device; refuse one of another architecture."""
    import torch

    network = build_network(weights.diameter)
    try:
        fill_network(network, read_state(weights.path))
    except ValueError as error:
        raise PipelineError(f"{weights.path}: {error}; give weights of {_NAME}") from error
    ready: Module = network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    upsample_late(ready)
    return ready


def upsample_late(network: "Module") -> None:
    """Let a Cellpose network's decoder compute before it upsamples: the same numbers for less work.

    Every step of the decoder repeats each pixel twice both ways, then normalises, rectifies and convolves.
    What looks at single pixels gives the same before they are repeated; see `repeated_convolution`. The
    network, changed in place, must be on its device and have its weights: they are not looked at again.
    """
    decoder: Any = network.upsample
    first = [repeated_convolution(block.conv[0][2]) for block in decoder.up[:-1]]
    decoder.forward = partial(_decode, decoder, first)


def _decode(
    decoder: Any,
    first: "Sequence[Callable[[Tensor], Tensor]]",
    style: "Tensor",
    levels: "list[Tensor]",
    _mkldnn: bool,
) -> "Tensor":
    """Do what `cellpose.resnet_torch.upsample.forward` does; return the planes of the finest level."""
    planes: Tensor = decoder.up[-1](levels[-1], levels[-1], style)
    steps = list(zip(decoder.up[:-1], first, levels[:-1], strict=True))
    for block, convolve, level in reversed(steps):
        seen = convolve(block.conv[0][:2](planes))
        planes = decoder.upsampling(block.proj(planes)) + block.conv[1](style, seen, y=level)
        planes = planes + block.conv[3](style, block.conv[2](style, planes))
    return planes


def repeated_convolution(convolution: "Conv2d") -> "Callable[[Tensor], Tensor]":
    """Return what convolves planes (3 × 3, padded with zeros) as if each pixel were repeated twice both ways.

    A window of 3 × 3 sees only 2 × 2 different pixels there, so that four small convolutions, one for each of
    the four copies, do it in 4 instead of 9 products. Only the order of sums changes.
    """
    import torch

    # which of three neighbouring copies, seen from the first or the second of a pair, come from which pixel
    weight, kernels = convolution.weight.detach(), {}
    copies = torch.tensor((((1, 0, 0), (0, 1, 1)), ((1, 1, 0), (0, 0, 1)))).to(weight)
    for down, right in product((0, 1), repeat=2):
        kernel = torch.einsum("ay,oiyx,bx->oiab", copies[down], weight, copies[right])
        kernels[down, right] = kernel.contiguous(memory_format=torch.channels_last)
    bias = None if convolution.bias is None else convolution.bias.detach()

    def convolve(planes: "Tensor") -> "Tensor":
        height, width = planes.shape[2:]
        padded = torch.nn.functional.pad(planes, (1, 1, 1, 1))
        parts = {
            (down, right): torch.nn.functional.conv2d(
                padded[:, :, down : down + height + 1, right : right + width + 1], kernel, bias
            )
            for (down, right), kernel in kernels.items()
        }
        like, shape = parts[0, 0], (*parts[0, 0].shape[:2], 2 * height, 2 * width)
        result = torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)
        for (down, right), part in parts.items():
            result[:, :, down::2, right::2] = part
        return result

    return convolve


def save_weights(path: Path, state: "Mapping[str, Tensor]", card: SegmenterCard) -> SegmenterCard:
    """Write weights with their card, which is returned with the file's digest.

    ValueError where a weight is not finite in the half precision that they are written in.
    """
    signed = card.model_copy(update={"sha256": save_state(path, state, half=True)})
    write_card(path, signed)
    return signed
