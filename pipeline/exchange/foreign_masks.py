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
    r"|cp_masks?|seg|masks?|labels?|rois?|roiset|objects?|outlines?|polygons?|detections?|annotations?"
    r"|red|green|blue|yellow)$",
    re.IGNORECASE,
)
"""What the name of a mask has behind that of its sample or picture."""


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
    """Find the masks of samples in a folder, and in folders in it that are called ``cells`` or ``nuclei``.

    A mask is called like its sample or one of its pictures. What it shows is told by its name, by the name of
    its folder, or by the picture of the nucleus being the one that it is called like; else it is `shows`.

    Raises
    ------
    PipelineError
        If there is no such folder, or no mask of any sample in it.
    """
    if not folder.is_dir():
        raise PipelineError(f"{folder}: no such folder; give the folder of masks as --masks")
    listed = list(samples)
    owners = _owners(listed)
    pictures = {os.path.realpath(path) for sample in listed for path in sample.paths}
    files: dict[str, list[MaskFile]] = defaultdict(list)
    problems, strangers = [], []
    for path, of_folder in _mask_files(folder):
        if os.path.realpath(path) in pictures:
            continue
        owner, told = _owner(path, owners)
        if not owner:
            strangers.append(path.name)
        elif not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
            reason = "is a link that leaves the folder of masks"
            problems.append(Problem(owner, path.name, reason, f"copy the file into {folder}"))
        else:
            files[owner].append(MaskFile(path, _shown(told or of_folder or shows)))
    if not files:
        there = f"; found {', '.join(strangers[:3])}" if strangers else ""
        raise PipelineError(f"{folder}: no mask of any sample; name them {_EXPECTED}{there}")
    seen = see({str(one.path): one.path for known in files.values() for one in known}, work.given_seen, _look)
    wrong = {problem.sample for problem in problems}
    masks = {sample: _given(known, seen) for sample, known in files.items() if sample not in wrong}
    return FoundMasks(masks, problems, strangers)


def _shown(told: str) -> Shows:
    return "nuclei" if told == "nuclei" else "cells"


def _owners(samples: Iterable[Sample]) -> dict[str, tuple[str, str]]:
    """Return, by how masks may be called, the sample, and "nuclei" where that is the picture of nuclei alone.

    Names of pictures that several samples have are nobody's.
    """
    owners: dict[str, tuple[str, str]] = {}
    for sample in samples:
        stems: dict[str, set[str]] = defaultdict(set)
        for channel in sample.channels:
            for path in sample.source(channel).files:
                stems[_stem(path)].add(channel)
        for stem, channels in stems.items():
            told = "nuclei" if channels == {"nucleus"} else ""
            owners[stem] = ("", "") if stem in owners else (sample.id, told)
    return owners | {sample.id: (sample.id, "") for sample in samples}


def _stem(path: Path) -> str:
    return path.stem.removesuffix(".ome")


def _mask_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield files that may be masks, sorted, with what their folder says that they show."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    for name in names:
        path, told = folder / name, _ENDING.fullmatch(name)
        if path.is_dir():
            if told and told.lastgroup:
                yield from ((inner, told.lastgroup) for inner, _ in _mask_files(path) if inner.is_file())
        elif path.suffix.lower() in (*PLANES, *OUTLINES):
            yield path, ""


def _owner(path: Path, owners: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    """Return whose mask a file is, and what its name says that it shows; empty where that is not known."""
    stem, told = _stem(path), ""
    while stem:
        if stem in owners:
            sample, of_picture = owners[stem]
            return sample, told or of_picture
        found = _ENDING.search(stem)
        if found is None:
            break
        stem, told = stem[: found.start()], told or found.lastgroup or ""
    return "", ""


def _look(path: Path) -> str:
    """Return the digest of a file, and how many label images it seems to hold."""
    check_readable(path)
    return f"{file_digest(path)} {layers_in(path)}"


def _given(files: list[MaskFile], seen: Mapping[str, str]) -> GivenMask:
    said = [(seen[str(one.path)], one.shows) for one in files]
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
