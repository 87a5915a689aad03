"""Which files of a folder are which channel of which sample: told by their names."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pipeline.core.errors import NoSampleError, PipelineError, Problem
from pipeline.core.names import SAFE_IDS, counted, is_safe_id, printable
from pipeline.core.remote import is_remote, listed, look_at
from pipeline.core.stopping import within
from pipeline.data.layouts import CHANNEL_OF, CHANNELS, COLOURS, METADATA, FileChannel, Layout
from pipeline.data.presets import PRESETS
from pipeline.data.whole_files import Found, samples_of_file, self_described
from pipeline.formats.sources import Source

SUFFIXES = (
    *(".png", ".tif", ".tiff", ".jpg", ".jpeg", ".tif.gz", ".tiff.gz"),
    *(".stk", ".zarr", ".czi", ".nd2", ".lif"),
)
"""File types that are read, in any case; ``.zarr`` is a folder."""

_NOT_TEXT = ("its name is not UTF-8", "rename the file")
_OWN_IDS = "rename the files, or give Ids of your own in a table as --samples"
_COLOUR = f"(?:{'|'.join(COLOURS.values())})"
_ENDING = rf"(?:\.ome)?(?:{'|'.join(map(re.escape, SUFFIXES))})"
_NAME = re.compile(rf"(?P<id>.+)_(?P<colour>{_COLOUR}){_ENDING}", re.IGNORECASE)
_OTHER_COLOURS = re.compile(rf"(?:_{_COLOUR})+$", re.IGNORECASE)
"""How ids end that are taken from names like ``<Id>_blue_red_green.jpg``: pictures of several stains."""
_WELL = re.compile(r"([A-Za-z]+)\W*0*(\d+)")
_SECONDS = 10
"""For which names are compared with a pattern, and a millisecond more for each."""
_ROWS = 32
"""Rows of the largest plates, of 1,536 wells."""
_MANY = re.compile(rf"(?P<Id>.+?){_ENDING}", re.IGNORECASE)
"""A file of many channels: its name is the Id."""


def unsafe(sample: str, file: str, remedy: str = _OWN_IDS) -> Problem:
    """Say that an id cannot be used, which is what files are called that are written."""
    return Problem(sample, file, f"the Id '{printable(sample)}' cannot be used: Ids are {SAFE_IDS}", remedy)


def is_unnameable(problem: Problem) -> bool:
    """Say whether only another name of its files would make a sample of them."""
    return problem.reason in (_NOT_TEXT[0], unsafe(problem.sample, problem.file).reason)


def unsafe_ids(paths: Iterable[str], files: str | None) -> list[Problem]:
    """List the ids that cannot be used of those that a layout's `files`, or none, gives, each once."""
    pattern, found = _MANY if files is None else _compiled(files), dict[str, str]()
    for path in paths:
        match = pattern.fullmatch(path)
        with suppress(ValueError):  # is told when the layout is used
            if match is not None:
                groups = {name: text for name, text in match.groupdict().items() if text is not None}
                found.setdefault(_described(groups)[0], path)
    return [unsafe(sample, path) for sample, path in found.items() if not is_safe_id(sample)]


def check_folder(images: Path) -> None:
    """Refuse a folder of pictures that is not there; in an object store, look what lies in it."""
    if is_remote(images):
        look_at(images)
    elif not images.is_dir():
        raise PipelineError(f"{images}: no such folder; give the folder that holds the pictures")


def discover(images: Path, layout: Layout) -> tuple[dict[str, Found], list[Problem]]:
    """Find the samples of a folder by the names of its files.

    Parameters
    ----------
    images : Path
    layout : Layout
        With `files`, a pattern or the name of one in `PRESETS`, the paths of all files below the folder are
        matched. With `channels` alone, a file is ``<Id>_<channel>``, or a sample of many channels where no
        name ends so. With neither, files are named as in the Human Protein Atlas or, where none is, say
        themselves what their channels show.

    Returns
    -------
    dict of str to Found
        By Id; some channels may be missing.
    list of Problem
        What is doubtful, by Id: such a sample is not among the others.

    Raises
    ------
    PipelineError
        If the pattern is none, or matches no file.
    """
    if layout.files is not None:
        return _by_pattern(images, layout)
    if layout.file_channels:
        return _by_channels(images, layout)
    return _by_colours(images)


