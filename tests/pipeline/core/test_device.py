import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.workers import autocast, check_device, multiplies_bfloat16


@pytest.mark.parametrize("native", [True, False])
def test_bfloat16_is_used_only_where_the_processor_multiplies_it(monkeypatch, native):
    import torch

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": native})
    with autocast("cpu"):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if native else torch.float32)


def test_this_processor_says_what_it_multiplies():
    import torch

    assert isinstance(multiplies_bfloat16(torch.cpu.get_capabilities()), bool)
    assert multiplies_bfloat16({"amx_bf16": True})
    assert not multiplies_bfloat16({})


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_told_with_those_found(device):
    with pytest.raises(PipelineError, match=rf"device '{device}': cannot be used here; found: cpu"):
        check_device(device)
    assert check_device("cpu") == "cpu"
