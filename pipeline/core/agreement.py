"""What all processes of a run must have in common, wherever they are, for the same bits."""

import os
import platform
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.core.files import MAX_BYTES, MAX_PIXELS, file_digest, machine, text_digest

ROOT = Path(__file__).resolve().parents[2]
"""The project."""

PRECISION = "HPA_PRECISION"
"""Environment variable: float32 or bfloat16, which networks multiply; see `pipeline.core.workers`."""

LIMITS = (MAX_BYTES, MAX_PIXELS, PRECISION)
"""Environment variables that decide results."""

_LEVELS = {"AVX512": "AVX-512", "X86_V4": "AVX-512", "AVX2": "AVX2", "X86_V3": "AVX2"}
"""What numpy finds in a processor, by how the name begins, and what loops of libraries it stands for."""


@dataclass(frozen=True)
class Agreement:
    """What decides bits beside the task.

    Attributes
    ----------
    program : str
        Digest of the project's sources.
    versions : tuple of str
        Python, and the packages that the project pins.
    instructions : str
        Vector instructions that numpy uses, and so, unless told otherwise, the other libraries: sums,
        exponentials and convolutions differ in their last bits between AVX2 and AVX-512.
    limits : tuple of (str, str)
        Environment variables of `LIMITS` that are set.
    machine : str
        The one that the run was started on.
    """

    program: str
    versions: tuple[str, ...]
    instructions: str
    limits: tuple[tuple[str, str], ...]
    machine: str

    @classmethod
    def here(cls) -> "Agreement":
        """Return what this process works with."""
        limits = tuple((name, os.environ[name]) for name in LIMITS if name in os.environ)
        return cls(_program(), _versions(), instructions(), limits, machine())

    def adopt(self) -> str:
        """Let this process work as the run does; say why it cannot, or nothing."""
        for name in LIMITS:
            os.environ.pop(name, None)
        os.environ.update(self.limits)
        if self.machine != machine():
            own_machine_code()
        if _program() != self.program:
            return f"runs another version of the project; give it the sources of {ROOT} as they are"
        others = sorted(set(_versions()) - set(self.versions))
        if others:
            wanted = [one for one in self.versions if one.split(" ")[0] == others[0].split(" ")[0]]
            return f"has {others[0]}, this run has {', '.join(wanted)}; install the same requirements.txt"
        if instructions() != self.instructions:
            return (
                f"computes by {instructions()}, this run by {self.instructions}: last bits would differ; "
                "leave it out, or set the variables that docs/cluster.md gives for mixed processors"
            )
        return ""


@cache
def instructions() -> str:
    """Return the vector instructions that numpy uses here; the variable NPY_DISABLE_CPU_FEATURES counts."""
    import numpy as np

    about: Any = np.show_config  # its annotations tell of the printed form only
    found = about(mode="dicts")["SIMD Extensions"]
    known = [
        level
        for name in reversed([*found["baseline"], *found["found"]])
        for begin, level in _LEVELS.items()
        if name.startswith(begin)
    ]
    return known[0] if known else platform.machine()


def own_machine_code() -> None:
    """Keep compiled feature loops of this machine apart: processors of others may need other code.

    They lie in the user's cache, by the machine's name, unless the variable NUMBA_CACHE_DIR says where.
    """
    folder = Path("~/.cache/protein-locations-numba").expanduser() / platform.node()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # a container without a home: its project is its own, too
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder))


@cache
def _program() -> str:
    sources = [path for name in ("features", "models", "pipeline") for path in (ROOT / name).rglob("*.py")]
    return text_digest({str(path.relative_to(ROOT)): file_digest(path) for path in sources})


@cache
def _versions() -> tuple[str, ...]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [line.split("==")[0].strip() for line in lines if "==" in line and not line.startswith("#")]
    return f"Python {'.'.join(map(str, sys.version_info[:2]))}", *map(_version, names)


def _version(name: str) -> str:
    try:
        return f"{name} {version(name).split('+')[0]}"  # torch is built for a device, too
    except PackageNotFoundError:
        return f"{name} missing"
