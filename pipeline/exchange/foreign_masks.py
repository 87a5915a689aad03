"""Masks that other programs made: which file is of which sample, and shows what."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core.errors import RUN_AGAIN, PipelineError, Problem, SampleError
from pipeline.core.files import UnreadableError, check_readable, file_digest, text_digest
from pipeline.core.seen import see
from pipeline.core.workspace import Workspace
from pipeline.data.samples import Sample
from pipeline.exchange.mask_files import (
    OUTLINES,
    PLANES,
    Integers,
    Layers,
    Shows,
    Values,
    layers_in,
    read_layers,
)

BOTH = "cells and nuclei"
VERSION = 1
"""Raise it when the same files are read as other masks than before."""

_EXPECTED = (
    "<Id>_cells.tif and <Id>_nuclei.tif, <Id>.tif of two pages, <picture>_cp_masks.png or <Id>.geojson"
)
_ENDING = re.compile(
    r"[ _.-]*(?:(?P<cells>cells?|whole_?cells?|cyto)|(?P<nuclei>nuclei|nucleus|nuclear|nuc)"
    r"|cp_masks?|seg|masks?|labels?|rois?|roiset|objects?|polygons?|detections?|annotations?)$",
    re.IGNORECASE,
)
"""What the name of a mask has behind that of its sample or picture."""
_COLOURS = re.compile(r"(?:_(?:red|green|blue|yellow))+$", re.IGNORECASE)
"""What the name of a composite has behind that of its sample."""


Owners = list[tuple[str, str]]
"""Samples, each with "nuclei" where a mask called so shows them, or an empty text."""


class MaskFile(NamedTuple):
    """A file of masks, and what it shows where it does not say so itself."""

    path: Path
    shows: Shows


class GivenMask(NamedTuple):
    """The masks of one sample: their files, what these show together, and their digest."""

    files: tuple[MaskFile, ...]
    shows: str
    digest: str


class FoundMasks(NamedTuple):
    """Masks by Id, samples whose masks cannot be told apart, and files that are of no sample."""

    masks: dict[str, GivenMask]
    problems: list[Problem]
    strangers: list[str]


def find_masks(folder: Path, samples: Iterable[Sample], shows: Shows, work: Workspace) -> FoundMasks:
    """Find the masks of samples in a folder and the folders in it.

    A mask is called like its sample or one of its pictures. What it shows is told by its name, by a folder
    that is called cells or nuclei, or by being called like the picture of the nucleus; else it is `shows`.

    Raises
    ------
    PipelineError
        If there is no such folder, or no mask of any sample in it.
    """
    if not folder.is_dir():
        raise PipelineError(f"{folder}: no such folder; give the folder of masks as --masks")
    root = os.path.realpath(folder)
    if root == os.path.realpath(work.masks):
        raise PipelineError(
            f"{folder}: holds the label images of --work, of which edited ones are taken; give another"
        )
    listed = list(samples)
    owners, pictures = _owners(listed), {os.path.realpath(path) for one in listed for path in one.paths}
    files: dict[str, list[MaskFile]] = defaultdict(list)
    problems, strangers = [], []
    for path in _candidates(folder, {os.path.realpath(work.masks), os.path.realpath(work.overlays)}):
        real = os.path.realpath(path)
        if real in pictures:
            continue
        found, told = _of_name(path.relative_to(folder), owners)
        if not found:
            strangers.append(path.name.encode("utf-8", "backslashreplace").decode())
        for sample, of_picture in found:
            kind = told or of_picture or shows
            files[sample].append(MaskFile(path, "nuclei" if kind == "nuclei" else "cells"))
            if not Path(real).is_relative_to(root):
                reason = "is a link that leaves the folder of masks"
                problems.append(Problem(sample, path.name, reason, f"copy the file into {folder}"))
    if not files:
        there = f"; found {', '.join(strangers[:3])}" if strangers else ""
        raise PipelineError(f"{folder}: no mask of any sample; name them {_EXPECTED}{there}")
    wrong = {problem.sample for problem in problems}
    taken = {sample: known for sample, known in files.items() if sample not in wrong}
    looked = {_key(one): one.path for known in taken.values() for one in known}
    seen = see(looked, work.given_seen, _look)
    return FoundMasks({sample: _given(known, seen) for sample, known in taken.items()}, problems, strangers)


def _candidates(folder: Path, ours: set[str]) -> Iterator[Path]:
    """Yield files of types that hold masks, in order; not those in hidden folders, stores, or ours."""
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith(".") and not one.endswith(".zarr"))
        if os.path.realpath(where) not in ours:
            paths = (Path(where) / name for name in sorted(names) if not name.startswith("."))
            yield from (path for path in paths if path.suffix.lower() in (*PLANES, *OUTLINES))


def _key(file: MaskFile) -> str:
    return os.path.abspath(file.path).encode("utf-8", "backslashreplace").decode()  # noqa: PTH100 - links are kept


def _owners(samples: Iterable[Sample]) -> dict[str, Owners]:
    """Return whose masks may be called how: by Id, or like a picture, with its folder or without.

    A picture may be of several samples; several pictures of one name, or in one file, are nobody's.
    """
    pictures: dict[str, dict[object, dict[str, set[str]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(set))
    )
    for sample in samples:
        for channel in sample.channels:
            source = sample.source(channel)
            for path in source.files:
                for name in {path.relative_to(sample.folder).with_name(_stem(path)).as_posix(), _stem(path)}:
                    pictures[name][path, source.scene, source.time][sample.id].add(channel)
    owners: dict[str, Owners] = {
        name: [(sample, "nuclei" if shown == {"nucleus"} else "") for sample, shown in found.items()]
        for name, known in pictures.items()
        for found in known.values()
        if len(known) == 1
    }
    return owners | {sample.id: [(sample.id, "")] for sample in samples}


def _stem(path: Path) -> str:
    return path.stem.removesuffix(".ome")


def _of_name(path: Path, owners: Mapping[str, Owners]) -> tuple[Owners, str]:
    """Return whose mask a file below the folder is, and what it is said to show; empty where none."""
    stem, told = _stem(path), ""
    while stem:
        for name in (path.with_name(stem).as_posix(), stem):
            if name in owners:
                return owners[name], told or next(filter(None, map(_told, path.parts[:-1])), "")
        found = _ENDING.search(stem) or (_COLOURS.search(stem) if stem != _stem(path) else None)
        if found is None:
            break
        stem, told = stem[: found.start()], told or found.lastgroup or ""
    return [], ""


def _told(folder: str) -> str:
    """Return what the masks in a folder show, by its name; empty where it says nothing."""
    while found := _ENDING.search(folder):
        if found.lastgroup:
            return found.lastgroup
        folder = folder[: found.start()]
    return ""


def _look(path: Path) -> str:
    """Return the digest of a file, and how many label images it seems to hold."""
    check_readable(path)
    return f"{file_digest(path)} {layers_in(path)}"


def _given(files: list[MaskFile], seen: Mapping[str, str]) -> GivenMask:
    said = [(seen[_key(one)], one.shows) for one in files]
    kinds = {shows for _, shows in said}
    both = len(kinds) == 2 or any(text.endswith(" 2") for text, _ in said)
    return GivenMask(tuple(files), BOTH if both else kinds.pop(), text_digest([VERSION, said]))


def read_given(
    sample: str, given: GivenMask, shape: tuple[int, int], values: Values | None
) -> tuple[Layers, int]:
    """Read the masks of one sample, and how many outlines enclose no pixel; see `read_layers`.

    Raises
    ------
    SampleError
        Naming the file that cannot be taken.
    """
    layers: dict[str, tuple[str, Integers]] = {}
    empty = 0
    for path, shows in given.files:
        try:
            found, without = read_layers(path, shows, shape, values)
        except UnreadableError as error:
            raise SampleError(Problem(sample, path.name, error.reason, error.remedy)) from error
        except OSError as error:
            reason = f"the mask cannot be read ({error.strerror})"
            raise SampleError(Problem(sample, path.name, reason, f"{RUN_AGAIN} when it can")) from error
        empty += without
        for name, labels in found.items():
            other, first = layers.setdefault(name, (path.name, labels))
            if not np.array_equal(first, labels):
                reason = f"shows other {name} than {other}"
                raise SampleError(
                    Problem(sample, path.name, reason, "keep one of the two in the folder of masks")
                )
    return {name: labels for name, (_, labels) in layers.items()}, empty
