"""Find the samples of a folder, or read them from a table."""

import functools
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from pipeline.core.errors import NoSampleError, PipelineError, Problem
from pipeline.core.files import check_regular, file_digest, text_digest, tree_digest
from pipeline.core.names import counted, is_safe_id, slug
from pipeline.core.remote import is_remote
from pipeline.core.seen import see
from pipeline.core.workspace import Workspace
from pipeline.data.dataset_options import PictureOptions
from pipeline.data.discovery import check_folder, discover, metadata_name, unsafe
from pipeline.data.inventory import remedy_of_names
from pipeline.data.layouts import CHANNELS, COLOURS, METADATA, FileChannel, Layout
from pipeline.data.table_fields import named_plane, pixel_size
from pipeline.data.table_files import MISSING
from pipeline.data.tables import read_table, unmatched
from pipeline.data.value_ranges import Ranges, measured_ranges
from pipeline.formats.illumination import Illumination
from pipeline.formats.sources import AS_STORED, Reading, Source

READING = 1
"""Raise it when the same files are read as another picture than before."""

FILE = "file"
"""Column of a table with the one file that holds all channels, which the layout names."""

READ_COLUMNS = (*CHANNELS, *COLOURS.values(), FILE, "scene", "time", "pixel_size_um", "group")
"""Columns of a table of samples beside Id that are read; what else it has is kept."""

CONTENT_DIGITS = 16
"""Leading digits of a fingerprint that are of the content of the files."""


def make_do(channels: Sequence[str]) -> str:
    """Return the remedy where pictures of some channels are missing."""
    remedy = "add the file or leave the sample out"
    if not set(channels) <= {"microtubules", "er"}:
        return remedy
    listed = ", ".join(f'"{channel}"' for channel in channels)
    return f"{remedy}; where some were not stained for it, write optional = [{listed}] in a layout"


