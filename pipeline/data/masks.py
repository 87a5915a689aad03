"""Label images of cells and nuclei; each says what made it, so that those that a person edited are known.

`write_mask` puts the key of the pictures and the segmenter, and a digest of the pixels, into the file.
Editors drop that, or change the pixels.
"""

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError
from pipeline.core.files import UnreadableError, check_bytes, check_readable, replacing
from pipeline.core.seen import see, seen
from pipeline.core.workspace import Workspace

_MADE = re.compile(r"extract key=(?P<key>\S+) pixels=(?P<digest>\S+)(?: left_out=(?P<left_out>\S+))?")
_OLDER = ("tifffile.py", "cells")
"""Software and description of label images that versions before keys wrote."""
HIGHEST = np.iinfo(np.uint32).max
"""The highest label that a label image can hold."""
_TABLE = 2**24
"""Labels up to here are looked up in a table, which is ten times as fast as searching for them."""
_REMEDY = "correct it, or delete it to have it made again"

Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Segmentation:
    """Cells and nuclei of one picture, matched: the same number is the same cell.

    Attributes
    ----------
    cells, nuclei : ndarray, shape (height, width), uint16, or uint32 for labels beyond 65,535
        Label images, 0 is background; labels run from 1 to the number of cells without gaps, unless they are
        those of masks that were given or edited. Every cell holds exactly one nucleus with the cell's own
        label; of given masks, it may be without.
    """

    cells: Integers
    nuclei: Integers

    @property
    def count(self) -> int:
        """Number of cells."""
        return np.count_nonzero(np.bincount(self.with_small_labels()[0].cells.ravel())[1:])

    def with_small_labels(self) -> "tuple[Segmentation, NDArray[np.integer[Any]]]":
        """Return the same with labels that tables can be as long as, and the label of each of them here.

        Labels up to a million stay as they are.
        """
        from features.inputs import LARGEST_LABEL

        largest = int(max(self.cells.max(initial=0), self.nuclei.max(initial=0)))
        if largest <= LARGEST_LABEL:
            return self, np.arange(largest + 1)
        numbers, (cells, nuclei) = without_gaps(self.cells, self.nuclei)
        return Segmentation(cells, nuclei), numbers


class Origin(NamedTuple):
    """Where a label image comes from.

    Attributes
    ----------
    state : str
        "made" by `extract`, "edited", "damaged" (unreadable), "lost" (unreadable, and edited before), or ""
        where there is none.
    digest : str
        Of its pixels, where they can be read.
    key : str
        Of the pictures and the segmenter that it was made from, where it was made.
    left_out : str
        What of given masks is not in it, as ``what=number`` joined by ``+``.
    """

    state: str = ""
    digest: str = ""
    key: str = ""
    left_out: str = ""

    @property
    def is_edited(self) -> bool:
        """Whether a person edited it: it is never made again."""
        return self.state in ("edited", "lost")

    @property
    def without(self) -> dict[str, int]:
        """How many objects of given masks are not in it, by why."""
        pairs = (one.partition("=") for one in self.left_out.split("+") if one)
        return {why.replace("_", " "): int(number) for why, _, number in pairs}


def without_gaps(*labels: Integers) -> tuple[NDArray[np.int64], list[NDArray[np.int32]]]:
    """Return the labels that occur, ascending and with 0, and the label images with their positions there."""
    largest = max(int(one.max(initial=0)) for one in labels)
    if largest > _TABLE:
        numbers = np.unique(np.concatenate([[0], *map(np.unique, labels)])).astype(np.int64)
        return numbers, [np.searchsorted(numbers, one).astype(np.int32) for one in labels]
    there = np.zeros(largest + 1, bool)
    for one in labels:
        there[one.ravel()] = True
    there[0] = True
    place = np.cumsum(there, dtype=np.int32) - 1
    return np.flatnonzero(there), [place[one] for one in labels]


def centres_of(image: Integers, labels: Integers) -> NDArray[np.float64]:
    """Return the column and the row of the centre of each of some labels, in pixels; NaN where it is not.

    Parameters
    ----------
    image : ndarray, shape (height, width)
        Label image.
    labels : ndarray, shape (labels,)

    Returns
    -------
    ndarray, shape (labels, 2)
    """
    numbers, (small,) = without_gaps(image)
    where = np.flatnonzero(small)
    found = small.ravel()[where]
    sizes = np.bincount(found, minlength=len(numbers))[1:]
    rows, columns = np.divmod(where, image.shape[1])
    sums = [np.bincount(found, values, len(numbers))[1:] for values in (columns, rows)]
    centres = np.vstack([np.full((1, 2), np.nan), np.column_stack(sums) / sizes[:, None]])
    place = np.searchsorted(numbers[:-1], labels)
    return np.where((numbers[place] == labels)[:, None], centres[place], np.nan)


def smallest_type(largest: int) -> "type[np.uint16] | type[np.uint32]":
    """Return the type of label images up to a label: every program reads 16 bits."""
    return np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint32


def write_mask(path: Path, segmentation: Segmentation, key: str = "", left_out: str = "") -> str:
    """Write a segmentation as a TIFF: page 1 cells, page 2 nuclei, the same number is the same cell.

    Parameters
    ----------
    path : Path
    segmentation : Segmentation
    key : str
        Of the pictures and the segmenter; without one, the label image counts as edited.
    left_out : str
        As in `Origin`.

    Returns
    -------
    str
        Digest of the pixels.
    """
    import tifffile

    pages = np.stack([segmentation.cells, segmentation.nuclei])
    digest = _digest(list(pages))
    told = f" left_out={left_out}" if left_out else ""
    software = f"extract key={key} pixels={digest}{told}" if key else ""
    with replacing(path, synced=False) as temporary, tifffile.TiffWriter(temporary) as file:
        for page, name in zip(pages, ("cells", "nuclei"), strict=True):
            file.write(
                page,
                compression="zlib",
                photometric="minisblack",
                description=name,
                metadata=None,
                software=software,
            )
    return digest


