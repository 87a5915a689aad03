"""The network's way up, computed before its planes are enlarged: the same numbers for less work.

Every step of Cellpose's way up repeats each pixel twice in both directions, then normalises, rectifies and
convolves. What looks at single pixels gives the same before they are repeated; and a convolution of 3 × 3
sees only 2 × 2 different pixels there, so that four small convolutions, one for each of the four copies, do
it in 4 instead of 9 products. Only the order of sums changes.
"""

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

_COPIES = torch.tensor([[[1.0, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
"""Which of three neighbouring copies, seen from the first or the second of a pair, come from which pixel."""


class RepeatedConvolution(nn.Module):
    """A convolution of 3 × 3, padded with zeros, of planes whose pixels are repeated twice both ways."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.kernels = [
            [
                torch.einsum("ay,oiyx,bx->oiab", rows, convolution.weight.detach(), columns).contiguous(
                    memory_format=torch.channels_last
                )
                for columns in _COPIES.to(convolution.weight)
            ]
            for rows in _COPIES.to(convolution.weight)
        ]
        self.bias = None if convolution.bias is None else convolution.bias.detach()

    def forward(self, planes: "Tensor") -> "Tensor":
        """Return planes of twice the sides, shape (pictures, channels, 2 height, 2 width)."""
        height, width = planes.shape[2:]
        padded = functional.pad(planes, (1, 1, 1, 1))
        parts = {
            (down, right): functional.conv2d(
                padded[:, :, down : down + height + 1, right : right + width + 1], kernel, self.bias
            )
            for down, kernels in enumerate(self.kernels)
            for right, kernel in enumerate(kernels)
        }
        some = parts[0, 0]
        shape = (*some.shape[:2], 2 * height, 2 * width)
        result = torch.empty(shape, dtype=some.dtype, device=some.device, memory_format=torch.channels_last)
        for (down, right), part in parts.items():
            result[:, :, down::2, right::2] = part
        return result


class WayUp(nn.Module):
    """Does what `cellpose.resnet_torch.upsample` does, with its modules and names of weights.

    Parameters
    ----------
    original : Module
        In place and on its device: the kernels are made from its weights now.
    """

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.up = original.up
        self.upsampling = original.upsampling
        self.first = nn.ModuleList(RepeatedConvolution(block.conv[0][2]) for block in original.up[:-1])

    def forward(self, style: "Tensor", levels: "list[Tensor]", _mkldnn: bool = False) -> "Tensor":
        """Return the planes of the finest level."""
        planes = self.up[-1](levels[-1], levels[-1], style)
        steps = list(zip(self.up[:-1], self.first, levels[:-1], strict=True))
        for block, first, level in reversed(steps):
            seen = block.conv[0][:2](planes)
            planes = self.upsampling(block.proj(planes)) + block.conv[1](style, first(seen), y=level)
            planes = planes + block.conv[3](style, block.conv[2](style, planes))
        return cast("Tensor", planes)