def _by_colours(images: Path) -> tuple[dict[str, Found], list[Problem]]:
    """Read HPA's names; the picture of several stains counts where there are none of single ones."""
    single: dict[str, Found] = defaultdict(Found)
    problems = []
    for name in _names(images):
        if match := _NAME.fullmatch(name):
            channel, sources = CHANNEL_OF[match["colour"].lower()], single[match["id"]].sources
            if problem := _not_text(name):
                problems.append(problem)
            elif channel in sources:
                problems.append(_second(match["id"], channel, name, sources[channel].path.name))
            else:
                sources[channel] = Source((images / name,))
    if not single:
        paths = {match["Id"]: images / name for name in _names(images) if (match := _MANY.fullmatch(name))}
        return self_described(paths), problems
    composites, stems = _of_several_stains(single)
    together = {**composites, **{one: found for one, found in single.items() if one not in stems}}
    doubtful = {problem.sample for problem in problems}
    return {one: found for one, found in together.items() if found.sources and one not in doubtful}, problems


def _of_several_stains(single: Mapping[str, Found]) -> tuple[dict[str, Found], set[str]]:
    """Return the samples of pictures like ``<Id>_blue_red_green.jpg``, and these names without the last.

    Of several pictures of one Id that of most stains counts; one without the protein is no sample.
    """
    found: dict[str, Found] = {}
    stems = set()
    for stem, one in single.items():
        more = _OTHER_COLOURS.search(stem)
        if more is None or len(one.sources) > more[0].count("_"):
            continue
        stems.add(stem)
        for channel, source in one.sources.items():
            colours = [*more[0].strip("_").lower().split("_"), COLOURS[channel]]
            sources = {CHANNEL_OF[colour]: Source(source.files, colour) for colour in colours}
            sample = stem[: more.start()]
            if "protein" in sources and len(sources) > len(found.get(sample, Found()).sources):
                found[sample] = Found(sources)
    return found, stems


def _second(sample: str, channel: str, name: str, other: str) -> Problem:
    return Problem(sample, name, f"second {channel} picture beside {other}", "keep one")


def _not_text(name: str) -> Problem | None:
    if (shown := name.encode("utf-8", "backslashreplace").decode()) != name:
        return Problem(shown, shown, *_NOT_TEXT)
    return None


def _names(images: Path) -> list[str]:
    if is_remote(images):
        return sorted({name.partition("/")[0] for name in listed(images)})
    with os.scandir(images) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith("."))


def _by_channels(images: Path, layout: Layout) -> tuple[dict[str, Found], list[Problem]]:
    """Read ``<Id>_<channel>`` where any name ends so, else one file of many channels per sample."""
    names = [name for name in _names(images) if _MANY.fullmatch(name)]
    texts = [str(one) for one in layout.file_channels.values() if isinstance(one, str)]
    ending = "|".join(sorted(map(re.escape, texts), key=len, reverse=True))
    single = re.compile(rf"(?P<Id>.+)_(?P<channel>{ending}){_ENDING}", re.IGNORECASE)
    pattern = single if texts and any(map(single.fullmatch, names)) else _MANY
    return _matched(images, names, pattern, layout)


def _compiled(files: str) -> re.Pattern[str]:
    """Compile a layout's `files`: a pattern, or the name of one."""
    return re.compile(PRESETS.get(files, files), re.IGNORECASE if files in PRESETS else 0)


