"""Convolutional networks that turn a picture into an embedding and class outputs, and their hyperparameters.

Every network is a `torch.nn.ModuleDict` of two parts: ``trunk`` turns pictures, shape
(batch, channels, side, side), into embeddings, shape (batch, width); ``head`` turns embeddings into
log-odds, shape (batch, outputs). Nothing heavy is imported before a network is built: options inherit from
the hyperparameters.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from pipeline.core.errors import PipelineError
from pipeline.core.names import unknown
from pipeline.core.stage import Options

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module, ModuleDict

    Parts = tuple[Module, Module]

Loss = Literal["bce", "focal"]

PLANES = 4
"""Channels of a picture, as in `pipeline.data.samples`."""

COMPACT_WIDTHS = (48, 64, 128, 192)
COMPACT_EMBEDDING = 128


class CnnHyperparameters(Options):
    """What decides the trained weights, apart from the pictures."""

    network: str = Field(
        "densenet121", description="densenet121, resnet18, resnet34, resnet50 or compact, the fastest."
    )
    side: int = Field(384, ge=32, description="Side in pixels that pictures are resized to.")
    crop: int = Field(288, ge=32, description="Side of the random crops it is trained on.")
    epochs: int = Field(30, ge=1, description="Epochs at most.")
    patience: int = Field(8, ge=1, description="Early stopping: epochs without a better validation loss.")
    batch: int = Field(32, ge=2, description="Batch size: pictures per step.")
    learning_rate: float = Field(2e-3, gt=0, description="Highest learning rate of the cosine schedule.")
    weight_decay: float = Field(1e-2, ge=0, description="Weight decay of AdamW.")
    averaging: float = Field(0.995, ge=0, lt=1, description="Decay of the moving average of weights.")
    loss: Loss = Field("bce", description="Binary cross-entropy or focal loss; both weigh rare locations.")
    channel_dropout: float = Field(
        0,
        ge=0,
        le=0.5,
        description="Share of views in which er is black, and microtubules likewise: networks for pictures "
        "with and without.",
    )
    seed: int = Field(0, ge=0, description="The same seed gives the same model, bit for bit.")

    @property
    def identity(self) -> dict[str, object]:
        """What decides the weights; dropout that is not asked for is not named, as before there was any."""
        return self.model_dump(exclude=None if self.channel_dropout else {"channel_dropout"})


class Architecture(NamedTuple):
    """What builds untrained trunk and head, given a number of outputs, and the side of pictures it is for."""

    build: Callable[[int], "Parts"]
    side: int


def build_network(name: str, outputs: int) -> "ModuleDict":
    """Return an untrained network; refuse an unknown name as `architecture` does."""
    from torch import nn

    trunk, head = architecture(name).build(outputs)
    return nn.ModuleDict({"trunk": trunk, "head": head})


def architecture(name: str) -> Architecture:
    """Return what is known about a network; refuse an unknown name, listing the known ones."""
    if name not in ARCHITECTURES:
        raise PipelineError(unknown("network", name, ARCHITECTURES))
    return ARCHITECTURES[name]


def forward(network: "ModuleDict", pictures: "Tensor") -> "tuple[Tensor, Tensor]":
    """Return embeddings, shape (batch, width), and log-odds, shape (batch, outputs)."""
    embedding: Tensor = network["trunk"](pictures)
    logits: Tensor = network["head"](embedding)
    return embedding, logits


def _compact(outputs: int) -> "Parts":
    """Build a small residual network: a 512-pixel picture costs about 1 billion multiplications.

    The first layer sees every pixel but computes every fourth: most of the time of a usual stem goes
    into its largest planes.
    """
    from torch import nn

    first, *widths = COMPACT_WIDTHS
    layers: list[Module] = [_convolution(PLANES, first, kernel=7, stride=4)]
    for before, width in zip(COMPACT_WIDTHS, widths, strict=False):
        layers += [_convolution(before, width, stride=2), _residual(width)]
    embed = [nn.Linear(2 * widths[-1], COMPACT_EMBEDDING), nn.BatchNorm1d(COMPACT_EMBEDDING)]
    trunk = nn.Sequential(*layers, _average_and_maximum(), *embed)
    return trunk, nn.Sequential(nn.ReLU(), nn.Dropout(0.2), nn.Linear(COMPACT_EMBEDDING, outputs))


def _convolution(before: int, after: int, kernel: int = 3, stride: int = 1) -> "Module":
    from torch import nn

    plain = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(plain, nn.BatchNorm2d(after), nn.ReLU())


def _residual(width: int) -> "Module":
    """Return a block x + f(x) of two convolutions (He et al. 2016, with one activation inside)."""
    from torch import nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = _convolution(width, width)
            self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(width)

        def forward(self, planes: "Tensor") -> "Tensor":
            changed = self.norm(self.second(self.first(planes)))
            return nn.functional.relu(planes + changed)

    return Residual()


def _average_and_maximum() -> "Module":
    """Return pooling to the average and the maximum of every plane, side by side."""
    import torch
    from torch import nn

    class AverageAndMaximum(nn.Module):
        def forward(self, planes: "Tensor") -> "Tensor":
            return torch.cat((planes.mean((2, 3)), planes.amax((2, 3))), dim=1)

    return AverageAndMaximum()


def _densenet_features() -> "Any":
    """Return MONAI's DenseNet121 up to its last normalisation, which makes 1024 planes."""
    from monai.networks.nets.densenet import DenseNet121

    return DenseNet121(spatial_dims=2, in_channels=PLANES, out_channels=1).features


