"""The label image in Cellpose's ``_seg.npy``, a pickle: read without making any object that it names.

Inert stand-ins take the place of NumPy's arrays, nothing is imported, and any other name is refused.
The array that is wanted is put together here, from its bytes.
"""

import io
import pickle
import pickletools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import UnreadableError, check_pixels

_REMEDY = "save the masks in Cellpose as PNG or TIFF (File, or --save_tif), and give those"
_PLAIN_TYPES = {"b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"}


class _Named:
    """Stands for what a pickle would make: it keeps what that would be given, and does nothing."""

    def __init__(self, *given: Any) -> None:
        self.given = given
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Named):
    """Array of protocols 2 to 4: its state is version, shape, type, whether in Fortran's order, bytes."""


class _Buffer(_Named):
    """Array of protocol 5: given bytes, type, shape, order."""


class _Type(_Named):
    """Type of numbers: given its code; the state has the order of bytes."""

    def numpy(self) -> np.dtype[Any]:
        """Return the type, of whole numbers or truth values."""
        code, order = self.given[0], self.state[1] if self.state else "|"
        if code not in _PLAIN_TYPES or order not in "<>|=":
            raise UnreadableError(f"its masks are of type {code!r}, no whole numbers", _REMEDY)
        return np.dtype(f"{order}{code}")


_KNOWN: dict[tuple[str, str], type[_Named]] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Named for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Buffer for core in ("core", "_core")},
    ("numpy", "ndarray"): _Named,
    ("numpy", "dtype"): _Type,
    **{
        (module, f"{kind}Path"): _Named
        for module in ("pathlib", "pathlib._local")
        for kind in ("", "Posix", "Windows", "Pure", "PurePosix", "PureWindows")
    },
}
"""All that a ``_seg.npy`` names: arrays, single numbers, and the path of its picture."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Named]:
        """Return the stand-in of what may be named.

        Raises
        ------
        UnreadableError
            For everything else.
        """
        if (module, name) not in _KNOWN:
            reason = f"names '{module}.{name}', which is no array and could run anything"
            raise UnreadableError(reason, f"nothing of it was run; {_REMEDY}")
        return _KNOWN[module, name]


def read_masks(content: bytes) -> NDArray[np.integer[Any]]:
    """Return the label image of a pickle as Cellpose writes it, shape (height, width).

    Raises
    ------
    UnreadableError
        If it names anything but arrays, is damaged, or holds no label image.
    """
    try:
        _check_memory(content)
        found = _Reader(io.BytesIO(content)).load()
    except UnreadableError:
        raise
    except Exception as error:  # whatever a damaged pickle leads to
        raise UnreadableError(f"is a damaged pickle ({type(error).__name__})", _REMEDY) from error
    if isinstance(found, _Array) and found.state and isinstance(found.state[-1], list):
        found = found.state[-1][0] if len(found.state[-1]) == 1 else None  # np.save wraps what is no array
    if not isinstance(found, dict) or not isinstance(found.get("masks"), _Array | _Buffer):
        raise UnreadableError("holds no 'masks', as Cellpose's _seg.npy does", _REMEDY)
    return _array(found["masks"])


def _check_memory(content: bytes) -> None:
    """Refuse positions in the table of known objects that take gigabytes: few bytes could ask for them."""
    for operation, argument, _ in pickletools.genops(content):
        if operation.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > len(content):
            raise ValueError


def _array(stored: _Named) -> NDArray[np.integer[Any]]:
    try:
        if isinstance(stored, _Buffer):
            content, kind, shape, order = stored.given
        else:
            _, shape, kind, is_fortran, content = stored.state
            order = "F" if is_fortran else "C"
        height, width = (int(side) for side in shape if side != 1 or len(shape) == 2)
        check_pixels(width, height)
        values = np.frombuffer(content, kind.numpy()).reshape((height, width), order=order)
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError("its masks are not one plane of whole numbers", _REMEDY) from error
    return np.asarray(values)