def _by_pattern(images: Path, layout: Layout) -> tuple[dict[str, Found], list[Problem]]:
    text = str(layout.files)
    try:
        pattern = _compiled(text)
    except re.error as error:
        known = ", ".join(PRESETS)
        raise PipelineError(f"files '{text}': no regular expression ({error}), nor one of {known}") from error
    if not set(pattern.groupindex) - {"channel", "z"}:
        raise PipelineError(
            f"files '{text}': names no sample; add a group such as (?P<Id>...) or (?P<well>...)"
        )
    paths = list(files_below(images))
    try:
        with within(_SECONDS + len(paths) / 1000):
            found, problems = _matched(images, paths, pattern, layout)
            others = [path for path in paths if is_picture(path) and not pattern.fullmatch(path)]
    except TimeoutError as error:
        raise PipelineError(
            f"files '{text}': takes for ever to be compared with some names; have no repetition in a "
            "repetition, as in (a+)+: write [^/]+ or .+? once instead"
        ) from error
    if not found and not problems:
        some = f", such as {others[0]}" if others else ""
        raise NoSampleError(f"{images}: no file matches '{text}'{some}; run inspect to see what is there")
    if others:
        reason = f"with {counted(len(others), 'picture')} in all, matches no name that is looked for"
        problems.append(Problem("(no sample)", others[0], reason, "correct files in the layout, or move it"))
    return found, problems


def files_below(images: Path) -> Iterator[str]:
    """Yield the paths of all files below a folder, sorted, and of OME-Zarr folders; not of hidden ones."""
    if is_remote(images):
        yield from listed(images)
        return
    for folder, inside, files in os.walk(images):
        shown = sorted(name for name in inside if not name.startswith("."))
        whole = [name for name in shown if name.lower().endswith(".zarr")]
        inside[:] = [name for name in shown if name not in whole]
        for name in sorted([*whole, *(name for name in files if not name.startswith("."))]):
            yield (Path(folder) / name).relative_to(images).as_posix()


def is_picture(path: str) -> bool:
    """Say whether the ending of a name is that of a picture."""
    return path.lower().endswith(SUFFIXES)


def _matched(
    images: Path, paths: Iterable[str], pattern: re.Pattern[str], layout: Layout
) -> tuple[dict[str, Found], list[Problem]]:
    """Sort files into samples, channels and z planes by the groups of a pattern."""
    sorting = _Sorting(images, layout)
    for path in paths:
        match = pattern.fullmatch(path)
        if match is not None:
            sorting.add(path, {name: text for name, text in match.groupdict().items() if text is not None})
    return sorting.result()


class _Sorting:
    """Files by sample, channel and z plane, as they are found."""

    def __init__(self, images: Path, layout: Layout) -> None:
        self.images, self.channels = images, layout.file_channels
        self.channel_of = _named_channels(layout.file_channels)
        self.samples: dict[str, Found] = {}
        self.planes: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
        self.whole: dict[str, str] = {}
        self.unknown: set[str] = set()
        self.problems: list[Problem] = []

    def add(self, path: str, groups: Mapping[str, str]) -> None:
        """Put a file to its sample, by what the groups of its name say."""
        try:
            sample, metadata = _described(groups)
        except ValueError as error:
            self.problems.append(Problem("(no sample)", path, str(error), "correct files in the layout"))
            return
        if problem := _not_text(path) or (None if is_safe_id(sample) else unsafe(sample, path)):
            self.problems.append(problem)
            return
        known = self.samples.setdefault(sample, Found(metadata=metadata)).metadata
        if known != metadata and "Id" not in groups:
            both = [" ".join(one.values()) for one in (known, metadata)]
            reason = f"'{both[1]}' and '{both[0]}' would be one sample"
            self.problems.append(Problem(sample, path, reason, "rename one, or add a group (?P<Id>...)"))
        elif "channel" not in groups:
            if self.whole.setdefault(sample, path) != path:
                self._second(sample, "", path, self.whole[sample])
        else:
            self._add_plane(sample, path, groups)

    def _add_plane(self, sample: str, path: str, groups: Mapping[str, str]) -> None:
        channel, number = self.channel_of(groups["channel"]), int(groups.get("z", 0))
        if channel is None:
            self.unknown.add(groups["channel"])
        elif number in self.planes[sample, channel]:
            self._second(sample, channel, path, self.planes[sample, channel][number])
        else:
            self.planes[sample, channel][number] = path

    def _second(self, sample: str, channel: str, path: str, other: str) -> None:
        self.problems.append(_second(sample, channel or "whole", path, other))

    def result(self) -> tuple[dict[str, Found], list[Problem]]:
        """Return the samples without those of problems; PipelineError where no channel is known."""
        for (sample, channel), files in self.planes.items():
            ordered = tuple(self.images / files[number] for number in sorted(files))
            self.samples[sample].sources[channel] = Source(ordered)
        of_file: dict[str, str] = {}
        for sample, known in [(sample, self.samples.pop(sample)) for sample in self.whole]:
            path = self.whole[sample]
            for one, found in samples_of_file(sample, self.images / path, self.channels).items():
                if of_file.setdefault(one, path) != path:
                    self._second(one, "", path, of_file[one])
                self.samples[one] = Found(known.sources | found.sources, known.metadata | found.metadata)
        if self.unknown and not any(found.sources for found in self.samples.values()):
            raise NoSampleError(
                f"{self.images}: files have the channels {', '.join(sorted(self.unknown))}; say in the "
                f'layout which is which, such as [channels] nucleus = "{min(self.unknown)}"'
            )
        problems = [*self.problems, *_uneven(self.planes)]
        doubtful = {problem.sample for problem in problems}
        return {one: found for one, found in self.samples.items() if one not in doubtful}, problems


