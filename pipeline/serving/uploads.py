"""What clients send: checked, and turned into a picture. No name of theirs becomes a path."""

import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.core.errors import PipelineError, SampleError
from pipeline.data.discovery import SUFFIXES
from pipeline.data.layouts import CHANNEL_OF, CHANNELS, COLOURS, Layout, parse_channels, with_given
from pipeline.data.pictures import Picture
from pipeline.serving.arrays import picture_of
from pipeline.serving.predictor import Predictor

MOST_FILES = 4

NAME = "picture"
"""What uploaded files are called, whatever they were."""

_DTYPES = ("uint8", "uint16", "uint32", "float32", "float64")
_COLOUR = re.compile(rf"_({'|'.join(COLOURS.values())})(\.ome)?\.[a-z]+(\.gz)?$", re.IGNORECASE)


class RefusedError(Exception):
    """A request that cannot be answered: the HTTP status, and one line that says why and what to do."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Upload:
    """One uploaded file: the name of its part of the form, what the client calls it, and its bytes."""

    part: str
    name: str
    content: bytes


def picture_of_files(
    predictor: Predictor, given: Layout | None, uploads: Sequence[Upload], said: Mapping[str, str]
) -> Picture:
    """Read uploaded files as the command `predict` reads those of one picture.

    Parameters
    ----------
    predictor : Predictor
    given : Layout or None
        How pictures are read, as whoever started the service said.
    uploads : sequence of Upload
        One file per channel, each in a field of that name (or colour) or named ``…_red.png``; or one file of
        several channels.
    said : mapping of str to str
        ``channels`` (what the file calls them, as "protein=GFP, nucleus=0"), ``pixel_size_um``,
        ``projection``.

    Raises
    ------
    RefusedError
        If they are no picture.
    """
    if not uploads:
        raise RefusedError(400, f"no file; send one file per channel ({', '.join(CHANNELS)}), or an OME-TIFF")
    if len(uploads) > MOST_FILES:
        raise RefusedError(
            413, f"{len(uploads)} files; send the {MOST_FILES} channels of one picture at most"
        )
    names = [_file_name(one, is_alone=len(uploads) == 1) for one in uploads]
    stems = [name.partition(".")[0] for name in names]
    if repeated := [stem for stem in stems if stems.count(stem) > 1]:
        raise RefusedError(400, f"two files of {_shown(repeated[0])}; send one file per channel")
    try:
        layout = _layout(given, said)
        with tempfile.TemporaryDirectory(prefix="serve-") as folder:
            for name, upload in zip(names, uploads, strict=True):
                (Path(folder) / name).write_bytes(upload.content)
            return predictor.read_folder(Path(folder), layout)[1]
    except SampleError as error:
        one = error.problem
        raise RefusedError(422, f"{one.file}: {one.reason}; {one.remedy}") from error
    except PipelineError as error:
        reason = str(error) if tempfile.gettempdir() not in str(error) else _NO_SAMPLE
        raise RefusedError(422, reason) from error


_NO_SAMPLE = (
    "no picture of known channels in these files; send one file per channel in fields "
    f"{', '.join(CHANNELS)}, or say what the file calls them as channels: protein=GFP, nucleus=DAPI"
)


def _file_name(upload: Upload, *, is_alone: bool) -> str:
    """Name a file as this program does, by its field or what the client calls it."""
    ending = next((one for one in SUFFIXES if upload.name.lower().endswith(one) and one != ".zarr"), None)
    if ending is None:
        known = ", ".join(one for one in SUFFIXES if one != ".zarr")
        raise RefusedError(415, f"'{upload.name[:80]}': not a type that is read; send one of {known}")
    if upload.name.lower().endswith(f".ome{ending}"):
        ending = f".ome{ending}"
    named = _COLOUR.search(upload.name)
    colour = COLOURS.get(upload.part, upload.part if upload.part in CHANNEL_OF else None)
    colour = colour or (named[1].lower() if named else None)
    if colour is None and not is_alone:
        raise RefusedError(
            400,
            f"'{upload.name[:80]}': which channel it shows is not said; send it in a field of that name "
            f"({', '.join(CHANNELS)})",
        )
    return f"{NAME}_{colour}{ending}" if colour else f"{NAME}{ending}"


def _shown(stem: str) -> str:
    return CHANNEL_OF[stem.rpartition("_")[2]]


def _layout(given: Layout | None, said: Mapping[str, str]) -> Layout:
    """Return how the files are read: as the service was told, but for what the client says."""
    channels = said.get("channels", "")
    pairs = [one.strip() for one in channels.split(",") if one.strip()]
    if strange := next((one for one in pairs if "=" not in one), ""):
        raise RefusedError(400, f"channels '{strange[:80]}': write what files call them, as protein=GFP")
    size = said.get("pixel_size_um", "")
    about = {"channels": parse_channels(pairs) if pairs else None, "projection": said.get("projection")}
    try:
        return with_given(given, pixel_size_um=size_of(size), **about)
    except ValueError as error:
        raise RefusedError(400, " ".join(str(error).split())[:200]) from error


def size_of(text: str) -> float | None:
    """Read a pixel size; None where nothing is said."""
    if not text.strip():
        return None
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    if not (0 < size < math.inf):
        raise RefusedError(400, f"pixel size '{text[:40]}': give micrometres per pixel, above 0")
    return size


def picture_of_array(predictor: Predictor, content: bytes, said: Mapping[str, str]) -> Picture:
    """Read an array that was sent as bytes.

    Parameters
    ----------
    content : bytes
        Values in C order, little-endian.
    said : mapping of str to str
        ``x-shape`` ("4,512,512"), ``x-dtype``, ``x-channels`` ("protein,nucleus") and ``x-pixel-size-um``.

    Raises
    ------
    RefusedError
        If they are no picture.
    """
    shape_text, dtype = said.get("x-shape", ""), said.get("x-dtype", "uint8")
    if not re.fullmatch(r"\d{1,2},\d{1,6},\d{1,6}", shape_text):
        raise RefusedError(400, f"X-Shape '{shape_text[:40]}': give channels,height,width, such as 4,512,512")
    if dtype not in _DTYPES:
        raise RefusedError(400, f"X-Dtype '{dtype[:40]}': give one of {', '.join(_DTYPES)}")
    shape = tuple(map(int, shape_text.split(",")))
    kind = np.dtype(dtype).newbyteorder("<")
    if math.prod(shape) * kind.itemsize != len(content):
        raise RefusedError(
            400,
            f"{len(content):,} bytes for {shape_text} values of {dtype}, which take "
            f"{math.prod(shape) * kind.itemsize:,}; send the whole array, without a header",
        )
    array = np.frombuffer(content, kind).reshape(shape).astype(kind.newbyteorder("="))
    channels = [one.strip() for one in said.get("x-channels", ",".join(CHANNELS)).split(",")]
    try:
        size = size_of(said.get("x-pixel-size-um", ""))
        return picture_of(array, channels, size, predictor.layout, NAME)
    except SampleError as error:
        one = error.problem
        raise RefusedError(422, f"{one.file}: {one.reason}; {one.remedy}") from error
    except PipelineError as error:
        raise RefusedError(422, str(error)) from error
