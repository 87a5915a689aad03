"""Flat fields: the illumination of each plate and channel, estimated from its pictures, kept, and removed.

What is estimated lies in ``flat_field.json`` of the work folder; as long as it is there, stages that list
their pictures with `even_samples` read them as under even illumination.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError, Problem, SampleError
from pipeline.core.files import read_signed, text_digest, write_signed
from pipeline.core.stage import Progress
from pipeline.core.workers import evenly, map_chunks, share_out
from pipeline.core.workspace import Workspace
from pipeline.data.dataset_options import PictureOptions
from pipeline.data.layouts import PLATE
from pipeline.data.pictures import read_picture
from pipeline.data.samples import Sample, fingerprints, samples_of
from pipeline.formats.illumination import VERSION, Illumination, shared_illumination, squares

FEWEST, MOST = 16, 200
"""Pictures of a plate that an estimate needs, and that it is made from at most, evenly over the plate."""

_Seen = dict[str, tuple[NDArray[np.float32], float]]
"""By channel: the squares of a picture, and its smallest value."""


def remove_illumination(
    samples: Sequence[Sample], work: Workspace, jobs: int, progress: Progress, *, new: bool
) -> str:
    """Estimate the illumination of every plate, unless it is known already, and keep it in the work folder.

    Parameters
    ----------
    samples, work, jobs, progress
    new : bool
        Whether these are new pictures for a model: plates with too few are read as they are, then, which is
        told.

    Returns
    -------
    str
        What is to be known of plates with too few pictures; empty where there are none.

    Raises
    ------
    PipelineError
        If a plate has fewer pictures than `FEWEST` that can be read, and they are not new ones.
    """
    plates = _estimated(samples, work, jobs, progress)
    few = {plate: one["pictures"] for plate, one in plates.items() if one["pictures"] < FEWEST}
    named = ", ".join(f"{_called(plate)} ({number})" for plate, number in few.items())
    if few and not new:
        raise PipelineError(
            f"--flat-field: too few pictures that can be read to estimate the illumination: {named}; "
            f"give {FEWEST} of each {PLATE}, or leave out --flat-field"
        )
    lights = [
        (Illumination(dark, tuple(rest)).darkest, name, plate)
        for plate, one in plates.items()
        for name, (dark, rest) in one["channels"].items()
    ]
    if lights:
        darkest, channel, plate = min(lights)
        progress.note(
            f"Uneven illumination is removed; most of {channel} in {_called(plate)}, where the darkest place "
            f"has {darkest:.0%} of the light of the brightest"
        )
    return f"uneven illumination is not removed, for want of {FEWEST} pictures: {named}" if named else ""


def _estimated(
    samples: Sequence[Sample], work: Workspace, jobs: int, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Return by plate its number of pictures and its illumination, as they are kept."""
    plates: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        plates[_plate(sample)].append(sample)
    chosen = {plate: evenly(listed, MOST) for plate, listed in sorted(plates.items())}
    everything = [one for listed in chosen.values() for one in listed]
    pictures = fingerprints(everything, work)
    made_by = text_digest([VERSION, {plate: [pictures[one.id] for one in chosen[plate]] for plate in chosen}])
    known = read_signed(work.flat_field)
    if known.get("made_by") != made_by:
        looked = _look_at(everything, jobs, progress)
        found = {
            plate: _of_plate([looked[one.id] for one in listed if one.id in looked])
            for plate, listed in chosen.items()
        }
        write_signed(work.flat_field, {"made_by": made_by, "plates": found})
        known = read_signed(work.flat_field)
    return dict(known["plates"])


def even_samples(options: PictureOptions, work: Workspace) -> tuple[list[Sample], list[Problem]]:
    """List the samples that options name, to be read as `extract` reads them; see `samples_of`."""
    samples, problems = samples_of(options)
    return with_flat_fields(samples, work), problems


def with_flat_fields(samples: Iterable[Sample], work: Workspace) -> list[Sample]:
    """Return samples that are read as under even illumination, where it is known of their plate."""
    plates = read_signed(work.flat_field).get("plates", {})
    found = {
        plate: tuple(
            (name, Illumination(dark, tuple(rest))) for name, (dark, rest) in one["channels"].items()
        )
        for plate, one in plates.items()
    }
    return [replace(sample, illumination=found.get(_plate(sample), ())) for sample in samples]


def _called(plate: str) -> str:
    return f"plate {plate}" if plate else "the pictures"


def _plate(sample: Sample) -> str:
    return dict(sample.metadata).get(PLATE, "")


def _look_at(samples: Sequence[Sample], jobs: int, progress: Progress) -> dict[str, _Seen]:
    """Return what is seen in every picture that can be read, by Id; `extract` lists the others."""
    looked: dict[str, _Seen] = {}
    with progress.track("Looking at the illumination", len(samples)) as advance:
        for chunk, seen in map_chunks(_look_at_chunk, share_out(samples, jobs), jobs):
            looked |= seen
            advance(len(chunk))
    return looked


def _look_at_chunk(samples: Sequence[Sample]) -> dict[str, _Seen]:
    seen: dict[str, _Seen] = {}
    for sample in samples:
        with suppress(SampleError):
            picture = read_picture(sample)
            planes = zip(picture.channels, picture.pixels, strict=True)
            seen[sample.id] = {name: (squares(plane), float(plane.min())) for name, plane in planes}
    return seen


def _of_plate(pictures: Sequence[_Seen]) -> dict[str, object]:
    """Return the number of pictures of a plate, and by channel the numbers of its illumination."""
    found: dict[str, Illumination] = {}
    if len(pictures) >= FEWEST:
        for channel in pictures[0]:
            seen = [one[channel] for one in pictures if channel in one]
            found[channel] = shared_illumination([plane for plane, _ in seen], min(dark for _, dark in seen))
    return {"pictures": len(pictures), "channels": found}