@dataclass(frozen=True)
class Sample:
    """One protein in one field of view, with the markers that were stained beside it.

    Attributes
    ----------
    id : str, safe as a file name
    sources : tuple of Source or None
        Where each channel lies, in the order of `CHANNELS`; None where it was not recorded.
    pixel_size_um : float or None
        Side of a pixel in micrometres, where the user gave it.
    group : str or None
        Samples of one group (antibody, protein, duplicates) never straddle folds.
    folder : Path
        The folder of pictures, which holds all files.
    reading : Reading
        How values are read.
    metadata : tuple of (str, str)
        Further columns of the table of samples, as ``Metadata_<name>``, with their values.
    illumination : tuple of (str, Illumination)
        By channel, the uneven illumination that is removed when it is read; see `flat_fields`.
    """

    id: str
    sources: tuple[Source | None, ...]
    pixel_size_um: float | None = None
    group: str | None = None
    folder: Path = Path()
    reading: Reading = AS_STORED
    metadata: tuple[tuple[str, str], ...] = ()
    illumination: tuple[tuple[str, Illumination], ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that were recorded."""
        return tuple(name for name, one in zip(CHANNELS, self.sources, strict=True) if one is not None)

    @property
    def paths(self) -> tuple[Path, ...]:
        """All its files, each once, in the order of channels."""
        return tuple(dict.fromkeys(path for one in self.sources if one is not None for path in one.files))

    def with_channels(self, channels: Iterable[str]) -> "Sample":
        """Return the sample without the channels that are not among these."""
        kept = set(channels)
        pairs = zip(CHANNELS, self.sources, strict=True)
        return replace(self, sources=tuple(one if name in kept else None for name, one in pairs))

    def of_protein(self, name: str) -> "Sample":
        """Return the sample as that of one of several proteins of its field."""
        known = dict(self.metadata) | {f"{METADATA}Protein": name}
        return replace(self, id=f"{self.id}_{name}", metadata=tuple(known.items()))

    def source(self, channel: str) -> Source:
        """Return where a channel that was recorded lies."""
        source = self.sources[CHANNELS.index(channel)]
        if source is None:
            raise KeyError(channel)
        return source

    @functools.cached_property
    def files(self) -> dict[str, Path]:
        """Its files by their paths below the folder of pictures."""
        return {path.relative_to(self.folder).as_posix(): path for path in self.paths}

    @property
    def taken(self) -> list[object]:
        """What is read of which file, and how; empty where four files hold a plane each."""
        selected = [None if one is None else (len(one.files), *one.selected) for one in self.sources]
        plain = len(self.paths) == len(CHANNELS) and set(selected) == {(1, None, None, None)}
        how = replace(self.reading, is_given=False)
        return [] if plain and how == AS_STORED else [selected, astuple(how)]


def fingerprints(samples: Iterable[Sample], work: Workspace) -> dict[str, str]:
    """Return, by Id, `CONTENT_DIGITS` of the content of each sample's files, and as many of the rest.

    The rest are `READING`, their paths below the folder of pictures, and the pixel size. A picture that was
    copied or touched keeps its digest; the work folder keeps them (`see`).
    """
    listed = list(samples)
    content = see(
        {name: path for one in listed for name, path in one.files.items()}, work.pictures_seen, _digest
    )
    return {
        one.id: text_digest([content[name] for name in one.files])[:CONTENT_DIGITS]
        + text_digest([READING, list(one.files), one.pixel_size_um, *one.taken, *one.illumination])[
            :CONTENT_DIGITS
        ]
        for one in listed
    }


def _digest(path: Path) -> str:
    if path.is_dir():
        return tree_digest(path)
    check_regular(path)
    return file_digest(path)


def picture_inputs(samples: Sequence[Sample], problems: Iterable[Problem], work: Workspace) -> dict[str, str]:
    """Return the fingerprints of pictures as a stage's inputs, and of what `find_samples` left out."""
    folder = str(samples[0].folder)  # where it lies does not count
    left_out = [[one.sample, one.file, *one.reason.split(folder)] for one in problems]
    return {
        "pictures": text_digest(fingerprints(samples, work)),
        "samples that are left out": text_digest(left_out),
    }


def samples_of(options: PictureOptions) -> tuple[list[Sample], list[Problem]]:
    """List the samples that the options of a command name; see `find_samples`.

    Raises
    ------
    PipelineError
        As `find_samples` does, and where no folder of pictures is given.
    """
    if options.images is None:
        raise PipelineError("--images is missing; give the folder of pictures")
    work = getattr(options, "work", None)
    record = None if work is None else Workspace(work)
    return find_samples(options.images, options.samples, options.layout_in_use, record)


def ranges_of(samples: Sequence[Sample], layout: Layout, work: Workspace | None) -> Ranges | None:
    """Return which value is white in the files of a data set; None where the user states it."""
    if layout.range is not None:
        return None
    files = {name: path for sample in samples for name, path in sample.files.items()}
    return measured_ranges(files, layout.white, work)


def find_samples(
    images: Path, table: Path | None = None, layout: Layout | None = None, work: Workspace | None = None
) -> tuple[list[Sample], list[Problem]]:
    """List the samples of a folder, by name or as a table says, in the order of ids; and what is of no use.

    Parameters
    ----------
    images : Path
        Folder of ``<Id>_{red,green,blue,yellow}.png`` (or .tif, .tiff, .ome.tif, .ome.tiff, .jpg, .jpeg).
    table : Path, optional
        csv with ``Id``, one column per channel (``microtubules, protein, nucleus, er`` or the colours)
        holding paths inside `images`, or ``file`` with the file of all channels, and optionally ``scene``,
        ``time``, ``pixel_size_um`` and ``group``; what else it has is kept as ``Metadata_<name>``.
    layout : Layout, optional
        Which channel of the files shows what, and how values are read.
    work : Workspace, optional
        Where it is remembered what was seen in files.

    Raises
    ------
    PipelineError
        If the folder or table is missing or holds no sample.
    """
    layout = layout or Layout()
    samples, problems = list_samples(images, table, layout)
    return with_ranges(samples, layout, work), problems


def list_samples(images: Path, table: Path | None, layout: Layout) -> tuple[list[Sample], list[Problem]]:
    """List samples as `find_samples` does, by names: no file is opened for its values."""
    check_folder(images)
    found = _from_folder(images, layout) if table is None else _from_table(images, table, layout)
    samples, problems = found[0], [*found[1]]
    samples, incomplete = _complete(samples, layout)
    problems += incomplete if table is None else [replace(one, file=table.name) for one in incomplete]
    outside = _outside(images, samples)
    samples = [sample for sample in samples if sample.id not in outside]
    problems += outside.values()
    if not samples:
        one = problems[0] if problems else None
        first = f"; first problem: {one.told}" if one else ""
        names = ", ".join(f"<Id>_{colour}.png" for colour in COLOURS.values())
        is_told = table is not None or layout.files is not None or layout.file_channels
        where = table or (f"{images}" if is_told else f"{images} (expected {names})")
        inside = images / "images"
        meant = f"; did you mean {inside}?" if table is None and inside.is_dir() else ""
        looked = "" if one or meant or table else f"; {remedy_of_names(images)}"
        raise NoSampleError(f"no usable sample in {where}{first}{meant}{looked}", problems)
    ordered = sorted(samples, key=lambda sample: sample.id)
    return [replace(sample, folder=images, reading=layout.reading) for sample in ordered], problems


def with_ranges(samples: Sequence[Sample], layout: Layout, work: Workspace | None = None) -> list[Sample]:
    """Return samples of which it is known what is white in their files; see `ranges_of`."""
    if ranges := ranges_of(samples, layout, work):
        return [replace(one, reading=ranges.of(one.reading, [*one.files])) for one in samples]
    return [*samples]


def _complete(samples: Iterable[Sample], layout: Layout) -> tuple[list[Sample], list[Problem]]:
    """Take the channels that are used, and part the samples that lack one which they must have.

    This decides, for all commands, which channels a set of samples has: what none of them shows is absent,
    what some show is needed of all unless the layout calls it optional.
    """
    used = [sample.with_channels(layout.used) for sample in samples]
    recorded = {channel for one in used for channel in one.channels}
    needed = layout.needed(recorded)
    kept, problems = [], []
    for sample in used:
        lacking = [channel for channel in needed if channel not in sample.channels]
        if lacking:
            problems.append(_incomplete(sample, lacking, recorded))
        else:
            kept.append(sample)
    return kept, problems


def _incomplete(sample: Sample, lacking: Sequence[str], recorded: set[str]) -> Problem:
    names = ", ".join(f"{sample.id}_{COLOURS[channel]}{sample.paths[0].suffix}" for channel in lacking)
    others = ", which others have" if recorded.issuperset(lacking) else ""
    return Problem(sample.id, names, f"no picture of {' and '.join(lacking)}{others}", make_do(lacking))


def told_channels(samples: Sequence[Sample]) -> list[str]:
    """Say, in a line each, what pictures in colours show, and which channels no sample shows or some lack."""
    colours = Counter(
        ", ".join(
            f"{found.channel} is {name}" for name in one.channels if (found := one.source(name)).channel
        )
        for one in samples
        if {found.channel for found in one.sources if found} & {"red", "green", "blue"}
    )
    lines = [f"{counted(number, 'sample')} in colours: {text}" for text, number in colours.items()]
    for channel in CHANNELS:
        lack = sum(channel not in sample.channels for sample in samples)
        if lack == len(samples):
            lines.append(f"no picture of {channel}: its columns are empty")
        elif lack:
            of = f"{lack:,} of {counted(len(samples), 'sample')} have"
            lines.append(f"{of} no picture of {channel}: its columns are empty there")
    return lines


def _from_folder(images: Path, layout: Layout) -> tuple[list[Sample], list[Problem]]:
    discovered, problems = discover(images, layout)
    samples = []
    for sample_id, found in discovered.items():
        if not is_safe_id(sample_id):
            file = next(iter(found.sources.values())).path.name
            problems.append(unsafe(sample_id, file))
            continue
        known = tuple(sorted(found.metadata.items()))
        for protein in layout.proteins or ("",):
            of_channel = found.sources | (
                {"protein": found.sources[protein]} if protein in found.sources else {}
            )
            sources = tuple(map(of_channel.get, CHANNELS))
            group = found.metadata.get(f"{METADATA}Group")
            sample = Sample(sample_id, sources, group=group, metadata=known)
            samples.append(sample.of_protein(protein) if protein else sample)
    return samples, problems


def _outside(images: Path, samples: Iterable[Sample]) -> dict[str, Problem]:
    """Return, by Id, what leads out of the folder of pictures by symbolic links."""
    problems, resolved = {}, functools.cache(os.path.realpath)
    for sample in () if is_remote(images) else samples:
        for path in sample.paths:
            try:
                real = resolved(path if path.is_symlink() else path.parent)
            except OSError as error:
                reason = f"cannot be looked for ({error.strerror})"
                problems[sample.id] = Problem(sample.id, path.name[:80], reason, "give the path of a file")
                continue
            if not Path(real).is_relative_to(resolved(images)):
                reason = f"is a link to {real}, outside the folder of pictures"
                problems[sample.id] = Problem(sample.id, path.name, reason, f"copy the file into {images}")
    return problems


def _from_table(images: Path, path: Path, layout: Layout) -> tuple[list[Sample], list[Problem]]:
    table = read_table(path, ("Id",), READ_COLUMNS, others=True)
    columns = _channel_columns(path, table.columns, layout)
    taken = {column for one in columns.values() for column in one.values()}
    further = _further(path, [name for name in table.columns if name not in taken])
    repeated = table["Id"].duplicated(keep=False)
    problems = unmatched(table["Id"][repeated], path.name, "duplicate id", "keep one row per Id")
    samples = []
    for row in table[~repeated].to_dict("records"):
        texts = {str(key): str(value) for key, value in row.items()}
        kept = tuple((name, texts[column]) for column, name in further.items())
        if not is_safe_id(texts["Id"]):
            problems.append(unsafe(texts["Id"], path.name, "give it another Id"))
            continue
        try:
            for protein, of_channel in columns.items():
                named = {**layout.channels, **({"protein": layout.proteins[protein]} if protein else {})}
                sample = replace(_from_row(images, texts, of_channel, named), metadata=kept)
                samples.append(sample.of_protein(protein) if protein else sample)
        except ValueError as error:
            reason, _, remedy = str(error).partition("; ")
            problems.append(Problem(str(row["Id"]), path.name, reason, remedy))
    return samples, problems


def _further(path: Path, found: Iterable[str]) -> dict[str, str]:
    """Return the columns that are of no use here but kept, with the names that they are kept under.

    A column of pixel sizes or groups under a name that would not be read is refused.
    """
    names = [name for name in found if name not in {"Id", *READ_COLUMNS}]
    for option in {"pixel_size_um", "group"} - set(found):
        alike = [name for name in names if slug(name).startswith(option.partition("_")[0])]
        if alike:
            raise PipelineError(
                f"{path}: column '{alike[0]}' would not be read; call it '{option}', or otherwise"
            )
    kept = {name: metadata_name(name) for name in names}
    if len(set(kept.values())) < len(kept):
        raise PipelineError(f"{path}: two columns would be '{_twice(kept.values())}'; rename one of them")
    return kept


def _twice(names: Iterable[str]) -> str:
    return next(name for name, count in Counter(names).items() if count > 1)


def _channel_columns(path: Path, found: Iterable[str], layout: Layout) -> dict[str, dict[str, str]]:
    """Map each channel that has one to its column: by protein, or by "" where the layout names none."""
    columns: dict[str, str] = {}
    known = set(found)
    if FILE in known:
        return {
            name: dict.fromkeys([*(layout.channels or CHANNELS), "protein"], FILE)
            for name in layout.proteins or [""]
        }
    for channel, colour in COLOURS.items():
        named = [name for name in (channel, colour) if name in known]
        if len(named) > 1:
            raise PipelineError(f"{path}: '{channel}' and '{colour}' are of one channel; keep one column")
        columns |= {channel: named[0]} if named else {}
    proteins = {name: str(column) for name, column in layout.proteins.items()} or {
        "": columns.get("protein", "")
    }
    for name, column in proteins.items():
        if column not in known:
            wanted = f"'{column}' of {name}" if name else "'protein' or 'green'"
            raise PipelineError(
                f"{path}: needs one column {wanted}; give that channel's paths in it, or those of files of "
                f"many channels in a column '{FILE}'"
            )
    return {name: columns | {"protein": column} for name, column in proteins.items()}


def _from_row(
    images: Path, row: Mapping[str, str], columns: Mapping[str, str], named: Mapping[str, FileChannel]
) -> Sample:
    """Make a sample of a row; a channel without a column, or with an empty field, was not recorded."""
    scene, time = row.get("scene", ""), row.get("time", "")
    if time not in MISSING and not time.isdecimal():
        raise ValueError(f"time '{time}' is no number; count time points from 0")
    when = None if time in MISSING else int(time)
    sources: dict[str, Source] = {}
    for channel, column in columns.items():
        if row[column] not in MISSING:
            files, selected = named_plane(images, row[column])
            if column == FILE and selected is None:
                selected = named.get(channel)
            sources[channel] = Source(files, selected, None if scene in MISSING else scene, when)
    listed = list(sources.values())
    planes = [(path, source.channel) for source in listed for path in source.files]
    if twice := [path.name for path, selected in planes if planes.count((path, selected)) > 1]:
        raise ValueError(f"'{twice[0]}' is given for several channels or planes; give each its own file")
    if len({len(source.files) for source in listed}) > 1:
        numbers = ", ".join(f"{len(source.files)} of {channel}" for channel, source in sources.items())
        raise ValueError(f"files of z planes: {numbers}; name as many for each channel")
    size = pixel_size(row.get("pixel_size_um", ""))
    group = row.get("group", "")
    return Sample(row["Id"], tuple(map(sources.get, CHANNELS)), size, None if group in MISSING else group)
