"""What lies in a folder of pictures: every file's header, and a layout that would read them."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import numpy as np
import pandas as pd

from pipeline.core.errors import PipelineError
from pipeline.core.files import UnreadableError
from pipeline.core.names import printable, slug
from pipeline.core.workers import evenly
from pipeline.data.discovery import check_folder, files_below, is_picture
from pipeline.data.layouts import CHANNELS, UNKNOWN
from pipeline.data.presets import PRESETS
from pipeline.formats.contents import COLOURS, Scene
from pipeline.formats.picture_files import damage_told, open_picture

_SURE = {
    "nucleus": r"dapi|hoechst\w*|draq5|nucle(us|i|ar)|dna",
    "microtubules": r"(alpha_)?tubulin|microtubules?",
    "er": r"er|calreticulin|endoplasmic_reticulum|con_?a",
    "protein": r"protein|antibody|target",
}
"""Names of channels that can mean one thing only."""
_NOTHING = "holds no file of a known type; export the pictures as TIFF or PNG"
_FEW = 24
"""Files that are looked at for why no name makes a sample."""
_MOST_CHANNELS = 9
"""Endings of names that differ in more ways than this are no channels."""


@dataclass(frozen=True)
class File:
    """What the header of a file says.

    Attributes
    ----------
    path : str
        Below the folder of pictures.
    kind : str
        Type of the file; "" where it could not be read.
    scenes : int
    scene : Scene or None
        The first one.
    darkest, brightest : float or None
        Values of its first plane, where they were looked at.
    problem : str
        Why it cannot be read.
    """

    path: str
    kind: str = ""
    scenes: int = 0
    scene: Scene | None = None
    darkest: float | None = None
    brightest: float | None = None
    problem: str = ""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of its channels, or their numbers where they have none; empty for a single plane."""
        if self.scene is None or (len(self.scene.channels) == 1 and not self.scene.is_colours):
            return ()
        return COLOURS if self.scene.is_colours else _named(self.scene.channels)

    @property
    def about(self) -> dict[str, object]:
        """What tells files of another kind apart, by heading."""
        if self.scene is None:
            empty = dict.fromkeys(("values", "size", "channels", "z", "t", "µm"), "")
            return {"type": "cannot be read", **empty}
        one = self.scene
        return {
            "type": self.kind + (f" of {self.scenes} scenes" if self.scenes > 1 else ""),
            "values": f"{one.dtype}" + (f" to {one.top}" if one.top and one.dtype.itemsize > 1 else ""),
            "size": f"{one.width}×{one.height}",
            "channels": ", ".join(map(printable, self.channels)) or "1",
            "z": one.depth,
            "t": one.times,
            "µm": "" if one.sides[0] is None else f"{one.sides[0]:.4g}",
        }


def _named(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name or str(number) for number, name in enumerate(names))


