"""Lists of samples of other programs: CellProfiler, SubCellPortable, cellmaps, and Kaggle's two competitions.

Every reader returns a table of text: ``Id``, a path per channel as it is written there (empty where there is
none), and ``Metadata_…``.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pandas as pd

from pipeline.core.errors import PipelineError
from pipeline.core.names import counted, slug, unknown
from pipeline.data.discovery import metadata_name
from pipeline.data.labels import parse_target
from pipeline.data.layouts import CHANNEL_OF, CHANNELS, COLOURS, METADATA
from pipeline.data.locations import LocationList
from pipeline.data.tables import read_table

NAMES = {
    "protein": ("protein", "green"),
    "nucleus": ("nucleus", "nuclei", "dna", "dapi", "hoechst", "blue"),
    "microtubules": ("microtubules", "tubulin", "red"),
    "er": ("er", "endoplasmic_reticulum", "yellow"),
}
"""What images of other programs are called that show a channel; the user says what others show."""

FILE = "name of the protein's file"

TELLING = (("Plate", "Well", "Site"), ("Plate", "Well", "Site", "ImageNumber"), (FILE,))
"""Columns of CellProfiler that tell rows apart; the first of these that do make the ids, which is said."""

_IMAGE = re.compile(r"(?:Image_)?(FileName|PathName|URL|Frame|Series)_(.+)")
_COLOURED = re.compile(rf"(.+?)_?_({'|'.join(COLOURS.values())})\.\w+", re.IGNORECASE)
_FOLDERS = ("", "train", "images", *COLOURS.values())
_PLANES = ("Frame", "Series")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.+=-]+")


class Listed(NamedTuple):
    """Samples as a list has them, what to tell of how it was read, and its labels by name, if any."""

    table: pd.DataFrame
    notes: list[str]
    labels: pd.DataFrame | None = None


def read_cellprofiler(path: Path, chosen: Mapping[str, Sequence[str]], telling: Sequence[str]) -> Listed:
    """Read a csv for CellProfiler's LoadData, or an Image.csv that it wrote.

    Parameters
    ----------
    path : Path
    chosen : mapping of str to sequence of str
        Channel to names of images, as in ``FileName_<name>``; of several proteins each becomes a sample.
    telling : sequence of str
        Columns that make up the id; of `TELLING` unless given.

    Raises
    ------
    PipelineError
        If it is not clear which image is which channel, or what tells the rows apart.
    """
    table = _read(path)
    parts = {
        match[0]: (match[2], match[1]) for column in map(str, table) if (match := _IMAGE.fullmatch(column))
    }
    names = list(dict.fromkeys(name for name, kind in parts.values() if kind in ("FileName", "URL")))
    if not names:
        raise PipelineError(f"{path}: no column FileName_… or URL_…; give a csv for CellProfiler's LoadData")
    columns = {part: column for column, part in parts.items()}
    further = _further(path, table[[column for column in table if column not in parts]])
    channels = _channels(path, names, chosen)
    paths = {name: _paths(path, table, name, columns) for name in names}
    files = paths[channels["protein"][0]].str.extract(r"([^/\\]*?)(?:\.\w+)?(?:#\d+)?$")[0]
    ids, made_of = _ids(path, further.assign(**{FILE: files}), telling)
    further.insert(0, "Id", ids)
    return Listed(_per_protein(further, channels, paths), [*_told(channels, names), f"Ids: {made_of}"])


def _paths(
    path: Path, table: pd.DataFrame, name: str, columns: Mapping[tuple[str, str], str]
) -> "pd.Series[str]":
    """Return the paths of one image, with ``#<frame>`` where files hold several.

    Addresses of files are paths, others stay as they are.
    """
    planes = {kind: [column for (_, one), column in columns.items() if one == kind] for kind in _PLANES}
    filled = {kind: table[found].isin(["", "0"]).all(axis=None) for kind, found in planes.items()}
    if not filled["Series"]:
        raise PipelineError(f"{path}: a file of several series is not read; save each as a file of its own")

    def of(kind: str) -> "pd.Series[str]":
        column = columns.get((name, kind))
        return pd.Series("", table.index, dtype=object) if column is None else table[column]

    file, folder = of("FileName"), of("PathName")
    joined = file.where(folder == "", folder + "/" + file).where(file != "", of("URL").map(_local))
    frame = of("Frame")
    return joined if filled["Frame"] else joined + ("#" + frame).where((frame != "") & (joined != ""), "")


def _local(url: str) -> str:
    """Return the path that an address of a file means; other addresses stay."""
    path = re.sub("^/(?=[A-Za-z]:)", "", unquote(urlsplit(url).path))  # of Windows
    return path if url.startswith("file:") else url


def _ids(path: Path, further: pd.DataFrame, telling: Sequence[str]) -> tuple[list[str], str]:
    """Make an id for every row, of the first columns that tell them apart; say which."""
    by_name = {name.removeprefix(METADATA).casefold(): name for name in map(str, further)}
    for name in telling:
        if name.removeprefix(METADATA).casefold() not in by_name:
            raise PipelineError(f"{path}: {unknown('column', name, by_name.values())}")
    is_plate = {"plate", "well", "site"} <= set(by_name)  # two rows of one site are a mistake
    for wanted in (telling,) if telling else TELLING[: 2 if is_plate else 3]:
        keys = (name.removeprefix(METADATA).casefold() for name in wanted)
        found = [by_name[key] for key in keys if key in by_name]
        cells = further[found].to_numpy(dtype=object)
        ids = [_UNSAFE.sub("_", "_".join(row)).strip("_.+=-") for row in cells]
        if len(set(ids)) == len(ids) and all(ids):
            return ids, ", ".join(found)
    raise PipelineError(
        f"{path}: {', '.join(wanted)} do not tell the rows apart; name the columns that do as --id, "
        f"of: {', '.join(by_name.values())}"
    )


def _channels(path: Path, names: Sequence[str], chosen: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the names of images by channel: those that were chosen, and those that mean nothing else."""
    taken = [name for given in chosen.values() for name in given]
    for name in taken:
        if name not in names:
            raise PipelineError(f"{path}: {unknown('image', name, names)}")
    found: dict[str, list[str]] = {}
    for channel in CHANNELS:
        alike = [name for name in names if _plain(name) in NAMES[channel] and name not in taken]
        found[channel] = list(chosen.get(channel, alike))
        if channel not in chosen and len(alike) > 1:
            raise PipelineError(
                f"{path}: {' and '.join(alike)} may be {channel}; say --channel {channel}=NAME"
            )
    if not found["protein"]:
        raise PipelineError(
            f"{path}: which image shows the protein is not clear; say --channel protein=NAME, of: "
            f"{', '.join(names)}"
        )
    return found


