"""What fields of a table of samples say: planes of files inside the folder of pictures, and pixel sizes."""

import math
from pathlib import Path, PurePosixPath, PureWindowsPath

from pipeline.core.remote import is_remote
from pipeline.data.discovery import SUFFIXES, is_picture
from pipeline.data.table_files import MISSING
from pipeline.formats.pixel_sizes import check_plausible


def named_plane(images: Path, text: str) -> tuple[tuple[Path, ...], str | int | None]:
    """Return the files, and the channel in them, that a field of a table names.

    ``field1.ome.tif#DAPI`` and ``field1.ome.tif#2`` are channels of a file by name or index from 0;
    ``z1.tif|z2.tif`` are the planes of a z-stack.
    """
    names, _, channel = text.rpartition("#")
    if not names.lower().endswith(SUFFIXES) and ".zarr" not in names.lower():
        names, channel = text, ""  # the sign is part of a name
    files = tuple(inside(images, name.strip()) for name in names.split("|"))
    return files, (int(channel) if channel.isdecimal() else channel.strip() or None)


def inside(images: Path, name: str) -> Path:
    """Return the path of a file in the folder of pictures; backslashes, as in Windows, are slashes."""
    relative = PurePosixPath(name.replace("\\", "/"))
    if "\0" in name:
        raise ValueError(f"path {name!r} holds a NUL character; give the path of a file")
    for folder in (images,) if is_remote(images) else (images.absolute(), images.resolve()):
        if relative.is_relative_to(folder.as_posix()):
            relative = relative.relative_to(folder.as_posix())
    leaves = relative.is_absolute() or is_remote(Path(relative)) or ".." in relative.parts
    if leaves or PureWindowsPath(name).drive:
        raise ValueError(f"path '{name}' leaves the folder of pictures; give paths inside it, without '..'")
    is_in_zarr = any(part.lower().endswith(".zarr") for part in relative.parts)
    if not is_picture(relative.name) and not is_in_zarr:
        raise ValueError(f"'{name}' is of no known type; use one of {' '.join(SUFFIXES)}")
    return images / relative


def pixel_size(text: str) -> float | None:
    """Return micrometres per pixel; None where the field is empty."""
    if text in MISSING:
        return None
    try:
        size = float(text.replace(",", "."))
    except ValueError:
        size = math.nan
    if not 0 < size < math.inf:
        raise ValueError(f"pixel_size_um '{text}' is not a positive number; give micrometres per pixel")
    return check_plausible(size)