def look(images: Path, path: str, *, values: bool) -> File:
    """Read a file's header, and if asked for the values of its first plane."""
    try:
        contents = open_picture(images / path)
    except (UnreadableError, OSError) as error:
        return File(path, problem=str(error))
    try:
        with damage_told(contents.kind):
            scene = contents.look(0)
            plane = scene.decode(0, 0, scene.depth // 2) if values else np.zeros(0)
    except (UnreadableError, OSError) as error:
        return File(path, contents.kind, len(contents.scenes), problem=str(error))
    finally:
        contents.close()
    ends = (float(plane.min()), float(plane.max())) if plane.size else (None, None)
    return File(path, contents.kind, len(contents.scenes), scene, *ends)


def take_stock(images: Path, most_values: int, advance: Callable[[int], None]) -> list[File]:
    """Look at every picture below a folder, and at the values of some, evenly over all.

    Raises
    ------
    PipelineError
        If there is no folder, or no picture in it.
    """
    paths = pictures_below(images)
    some = set(evenly(paths, most_values))
    files = []
    for path in paths:
        files.append(look(images, path, values=path in some))
        advance(1)
    return files


def pictures_below(images: Path) -> list[str]:
    """List all files below a folder whose ending is that of a picture.

    Raises
    ------
    PipelineError
        If there is none.
    """
    check_folder(images)
    paths = [path for path in files_below(images) if is_picture(path)]
    if not paths:
        raise PipelineError(f"{images}: {_NOTHING}")
    return paths


def remedy_of_names(images: Path) -> str:
    """Say what would make samples of a folder where no name does, by the headers of some of its files."""
    paths = [path for path in files_below(images) if is_picture(path)]
    if not paths:
        return _NOTHING
    files = [look(images, path, values=False) for path in paths[:_FEW]]
    if propose(files) is not None:
        return f"run inspect --images {quote(str(images))}, which writes a layout"
    if all(one.scene is not None and not one.channels and "/" not in one.path for one in files):
        return "every file shows one channel: where that is the protein, give --channel protein=0"
    return "name files so, or list them in a table, --samples"


def kinds(files: Iterable[File]) -> pd.DataFrame:
    """Count the files of each kind, the most frequent first, with an example and the range of values."""
    table = pd.DataFrame(
        [
            one.about | {"file": printable(one.path), "low": one.darkest, "high": one.brightest}
            for one in files
        ]
    )
    headings = list(File("").about)
    grouped = table.groupby(headings, sort=False, dropna=False)
    counted = grouped.agg(
        files=("file", "size"), example=("file", "first"), low=("low", "min"), high=("high", "max")
    )
    return counted.reset_index().sort_values("files", ascending=False, kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Proposal:
    """A layout that would read the files of a folder, as far as one can tell.

    Attributes
    ----------
    why : str
        What the proposal rests on.
    files : str or None
        As in a layout.
    channels : dict of str to str
        What files call channels, to ours; `UNKNOWN` where nothing says.
    """

    why: str
    files: str | None
    channels: Mapping[str, str]
    needs_projection: bool = False

    def toml(self, projection: str = UNKNOWN) -> str:
        """Write the layout, with remarks; what has to be filled in is `UNKNOWN`."""
        ours = {name: [theirs for theirs, one in self.channels.items() if one == name] for name in CHANNELS}
        free = [theirs for theirs, one in self.channels.items() if one == UNKNOWN]
        lines = [f"# {self.why}", "# Edit, then give it as --layout to extract, embed, predict and overlay."]
        if self.files is not None:
            lines += [
                "",
                "# a preset, or a regular expression with groups: Id or well, field ...; channel; z; time",
            ]
            lines += [f"files = {_quoted(self.files)}"]
        if self.needs_projection:
            lines += ["", '# what becomes of z-stacks: "max", "mean" or "focus"']
            lines += [f'projection = "{projection}"']
        lines += [
            "",
            "# pixel_size_um = 0.1  # of pictures that state none",
            "# range = [0, 4095]  # black and white",
        ]
        lines += ["", "[channels]", f"# files have: {', '.join(map(_quoted, self.channels))}"]
        for name in CHANNELS:
            needed = name in ("nucleus", "protein")
            if len(ours[name]) == 1:
                lines.append(f"{name} = {_quoted(ours[name][0])}")
            elif needed or free:
                mark = "" if needed else "# "
                remark = "" if needed else "  # leave it out if it was not recorded"
                lines.append(f'{mark}{name} = "{UNKNOWN}"{remark}')
        if len(free) > 1:
            lines += ["", "# where several are proteins, each a sample, instead of protein above:"]
            lines += ["# [proteins]", *(f"# {slug(one)} = {_quoted(one)}" for one in free)]
        return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return a text in TOML: as it is where backslashes are in it, else as JSON, whose escapes TOML has."""
    is_plain = text.isprintable() and "'" not in text
    return f"'{text}'" if "\\" in text and is_plain else json.dumps(text, ensure_ascii=False)


def propose(files: Sequence[File]) -> Proposal | None:
    """Propose a layout for files that are named otherwise than in the Human Protein Atlas, if any fits."""
    read = [one for one in files if one.scene is not None]
    if not read:
        return None
    return _by_preset(read) or (_are_pages(read) and _by_part(read)) or _by_header(read) or _by_part(read)


def _by_preset(files: Sequence[File]) -> Proposal | None:
    for name, pattern in PRESETS.items():
        matches = [re.fullmatch(pattern, one.path, re.IGNORECASE) for one in files]
        found = [match for match in matches if match is not None]
        if len(found) * 2 > len(files):
            channels = Counter(match.groupdict().get("channel") or "" for match in found)
            depths = {match.groupdict().get("z") for match in found}
            named = {channel: _meaning(channel) for channel in sorted(channels) if channel}
            why = f"{len(found)} of {len(files)} files are named as {name} names them."
            return Proposal(why, name, named, len(depths) > 1 or _is_deep(files) or _are_pages(files))
    return None


def _by_header(files: Sequence[File]) -> Proposal | None:
    """Propose one file of many channels per sample, where most are such."""
    several = Counter(one.channels for one in files if one.channels)
    if not several or several.total() * 2 <= len(files):
        return None
    names, number = several.most_common(1)[0]
    each = "every file" if all(one.scenes < 2 for one in files) else "every field or well in them"
    why = f"{number} of {len(files)} files hold {len(names)} channels each: {each} is a sample."
    if names == COLOURS:
        why = f"{number} of {len(files)} files are pictures in colours: say what each colour shows."
    return Proposal(why, None, {name: _meaning(name) for name in names}, _is_deep(files))


def _by_part(files: Sequence[File]) -> Proposal | None:
    """Propose that one part of names is the channel: one of a few, of which every field has the same."""
    parted = {one.path: _parts(one.path) for one in files}
    lengths = Counter(len(parts) for parts in parted.values())
    usual, number = lengths.most_common(1)[0]
    same = [parts for parts in parted.values() if len(parts) == usual]
    if number * 2 <= len(files):
        return None
    places = [place for place in range(1, usual, 2) if _is_channel(same, place)]
    if pages := _are_pages(files):  # which may be channels themselves
        places = [one for one in places if all(map(str.isalpha, (parts[one] for parts in same)))]
    if not places:
        return None
    place = max(places, key=lambda one: (_looks_like_channels(same, one), one))
    names = sorted({parts[place] for parts in same})
    choice = "|".join(map(re.escape, names))
    why = f"{number} of {len(files)} names have one of {len(names)} channels in them."
    named = {name: _meaning(name) for name in names}
    return Proposal(why, _pattern(same, place, choice), named, pages or _is_deep(files))


def _parts(path: str) -> list[str]:
    """Split a path without its ending: words at odd places, what stands between at even ones."""
    stem = re.sub(r"(?i)(\.ome)?\.(tiff?(\.gz)?|png|jpe?g|zarr|czi|nd2|lif)$", "", path)
    return re.split(r"([A-Za-z]+\d+|[A-Za-z]+|\d+)", stem)


def _is_channel(names: Sequence[Sequence[str]], place: int) -> bool:
    """Say whether a word is one of a few, all of which every field has."""
    fields: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for parts in names:
        fields[(*parts[:place], *parts[place + 1 :])].add(parts[place])
    words = {parts[place] for parts in names}
    is_told = len(fields) > 1 or _looks_like_channels(names, place)
    return is_told and 2 <= len(words) <= _MOST_CHANNELS and all(found == words for found in fields.values())


def _looks_like_channels(names: Sequence[Sequence[str]], place: int) -> bool:
    """Say whether words are those of channels: ch1, w2, d0, or the name of a stain."""
    words = {parts[place] for parts in names}
    return all(re.fullmatch(r"(?i)(ch|channel|c|w|wv|d)\d+", word) for word in words) or any(
        _meaning(word) != UNKNOWN for word in words
    )


def _pattern(names: Sequence[Sequence[str]], place: int, choice: str) -> str:
    """Return a pattern whose group Id is all of the name but the channel, or its two parts."""
    joints = {parts[place - 1][-1:] for parts in names}, {parts[place + 1][:1] for parts in names}
    left, right = (re.escape(one.pop()) if len(one) == 1 else "" for one in joints)
    before, after = (
        any(any(parts[:place]) for parts in names),
        any(any(parts[place + 1 :]) for parts in names),
    )
    groups = ("Id", "Id") if not (before and after) else ("part1", "part2")
    start = rf"(?P<{groups[0]}>.+){left}" if before else ""
    end = rf"{right}(?P<{groups[1]}>.+)" if after else ""
    return rf"{start}(?P<channel>{choice}){end}(?:\.ome)?\.\w+"


def _is_deep(files: Iterable[File]) -> bool:
    return any(one.scene is not None and one.scene.depth > 1 for one in files)


def _are_pages(files: Sequence[File]) -> bool:
    """Say whether nothing says what the pages of most files are: z-stacks, where names have the channel."""
    return 2 * sum(one.scene is not None and one.scene.is_pages for one in files) > len(files)


def _meaning(name: str) -> str:
    """Return what a channel of this name can only be, else `UNKNOWN`."""
    words = slug(name)
    return next((ours for ours, sure in _SURE.items() if re.fullmatch(sure, words)), UNKNOWN)
