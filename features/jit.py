"""One way to compile pixel loops: cached on disk, without the global interpreter lock, no fast-math."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
import numpy as np
from numba.core.caching import InTreeCacheLocator, UserProvidedCacheLocator, UserWideCacheLocator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Ints32 = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]
"""The arrays that loops take. Unless a loop says otherwise, shapes are

- (channels, height, width): `pixels`, `planes`;
- (height, width): `plane`, `mask`, `labels`, `inner`; masks and labels have a margin of one pixel;
- (channels, n), of a region's n pixels in reading order: `values`, `ranks`, and `ascending`, values sorted;
- (2, n), their rows and columns: `positions`;
- (channels,): `thresholds`, `totals`, the sums of intensities of a region.
"""

P = ParamSpec("P")
R = TypeVar("R")

_PACKAGE = Path(__file__).resolve().parent


@cache
def sources() -> str:
    """Return a digest of the package's sources."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Stamped:
    """Makes machine code stale when any source of this package changes.

    Numba itself looks at the file of a loop only: a loop that calls one of another file would go on with the
    other's old machine code.
    """

    @classmethod
    def from_function(cls, py_func: object, py_file: str) -> Any:
        """Return a locator for loops of this package, None for others."""
        if _PACKAGE not in Path(py_file).resolve().parents:
            return None
        return super().from_function(py_func, py_file)  # type: ignore[misc]  # of Numba's locator beside it

    def get_source_stamp(self) -> str:
        """Return what cached machine code must have been made from."""
        return sources()


class UserProvided(_Stamped, UserProvidedCacheLocator):  # type: ignore[misc]  # Numba has no types
    """The folder that the variable NUMBA_CACHE_DIR names."""


class InTree(_Stamped, InTreeCacheLocator):  # type: ignore[misc]
    """The folder beside the sources."""


class UserWide(_Stamped, UserWideCacheLocator):  # type: ignore[misc]
    """The user's cache, where the folder beside the sources cannot be written."""


_OURS = [f"{__name__}.{locator.__name__}" for locator in (UserProvided, InTree, UserWide)]
_NUMBAS = ["UserProvidedCacheLocator", "InTreeCacheLocator", "UserWideCacheLocator"]
numba.config.CACHE_LOCATOR_CLASSES = ",".join([*_OURS, *_NUMBAS])


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a loop over pixels to machine code at its first call; later runs load it from disk.

    Sums run in the order they are written (no fast-math, no parallel loops), so that results do
    not depend on the number of threads. Division by zero gives infinity or NaN as in NumPy: asking before
    each division would keep a loop from being done for several pixels at once.
    """
    compiled: Callable[P, R] = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return compiled


@kernel
def _nothing() -> None:
    """Do nothing: where its machine code lies, that of all loops does."""


def machine_code() -> Path:
    """Return the folder of machine code; of the loops beside the sources, some lie in folders below it."""
    loop: Any = _nothing
    return Path(loop.stats.cache_path)
