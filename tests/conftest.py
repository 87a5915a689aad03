"""Fixtures shared by all tests."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import run

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