def _plain(name: str) -> str:
    return re.sub("^(orig|corr|raw)_?", "", slug(name))


def _told(channels: Mapping[str, Sequence[str]], names: Sequence[str]) -> list[str]:
    used = [f"{channel} = {', '.join(given) or 'none'}" for channel, given in channels.items()]
    left = [name for name in names if not any(name in given for given in channels.values())]
    return [
        f"Channels: {'; '.join(used)}",
        *([f"Images that are not used: {', '.join(left)}"] if left else []),
    ]


def _per_protein(
    further: pd.DataFrame, channels: Mapping[str, Sequence[str]], paths: Mapping[str, "pd.Series[str]"]
) -> pd.DataFrame:
    """Return a row per sample; of several proteins in one field, each is one."""
    made = []
    for protein in channels["protein"]:
        table = further.copy()
        for channel, names in channels.items():
            name = protein if channel == "protein" else next(iter(names), None)
            table[channel] = "" if name is None else paths[name]
        if len(channels["protein"]) > 1:
            table["Id"] += f"_{slug(protein)}"
            table = table[table["protein"] != ""]
        made.append(table)
    return pd.concat(made, ignore_index=True)


def read_subcell(path: Path) -> Listed:
    """Read the list of pictures of SubCellPortable: r_image, y_image, b_image, g_image, output_prefix.

    Further columns ``<name>_image`` are further proteins; rows that begin with "#" are left out, as there.
    """
    table = _read(path)
    needed = [name for name in ("b_image", "g_image", "output_prefix") if name not in table]
    if needed:
        raise PipelineError(f"{path}: no column {', '.join(needed)}; give SubCellPortable's path_list.csv")
    off = table.iloc[:, 0].str.startswith("#")
    table = table[~off].reset_index(drop=True)
    images = [name for name in map(str, table) if name.endswith("_image")]
    marker = {"microtubules": "r_image", "er": "y_image", "nucleus": "b_image"}
    proteins = [name for name in images if name not in marker.values()]
    channels = {channel: [name] if name in table else [] for channel, name in marker.items()}
    further = _further(path, table.drop(columns=images))
    folder = table["output_folder"] + "/" if "output_folder" in table else ""
    names = table["output_prefix"] if table["output_prefix"].is_unique else folder + table["output_prefix"]
    further.insert(0, "Id", names.map(lambda name: _UNSAFE.sub("_", name).strip("_.+=-")))
    made = _per_protein(further, {**channels, "protein": proteins}, {name: table[name] for name in images})
    return Listed(made, [f"Rows that begin with #, left out: {int(off.sum()):,}"] * bool(off.any()))


