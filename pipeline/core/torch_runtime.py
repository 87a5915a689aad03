"""Which precision torch uses: bfloat16 where the device multiplies it, single precision elsewhere."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pipeline.core.errors import PipelineError


def autocast(device: str) -> AbstractContextManager[object]:
    """Return a context of the fastest precision of a device; weights stay float32.

    CUDA devices and processors with AVX-512 BF16 or AMX multiply bfloat16 in half the time of single
    precision. Others imitate it, six (forwards) to twenty times (training) more slowly.

    Parameters
    ----------
    device : str
        What torch calls the device: ``cpu``, ``cuda``, ``cuda:1``.
    """
    import torch

    kind = torch.device(device).type
    native = kind == "cuda" or (kind == "cpu" and multiplies_bfloat16(torch.cpu.get_capabilities()))
    return torch.autocast(kind, torch.bfloat16) if native else nullcontext()


def multiplies_bfloat16(capabilities: Mapping[str, Any]) -> bool:
    """Return whether a processor has instructions for bfloat16."""
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16"))


def check_device(device: str) -> str:
    """Return a device's name where networks can run on it.

    Raises
    ------
    PipelineError
        Where torch does not know the name, or the device is not there.
    """
    import torch

    try:
        torch.empty(1, device=torch.device(device))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        found = ", ".join(["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))])
        raise PipelineError(f"device '{device}': cannot be used here; found: {found}") from error
    return device