def _described(groups: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the Id and the metadata that the groups of a matched name give.

    Without a group `Id`, the others but those of channels and z planes make it, in the order of the pattern.
    """
    said = dict(groups)
    numbers = ["z", *(["column"] if "row" in said else [])]
    if strange := next((name for name in numbers if not said.get(name, "0").isdecimal()), None):
        raise ValueError(f"its {strange} is '{said[strange]}', no number")
    if "row" in said and "column" in said:
        letter = _row_letters(said["row"])
        said = {"well" if name == "row" else name: text for name, text in said.items() if name != "column"}
        said["well"] = f"{letter}{int(groups['column']):02}"
    elif well := _WELL.fullmatch(said.get("well", "")):
        said["well"] = f"{well[1].upper()}{int(well[2]):02}"
    shown = {name: text for name, text in said.items() if name not in ("Id", "channel", "z")}
    sample = said.get("Id") or "_".join(re.sub(r"[^A-Za-z0-9.+=-]+", "_", one) for one in shown.values())
    return sample, {metadata_name(name): text for name, text in shown.items()}


def _row_letters(row: str) -> str:
    """Return what a row of a plate is called: A of 1, AF of 32, the last one of 1,536 wells."""
    if not row.isdecimal():
        return row
    number = int(row) - 1
    if not 0 <= number < _ROWS:
        raise ValueError(f"its row is '{row}', of plates 1 to {_ROWS}")
    return ("A" if number >= 26 else "") + chr(ord("A") + number % 26)


def metadata_name(column: str) -> str:
    """Return the name that what is known of a picture is kept under: ``Metadata_Plate`` of "plate"."""
    bare = re.sub(r"(?i)^metadata[_ ]+", "", column)
    words = re.sub(r"\W+", "_", bare).strip("_") or "Column"
    return f"{METADATA}{words[0].upper()}{words[1:]}"


def _named_channels(channels: Mapping[str, FileChannel]) -> Callable[[str], str | None]:
    """Return what names a channel by what files call it; without a mapping, its name or colour."""
    called = {_bare(theirs): ours for ours, theirs in channels.items()}
    if not channels:
        called = {**{name: name for name in CHANNELS}, **CHANNEL_OF}
    return lambda text: called.get(_bare(text))


def _bare(name: FileChannel) -> str:
    """Return a channel's name without regard to case and leading zeros."""
    text = str(name).casefold()
    return str(int(text)) if text.isdecimal() else text


def _uneven(planes: Mapping[tuple[str, str], Mapping[int, str]]) -> list[Problem]:
    """Return samples of which one channel has other z planes than another."""
    numbers: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for (sample, channel), files in planes.items():
        numbers[sample][channel] = sorted(files)
    problems = []
    for sample, channels in numbers.items():
        first = next(iter(channels))
        other = next((one for one in channels if channels[one] != channels[first]), None)
        if other is not None:
            both = f"{counted(len(channels[other]), 'z plane')} of {other}, {len(channels[first])} of {first}"
            name = next(iter(planes[sample, other].values()))
            problems.append(Problem(sample, name, both, "add the missing planes, or remove the others"))
    return problems
