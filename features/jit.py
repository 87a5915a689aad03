"""One way to compile pixel loops: cached on disk, without the global interpreter lock, no fast-math."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a loop over pixels to machine code at its first call; later runs load it from disk.

    Sums run in the order they are written (no fast-math, no parallel loops), so that results do
    not depend on the number of threads.
    """
    compiled: Callable[P, R] = numba.njit(cache=True, nogil=True)(function)
    return compiled
