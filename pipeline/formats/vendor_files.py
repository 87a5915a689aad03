"""Files of microscopes' own kinds (czi, nd2, lif), through the readers of bioio where they are installed."""

import importlib
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import UnreadableError, check_pixels
from pipeline.formats.contents import COLOURS, Contents, Scene


class Vendor(NamedTuple):
    """A kind of file, and the package that reads it."""

    kind: str
    package: str


VENDORS = {
    b"ZISRAWFILE": Vendor("CZI", "bioio-czi"),
    b"\xda\xce\xbe\x0a": Vendor("ND2", "bioio-nd2"),
    b"\x70\0\0\0": Vendor("LIF", "bioio-lif"),
}
"""How the files begin."""


def open_vendor(path: Path, vendor: Vendor) -> Contents:
    """Look at a file by the reader of its kind.

    Raises
    ------
    UnreadableError
        If the reader is not installed.
    """
    try:
        module = importlib.import_module(vendor.package.replace("-", "_"))
    except ImportError as error:
        remedy = f"pip install -r requirements_formats.txt ({vendor.package}), or export it as OME-TIFF"
        raise UnreadableError(f"a {vendor.kind} file, whose reader is not installed", remedy) from error
    reader = module.Reader(str(path))
    names = tuple(str(name) for name in reader.scenes)
    return Contents(vendor.kind, names, partial(_scene, reader))


def _scene(reader: Any, number: int) -> Scene:
    """Return a scene; readers show one at a time, so it is chosen again whenever a plane is decoded."""
    reader.set_scene(number)
    sizes = dict(zip(reader.dims.order, reader.dims.shape, strict=True))
    check_pixels(sizes["X"], sizes["Y"])
    if others := [axis for axis, size in sizes.items() if axis not in "TCZYXS" and size > 1]:
        raise UnreadableError(f"has axes of its own ({', '.join(others)})", "export it as OME-TIFF")
    is_colours = sizes.get("S", 1) == 3
    order = "YXS" if is_colours else "YX"

    def decode(time: int, channel: int, z: int) -> NDArray[np.generic]:
        reader.set_scene(number)
        place = {axis: at for axis, at in zip("TCZ", (time, channel, z), strict=True) if axis in sizes}
        return np.asarray(reader.get_image_dask_data(order, **place).compute(scheduler="synchronous"))

    channels = sizes.get("C", 1)
    names = [str(name) for name in reader.channel_names or ()]
    size, depth = reader.physical_pixel_sizes, sizes.get("Z", 1)
    kind = np.dtype(reader.dtype)
    return Scene(
        sizes["Y"],
        sizes["X"],
        kind,
        decode,
        COLOURS if is_colours else tuple((*names, *("",) * channels)[:channels]),
        depth,
        sizes.get("T", 1),
        depth,
        255 if kind == np.uint8 else None,
        (size.X, size.Y),
        is_colours,
    )
