"""The decoder that upsamples late gives what Cellpose's own gives."""

import copy

import pytest
import torch

from pipeline.segmentation.network import build_network, repeated_convolution, upsample_late


@pytest.fixture
def network():
    torch.manual_seed(0)
    made = build_network(17.0)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -1, 1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return made.eval()


def test_a_convolution_of_repeated_pixels_is_that_of_the_enlarged_plane():
    torch.manual_seed(1)
    convolution = torch.nn.Conv2d(3, 5, 3, padding=1).double()
    planes = torch.rand(2, 3, 6, 9, dtype=torch.float64)
    enlarged = torch.nn.Upsample(scale_factor=2, mode="nearest")(planes)
    with torch.inference_mode():
        assert torch.allclose(repeated_convolution(convolution)(planes), convolution(enlarged), atol=1e-12)


@pytest.mark.parametrize("shape", [(8, 8), (40, 72)])
def test_the_network_predicts_the_same(network, shape):
    fast = copy.deepcopy(network)
    upsample_late(fast)
    planes = torch.rand(2, 2, *shape).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        for ours, theirs in zip(fast(planes)[:2], network(planes)[:2], strict=True):
            assert torch.allclose(ours, theirs, atol=1e-4 * float(theirs.abs().max()))


def test_weights_keep_their_names(network):
    names = list(network.state_dict())
    upsample_late(network)
    assert list(network.state_dict()) == names