def _densenet121(outputs: int) -> "Parts":
    """Build MONAI's DenseNet121: the average of 1024 planes, and one layer.

    Source: Huang et al. 2017, doi 10.1109/CVPR.2017.243.
    """
    from torch import nn

    pool = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(_densenet_features(), *pool), nn.Linear(1024, outputs)


def _bestfitting(*, halved: bool) -> "Callable[[int], Parts]":
    """Return a builder of the competition winner's DenseNet121 (MIT).

    Average and maximum of 1024 planes, batch norm, a layer of 1024, batch norm: the embedding. The
    variant for 1,536-pixel pictures halves the planes once more after the first pooling.
    Source: first place of the Kaggle competition 2018, Dai 2019, github.com/CellProfiling/densenet.
    """

    def build(outputs: int) -> "Parts":
        from torch import nn

        features = _densenet_features()
        if halved:
            features.pool0 = nn.Sequential(features.pool0, nn.MaxPool2d(2))
        layers = {
            "features": features,
            "relu": nn.ReLU(),
            "pool": _average_and_maximum(),
            "bn1": nn.BatchNorm1d(2048),
            "dropout": nn.Dropout(0.5),
            "fc1": nn.Linear(2048, 1024),
            "relu1": nn.ReLU(),
            "bn2": nn.BatchNorm1d(1024),
        }
        return nn.Sequential(OrderedDict(layers)), nn.Sequential(nn.Dropout(0.5), nn.Linear(1024, outputs))

    return build


def _resnet(block: str, layers: Sequence[int]) -> "Callable[[int], Parts]":
    """Return a builder of MONAI's ResNet with torchvision's stem and shortcuts.

    Source: He et al. 2016, doi 10.1109/CVPR.2016.90.
    """

    def build(outputs: int) -> "Parts":
        from monai.networks.nets.resnet import ResNet
        from torch import nn

        network = ResNet(
            block,
            list(layers),
            [64, 128, 256, 512],
            spatial_dims=2,
            n_input_channels=PLANES,
            conv1_t_size=7,
            conv1_t_stride=2,
            shortcut_type="B",
            feed_forward=False,
            bias_downsample=False,
        )
        return network, nn.Linear(512 if block == "basic" else 2048, outputs)

    return build


ARCHITECTURES = {
    "compact": Architecture(_compact, 512),
    "densenet121": Architecture(_densenet121, 512),
    "resnet18": Architecture(_resnet("basic", (2, 2, 2, 2)), 512),
    "resnet34": Architecture(_resnet("basic", (3, 4, 6, 3)), 512),
    "resnet50": Architecture(_resnet("bottleneck", (3, 4, 6, 3)), 512),
    "bestfitting-densenet121": Architecture(_bestfitting(halved=False), 512),
    "bestfitting-densenet121-large": Architecture(_bestfitting(halved=True), 1536),
}
"""Networks by name."""