def _read_folder(root: Path) -> pd.DataFrame:
    """List pictures ``<Id>_<colour>.<type>`` of a folder and its ``train``, ``images``, ``red``, … there."""
    found: dict[str, dict[str, str]] = {}
    for file in (file for folder in _FOLDERS for file in sorted((root / folder).glob("[!.]*"))):
        match = _COLOURED.fullmatch(file.name)
        if match and not re.search(rf"_({'|'.join(CHANNEL_OF)})$", match[1], re.IGNORECASE):
            row = found.setdefault(match[1], {"Id": match[1], **dict.fromkeys(CHANNELS, "")})
            channel, path = CHANNEL_OF[match[2].lower()], file.relative_to(root).as_posix()
            if row[channel]:
                raise PipelineError(f"{root}: {row[channel]} and {path} are one picture; remove one of them")
            row[channel] = path
    if not found:
        raise PipelineError(
            f"{root}: no picture <Id>_red, <Id>_green, … in it or its folders {', '.join(_FOLDERS[1:])}; "
            "check the path"
        )
    return pd.DataFrame([found[name] for name in sorted(found)], dtype=object)


def read_cellmaps(root: Path) -> Listed:
    """Read the folder that cellmaps_imagedownloader writes: folders of colours, and a table of samples."""
    samples = _read_folder(root)
    tables = [root / name for name in ("samples.csv", "samplescopy.csv", "1_image_gene_node_attributes.tsv")]
    path = next((path for path in tables if path.is_file()), None)
    if path is None:
        return Listed(
            samples, [f"Pictures without further columns: no {' or '.join(one.name for one in tables)}"]
        )
    table = _read(path, "filename")
    table.insert(0, "Id", table["filename"].map(lambda name: name.rpartition("/")[2].rstrip("_")))
    notes = [_matched(samples, table, path)]
    labels = None
    if "locations" in table:
        targets = table["locations"].str.split(r"\s*[,;|]\s*", regex=True).str.join("|")
        labels = table[["Id"]].assign(Target=targets)[targets != ""]
    further = _further(path, table.set_index("Id"))
    return Listed(samples.join(further, on="Id").fillna(""), notes, labels)


def read_kaggle(root: Path, path: Path, locations: LocationList) -> Listed:
    """Read the pictures of a competition and its train.csv, ``Id,Target`` or ``ID,Label``, of its classes."""
    samples, table = _read_folder(root), _read(path, "Id")
    column = next((name for name in ("Target", "Label") if name in table), None)
    if column is None:
        raise PipelineError(f"{path}: no column Target or Label; give the competition's train.csv")
    try:
        parsed = [sorted(parse_target(text, locations).columns) for text in table[column]]
    except ValueError as error:
        raise PipelineError(f"{path}: {error}; is it of the other competition?") from error
    targets = ["|".join(locations.names[number] for number in one) for one in parsed]
    notes = [_matched(samples, table, path)]
    return Listed(samples, notes, pd.DataFrame({"Id": table["Id"], "Target": targets}))


def _matched(samples: pd.DataFrame, table: pd.DataFrame, path: Path) -> str:
    """Say how many samples a table has; refuse one that has none, or one twice."""
    twice = table["Id"][table["Id"].duplicated()]
    if len(twice):
        raise PipelineError(f"{path}: '{twice.iloc[0]}' occurs twice with other values; keep one row")
    here = samples["Id"].isin(table["Id"])
    if not here.any():
        raise PipelineError(
            f"{path}: has no picture; one is '{samples['Id'].iloc[0]}', a row '{table['Id'].iloc[0]}'"
        )
    return f"{path.name}: {int(here.sum()):,} of {counted(len(samples), 'picture')} have a row there"


def _further(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Call columns that are kept ``Metadata_…``."""
    names = {name: metadata_name(re.sub("^Image_(?=Metadata_)", "", name)) for name in map(str, table)}
    if twice := [name for name, kept in names.items() if list(names.values()).count(kept) > 1]:
        raise PipelineError(
            f"{path}: columns '{twice[0]}' and '{twice[1]}' would both be '{names[twice[0]]}'; rename one"
        )
    return table.rename(columns=names)


def _read(path: Path, *needed: str) -> pd.DataFrame:
    """Read all columns of a table as text; CellProfiler's manual has spaces before quotation marks."""
    if not path.is_file():
        raise PipelineError(f"{path}: no such file; give the table of the other program")
    table = read_table(path, needed, others=True)
    if table.empty:
        raise PipelineError(f"{path}: has no row; give the table of the other program")
    return table.rename(columns=lambda name: name.strip('"')).map(lambda text: text.strip('"'))
