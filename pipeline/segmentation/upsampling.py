"""The network's way up, computed before its planes are enlarged: the same numbers for less work.

Every step of Cellpose's way up repeats each pixel twice in both directions, then normalises, rectifies and
convolves. What looks at single pixels gives the same before they are repeated; and a convolution of 3 × 3
sees only 2 × 2 different pixels there, so that four small convolutions, one for each of the four copies, do
it in 4 instead of 9 products. Only the order of sums changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Conv2d, Module

_COPIES = (((1, 0, 0), (0, 1, 1)), ((1, 1, 0), (0, 0, 1)))
"""Which of three neighbouring copies, seen from the first or the second of a pair, come from which pixel."""


@dataclass(frozen=True)
class RepeatedConvolution:
    """A convolution of 3 × 3, padded with zeros, of planes whose pixels are repeated twice both ways.

    Attributes
    ----------
    kernels : dict
        By the copy's place (down, right), 0 or 1 each; of 2 × 2 pixels.
    bias : Tensor or None
    """

    kernels: "dict[tuple[int, int], Tensor]"
    bias: "Tensor | None"

    @classmethod
    def of(cls, convolution: "Conv2d") -> "RepeatedConvolution":
        """Sum a convolution's weights over the copies of one pixel, as they are now."""
        import torch

        weight = convolution.weight.detach()
        copies = torch.tensor(_COPIES).to(weight)
        kernels = {
            (down, right): torch.einsum("ay,oiyx,bx->oiab", copies[down], weight, copies[right]).contiguous(
                memory_format=torch.channels_last
            )
            for down in (0, 1)
            for right in (0, 1)
        }
        return cls(kernels, None if convolution.bias is None else convolution.bias.detach())

    def __call__(self, planes: "Tensor") -> "Tensor":
        """Return planes of twice the sides, shape (pictures, channels, 2 height, 2 width)."""
        import torch
        from torch.nn import functional

        height, width = planes.shape[2:]
        padded = functional.pad(planes, (1, 1, 1, 1))
        parts = {
            (down, right): functional.conv2d(
                padded[:, :, down : down + height + 1, right : right + width + 1], kernel, self.bias
            )
            for (down, right), kernel in self.kernels.items()
        }
        some = parts[0, 0]
        shape = (*some.shape[:2], 2 * height, 2 * width)
        result = torch.empty(shape, dtype=some.dtype, device=some.device, memory_format=torch.channels_last)
        for (down, right), part in parts.items():
            result[:, :, down::2, right::2] = part
        return result


def enlarge_late(network: "Module") -> None:
    """Let a Cellpose network compute its way up before enlarging.

    Parameters
    ----------
    network : Module
        In place, on its device, with its weights: they are not looked at again.
    """
    up: Any = network.upsample
    first = [RepeatedConvolution.of(block.conv[0][2]) for block in up.up[:-1]]
    up.forward = partial(_way_up, up, first)


def _way_up(
    up: Any, first: Sequence[RepeatedConvolution], style: "Tensor", levels: "list[Tensor]", _mkldnn: bool
) -> "Tensor":
    """Do what `cellpose.resnet_torch.upsample.forward` does; return the planes of the finest level."""
    planes: Tensor = up.up[-1](levels[-1], levels[-1], style)
    steps = list(zip(up.up[:-1], first, levels[:-1], strict=True))
    for block, convolution, level in reversed(steps):
        seen = block.conv[0][:2](planes)
        planes = up.upsampling(block.proj(planes)) + block.conv[1](style, convolution(seen), y=level)
        planes = planes + block.conv[3](style, block.conv[2](style, planes))
    return planes
