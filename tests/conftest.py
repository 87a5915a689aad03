"""Fixtures shared by all tests."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

import run

pytest_plugins = ("tests.browsing", "tests.object_store")

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"


@pytest.fixture(scope="session")
def real() -> Path:
    """Folder of real pictures and labels, beside the project; tests that need it skip without it."""
    if not REAL.is_dir():
        pytest.skip(f"no real data at {REAL}")
    return REAL


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    output: str
    errors: str


CommandLine = Callable[..., Ended]


@pytest.fixture
def command_line(monkeypatch, capsys) -> CommandLine:
    """Run a command in this process as `python run.py` would; options are given as words or paths."""

    def call(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["run.py", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run.main()
        printed = capsys.readouterr()
        return Ended(int(ended.value.code or 0), printed.out, printed.err)

    return call


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
