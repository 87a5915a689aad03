"""Small sample folders, good and bad."""

from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

COLOURS = ("red", "green", "blue", "yellow")

WriteSample = Callable[..., NDArray[np.generic]]


@pytest.fixture
def write_sample() -> WriteSample:
    """Write one sample of random planes with a bright blob as PNG and return the planes (4, H, W)."""

    def write(
        folder: Path, name: str, *, size: tuple[int, int] = (24, 32), dtype: str = "uint8", seed: int = 0
    ) -> NDArray[np.generic]:
        folder.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(seed)
        top = np.iinfo(dtype).max
        planes = generator.integers(0, top // 4, (4, *size)).astype(dtype)
        planes[:, size[0] // 3 : size[0] // 2, size[1] // 3 : size[1] // 2] = top
        for colour, plane in zip(COLOURS, planes, strict=True):
            (folder / f"{name}_{colour}.png").write_bytes(imagecodecs.png_encode(plane))
        return planes

    return write
