"""Files that hold all channels of a sample: which samples, by scene and time point, their headers tell."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pipeline.core.files import UnreadableError
from pipeline.core.seen import sign_of
from pipeline.core.workers import evenly
from pipeline.data.layouts import CHANNELS, COLOURS, METADATA, WELL, FileChannel
from pipeline.formats.colours import has_scale_bar
from pipeline.formats.picture_files import damage_told, open_picture
from pipeline.formats.sources import Source

_WELL = re.compile(r"(?P<row>[A-Za-z]{1,2})/(?P<column>\d+)/(?P<field>.+)")
"""Name of a scene of an OME-Zarr plate."""
_LOOKED_AT = 9
"""Pictures in colours that are looked at for a scale bar, evenly over all."""


@dataclass
class Found:
    """Files of one sample, as far as their names and headers say.

    Attributes
    ----------
    sources : dict of str to Source
        By channel.
    metadata : dict of str to str
        ``Metadata_<name>`` with their values.
    """

    sources: dict[str, Source] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


class _Header(NamedTuple):
    """What is needed of a header: names of scenes and channels, number of time points, whether in colours."""

    scenes: tuple[str, ...]
    channels: tuple[str, ...]
    times: int
    is_colours: bool


def samples_of_file(sample: str, path: Path, channels: Mapping[str, FileChannel]) -> dict[str, Found]:
    """Return the samples of a file of many channels, one for every scene and time point.

    Parameters
    ----------
    sample : str
        Id of a file of one scene and one time point; the others add the scene and ``t<number>`` to it.
    path : Path
    channels : mapping of str to str or int
        Our channels to the file's.

    Returns
    -------
    dict of str to Found
        By Id. A file that cannot be read is one sample: reading it says why.
    """
    header = _header(path)
    if header is None or (len(header.scenes) < 2 and header.times < 2):
        return {sample: _found(path, channels, None, None, {})}
    found = {}
    scenes = [_scene(number, name) for number, name in enumerate(header.scenes)]
    added = Counter(told for told, _ in scenes)
    for number, (name, about) in enumerate(scenes):
        scene, known = (number, about) if len(scenes) > 1 else (None, {})
        told = "" if scene is None else f"{name}_scene{number}" if added[name] > 1 else name
        for time in range(header.times):
            one = time if header.times > 1 else None
            stamp = {f"{METADATA}Time": str(time)} if one is not None else {}
            parts = (sample, told, f"t{time}" if stamp else "")
            found["_".join(filter(None, parts))] = _found(path, channels, scene, one, known | stamp)
    return found


def _scene(number: int, name: str) -> tuple[str, dict[str, str]]:
    """Return what a scene adds to the Id, and what is known of it: a well and a field, or its name."""
    if well := _WELL.fullmatch(name):
        place = f"{well['row'].upper()}{int(well['column']):02}"
        return f"{place}_{well['field']}", {WELL: place, f"{METADATA}Field": well["field"]}
    safe = re.sub(r"[^A-Za-z0-9.+=-]+", "_", name).strip("_.")
    return safe or str(number), {f"{METADATA}Scene": name or str(number)}


def _found(
    path: Path,
    channels: Mapping[str, FileChannel],
    scene: int | None,
    time: int | None,
    known: Mapping[str, str],
) -> Found:
    sources = {ours: Source((path,), theirs, scene, time) for ours, theirs in channels.items()}
    return Found(sources, dict(known))


def self_described(paths: Mapping[str, Path]) -> dict[str, Found]:
    """Return the samples of files, by Id, that say themselves what their channels show.

    These are files whose channels are called as ours are, and pictures in colours of HPA's dictionary, which
    have its scale bar: red microtubules, green protein, blue nucleus.
    """
    headers = {sample: header for sample, path in paths.items() if (header := _header(path)) is not None}
    found: dict[str, Found] = {}
    for sample, header in headers.items():
        ours = {name.strip().casefold(): name for name in header.channels}
        if {"protein", "nucleus"} <= ours.keys():
            channels = {channel: ours[channel] for channel in CHANNELS if channel in ours}
            found |= samples_of_file(sample, paths[sample], channels)
    coloured = [sample for sample, header in headers.items() if header.is_colours]
    if not found and _have_scale_bars([paths[sample] for sample in coloured]):
        channels = {name: colour for name, colour in COLOURS.items() if colour != "yellow"}
        found = {sample: _found(paths[sample], channels, None, None, {}) for sample in coloured}
    return found


def _have_scale_bars(paths: Sequence[Path]) -> bool:
    """Say whether most pictures in colours have a scale bar where HPA's dictionary has it."""
    bars = [_has_scale_bar(path) for path in evenly(paths, _LOOKED_AT)]
    return 2 * sum(bars) > len(bars)


def _has_scale_bar(path: Path) -> bool:
    contents = open_picture(path)
    try:
        with damage_told(contents.kind):
            scene = contents.look(0)
            return contents.kind == "JPEG" and has_scale_bar(scene.decode(0, 0, 0), 255)
    except (UnreadableError, OSError):
        return False
    finally:
        contents.close()


def _header(path: Path) -> _Header | None:
    """Return what a header says, read once while the file stays the same; None where it cannot be read."""
    found = sign_of(path)
    return None if found is None else _read_header(path, found)


@lru_cache(maxsize=100_000)
def _read_header(path: Path, _sign: tuple[int, ...]) -> _Header | None:
    try:
        contents = open_picture(path)
    except (UnreadableError, OSError):
        return None
    try:
        with damage_told(contents.kind):
            scene = contents.look(0)
    except (UnreadableError, OSError):
        return None
    finally:
        contents.close()
    return _Header(contents.scenes, scene.channels, scene.times, scene.is_colours)