def read_mask(path: Path) -> Segmentation:
    """Read a label image, made or edited: two pages of integers.

    Raises
    ------
    PipelineError
        Where the file is missing, damaged or not two pages of labels.
    """
    try:
        return _segmentation(read_pages(path)[0])
    except UnreadableError as error:
        raise PipelineError(f"{path}: {error}") from error
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read ({error.strerror}); run extract again") from error


def read_matched_mask(
    path: Path, shape: tuple[int, int], *, without_nucleus: bool = False
) -> tuple[Segmentation, str]:
    """Read a label image that can be measured, and the digest of its pixels.

    Labels may have gaps: cells keep the numbers that a person gave them.

    Raises
    ------
    UnreadableError
        Where it is damaged, of another shape than its picture, or a cell has no nucleus of its number in it
        though none may be `without_nucleus`.
    """
    pages, _ = read_pages(path)
    found = _segmentation(pages)
    if found.cells.shape != shape:
        sizes = ["×".join(map(str, reversed(size))) for size in (found.cells.shape, shape)]
        raise UnreadableError(f"is {sizes[0]}, its picture {sizes[1]}", _REMEDY)
    matched = np.unique(found.cells[found.cells == found.nuclei])
    paired = np.unique(found.nuclei) if without_nucleus else np.union1d(found.cells, found.nuclei)
    alone = np.setdiff1d(paired, np.union1d(matched, [0]))
    if alone.size:
        listed = ", ".join(map(str, alone[:5])) + (", …" if alone.size > 5 else "")
        reason = f"{alone.size} labels are not a cell (page 1) with its nucleus in it (page 2): {listed}"
        raise UnreadableError(reason, f"give both one number, or remove both; {_REMEDY}")
    return found, _digest(pages)


def mask_origins(work: Workspace, ids: Iterable[str]) -> dict[str, Origin]:
    """Return where the label image of every sample comes from; unchanged files are not read again.

    Raises
    ------
    PipelineError
        If one cannot be read now: it may be an edited one.
    """
    paths = {sample: work.mask(sample) for sample in ids}
    edited = {sample for sample, text in seen(work.masks_seen).items() if text.startswith(("edited", "lost"))}
    found = see(paths, work.masks_seen, partial(_origin, edited))
    for sample, text in found.items():
        if not text and paths[sample].exists():
            raise PipelineError(f"{paths[sample]}: cannot be read now; allow to read it, or remove it")
    return {sample: Origin(*text.split()) for sample, text in found.items()}


def _origin(edited: set[str], path: Path) -> str:
    """Say in one line where a label image comes from: the fields of `Origin`."""
    try:
        pages, said = read_pages(path)
    except UnreadableError:
        return "lost" if path.stem in edited else "damaged"
    digest, made = _digest(pages), _MADE.fullmatch(said[0])
    if made and len(pages) != 2:
        return "damaged"
    if said == _OLDER:
        return f"made {digest} before-keys"
    is_as_made = made and made["digest"] == digest
    if not (made and is_as_made):
        return f"edited {digest}"
    return f"made {digest} {made['key']} {made['left_out'] or ''}".rstrip()


def read_pages(path: Path) -> tuple[list[NDArray[Any]], tuple[str, str]]:
    """Return the first three pages of a TIFF, and the software and description of the first.

    Raises
    ------
    UnreadableError
        If it is damaged.
    OSError
        If the system does not let one read it.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong is said once, by us
    try:
        check_readable(path)
        with tifffile.TiffFile(path) as file:
            pages = list(islice(file.pages, 3))
            check_bytes(sum(page.nbytes for page in pages), "the label image")
            said = file.pages.first.software, file.pages.first.description
            return [page.asarray() for page in pages], said
    except UnreadableError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UnreadableError(f"the label image is damaged ({reason})", "run extract again") from error


def _digest(pages: Sequence[NDArray[Any]]) -> str:
    digest = hashlib.sha256(str([(page.shape, page.dtype.str) for page in pages]).encode())
    for page in pages:
        digest.update(page.tobytes())
    return digest.hexdigest()[:32]


def _segmentation(pages: Sequence[NDArray[Any]]) -> Segmentation:
    if len(pages) != 2 or pages[0].ndim != 2 or pages[0].shape != pages[1].shape:
        shapes = ", ".join(str(page.shape) for page in pages)
        raise UnreadableError(f"not two grey pages of one size (cells, nuclei) but {shapes}", _REMEDY)
    for page in pages:
        if not np.issubdtype(page.dtype, np.integer):
            raise UnreadableError(f"labels are {page.dtype}", f"save it as 16-bit integers; {_REMEDY}")
        if page.size and (page.min() < 0 or page.max() > HIGHEST):
            reason = f"labels run from {page.min()} to {page.max()}, not 0 to {HIGHEST}"
            raise UnreadableError(reason, _REMEDY)
    kind = smallest_type(max(int(page.max(initial=0)) for page in pages))
    return Segmentation(pages[0].astype(kind, copy=False), pages[1].astype(kind, copy=False))
