"""Architectures, and published checkpoints brought into their shape."""

import re

import pytest
import torch
from torch import nn

from pipeline.core.errors import PipelineError
from pipeline.networks.architectures import build_network, forward
from pipeline.networks.checkpoints import four_planes, load_checkpoint

State = dict[str, torch.Tensor]
BLOCKS = (6, 12, 24, 16)
"""Layers of the four dense blocks of DenseNet121."""


def norm(name: str, width: int) -> State:
    numbers = {part: torch.rand(width) + 0.5 for part in ("weight", "bias", "running_mean", "running_var")}
    return {f"{name}.{part}": value for part, value in numbers.items()} | {
        f"{name}.num_batches_tracked": torch.tensor(7)
    }


def densenet_features(channels: int, *, old: bool = False) -> State:
    """Return the backbone under torchvision's names, or those of before 2018 (``norm.1``)."""
    dot = "." if old else ""
    state = {"conv0.weight": torch.randn(64, channels, 7, 7)} | norm("norm0", 64)
    width = 64
    for block, layers in enumerate(BLOCKS, start=1):
        for layer in range(1, layers + 1):
            name = f"denseblock{block}.denselayer{layer}"
            state |= norm(f"{name}.norm{dot}1", width) | norm(f"{name}.norm{dot}2", 128)
            state[f"{name}.conv{dot}1.weight"] = torch.randn(128, width, 1, 1) / width**0.5
            state[f"{name}.conv{dot}2.weight"] = torch.randn(32, 128, 3, 3) / 34
            width += 32
        if block < 4:
            state |= norm(f"transition{block}.norm", width)
            state[f"transition{block}.conv.weight"] = torch.randn(width // 2, width, 1, 1) / width**0.5
            width //= 2
    return state | norm("norm5", width)


PARTS = {
    "conv1.0": "conv0",
    "conv1.1": "norm0",
    "encoder2.0": "denseblock1",
    "encoder3.0": "transition1",
    "encoder3.1": "denseblock2",
    "encoder4.0": "transition2",
    "encoder4.1": "denseblock3",
    "encoder5.0": "transition3",
    "encoder5.1": "denseblock4",
    "encoder5.2": "norm5",
}
"""The winner's second set of names for the layers of its backbone."""


def winner() -> State:
    """Return a checkpoint with exactly the names of the competition winner's, all of them."""
    features = densenet_features(4)
    state = {f"backbone.features.{name}": value for name, value in features.items()}
    state |= {
        "backbone.classifier.weight": torch.zeros(1000, 1024),
        "backbone.classifier.bias": torch.zeros(1000),
    }
    for part, layer in PARTS.items():
        inside = {name: value for name, value in features.items() if re.match(rf"{layer}\.", name)}
        state |= {f"{part}{name.removeprefix(layer)}": value for name, value in inside.items()}
    state |= norm("bn1", 2048) | norm("bn2", 1024)
    state |= {"fc1.weight": torch.randn(1024, 2048) / 45, "fc1.bias": torch.randn(1024)}
    return state | {"logit.weight": torch.randn(28, 1024) / 32, "logit.bias": torch.randn(28)}


@pytest.fixture(scope="module")
def checkpoint() -> State:
    torch.manual_seed(0)
    return winner()


def batch_norm(values: torch.Tensor, state: State, name: str) -> torch.Tensor:
    numbers = [state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    return nn.functional.batch_norm(values, *numbers)


def winner_by_hand(state: State, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Answer with the winner's own names and operations, written out."""
    features = {name.removeprefix("backbone.features."): value for name, value in state.items()}
    relu, conv = torch.relu, nn.functional.conv2d
    x = conv(planes, features["conv0.weight"], stride=2, padding=3)
    x = nn.functional.max_pool2d(relu(batch_norm(x, features, "norm0")), 3, 2, 1)
    for block, layers in enumerate(BLOCKS, start=1):
        for layer in range(1, layers + 1):
            name = f"denseblock{block}.denselayer{layer}"
            new = conv(relu(batch_norm(x, features, f"{name}.norm1")), features[f"{name}.conv1.weight"])
            new = conv(
                relu(batch_norm(new, features, f"{name}.norm2")), features[f"{name}.conv2.weight"], padding=1
            )
            x = torch.cat((x, new), 1)
        if block < 4:
            name = f"transition{block}"
            x = conv(relu(batch_norm(x, features, f"{name}.norm")), features[f"{name}.conv.weight"])
            x = nn.functional.avg_pool2d(x, 2)
    x = relu(batch_norm(x, features, "norm5"))
    x = torch.cat((x.mean((2, 3)), x.amax((2, 3))), 1)
    x = nn.functional.linear(batch_norm(x, state, "bn1"), state["fc1.weight"], state["fc1.bias"])
    embedding = batch_norm(relu(x), state, "bn2")
    return embedding, nn.functional.linear(embedding, state["logit.weight"], state["logit.bias"])


@pytest.mark.parametrize(
    ("name", "width"),
    [("compact", 128), ("densenet121", 1024), ("resnet18", 512), ("bestfitting-densenet121", 1024)],
)
def test_a_network_gives_an_embedding_of_its_width_and_one_number_per_location(name: str, width: int) -> None:
    network = build_network(name, 5).eval()
    with torch.no_grad():
        embedding, logits = forward(network, torch.rand(2, 4, 64, 64))
    assert embedding.shape == (2, width)
    assert logits.shape == (2, 5)


def test_an_unknown_network_lists_the_known_ones() -> None:
    with pytest.raises(PipelineError, match=r"unknown network 'vgg'; known: compact, densenet121"):
        build_network("vgg", 5)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_winners_checkpoint_gives_the_winners_answers(checkpoint: State, prefix: str) -> None:
    network = build_network("bestfitting-densenet121", 28).eval()
    state = {prefix + name: value for name, value in checkpoint.items()}
    load_checkpoint(network, "bestfitting-densenet121", state)
    planes = torch.rand(1, 4, 96, 96)
    with torch.no_grad():
        embedding, logits = forward(network, planes)
        expected = winner_by_hand(checkpoint, planes)
    torch.testing.assert_close(embedding, expected[0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(logits, expected[1], rtol=1e-3, atol=1e-3)


def test_the_variant_for_large_pictures_pools_once_more(checkpoint: State) -> None:
    plain, large = (build_network(f"bestfitting-densenet121{end}", 28).eval() for end in ("", "-large"))
    for network, name in ((plain, "bestfitting-densenet121"), (large, "bestfitting-densenet121-large")):
        load_checkpoint(network, name, checkpoint)
    planes = torch.rand(1, 4, 128, 128)
    with torch.no_grad():
        stem = [network["trunk"].features[:4](planes) for network in (plain, large)]
    torch.testing.assert_close(nn.functional.max_pool2d(stem[0], 2), stem[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("fc1.bias"), r"1 weights missing, 0 unknown; 'trunk.fc1.bias' is missing"),
        (lambda state: state.update(extra=torch.zeros(1)), "0 weights missing, 1 unknown; 'trunk.extra'"),
        (
            lambda state: state.update({"logit.bias": torch.zeros(19)}),
            r"shape \(19,\) instead of \(28,\)",
        ),
    ],
)
def test_another_networks_checkpoint_is_refused(checkpoint: State, change, message: str) -> None:
    state = dict(checkpoint)
    change(state)
    network = build_network("bestfitting-densenet121", 28)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(network, "bestfitting-densenet121", state)


@pytest.mark.parametrize("old", [False, True])
def test_an_imagenet_densenet_sees_grey_as_it_did_in_colour(*, old: bool) -> None:
    torch.manual_seed(1)
    features = {f"features.{name}": value for name, value in densenet_features(3, old=old).items()}
    state = features | {"classifier.weight": torch.zeros(1000, 1024), "classifier.bias": torch.zeros(1000)}
    network = build_network("densenet121", 1)
    untrained = network["head"].weight.clone()
    load_checkpoint(network, "densenet121", state)
    assert network["head"].weight.equal(untrained)
    grey = torch.rand(1, 1, 32, 32)
    first = network["trunk"][0].conv0(grey.expand(1, 4, 32, 32))
    colour = nn.functional.conv2d(grey.expand(1, 3, 32, 32), features["features.conv0.weight"], None, 2, 3)
    torch.testing.assert_close(first, colour, rtol=1e-3, atol=1e-3)


def test_an_imagenet_resnet_loads_by_torchvisions_names() -> None:
    network = build_network("resnet18", 1)
    names = {name.removeprefix("trunk."): value for name, value in network["trunk"].state_dict().items()}
    state = {name: torch.full_like(value, 2) for name, value in names.items()}
    state["conv1.weight"] = torch.ones(64, 3, 7, 7)
    state |= {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    assert {"layer1.0.conv1.weight", "layer2.0.downsample.0.weight", "bn1.running_mean"} <= state.keys()
    untrained = network["head"].weight.clone()
    load_checkpoint(network, "resnet18", state)
    assert network["head"].weight.equal(untrained)
    assert network["trunk"].layer4[1].conv2.weight.eq(2).all()


def test_a_convolution_of_four_planes_stays_as_it_is() -> None:
    weight = torch.rand(8, 4, 3, 3)
    assert four_planes(weight) is weight
