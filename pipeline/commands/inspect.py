"""The command for looking first: `inspect`."""

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.commands.command_line import command
from pipeline.commands.console import RichProgress, made, say, show_table, some, written
from pipeline.core.names import counted
from pipeline.data.dataset_options import PictureOptions
from pipeline.stages.exchange_options import InspectOptions
from pipeline.stages.options import ExtractOptions

if TYPE_CHECKING:
    from pipeline.stages.inspect import Inspection


@command(InspectOptions)
def inspect(options: InspectOptions) -> None:
    """Look at a folder of pictures: what is there, what would be read, and what has to be said.

    The first command for your own pictures. It reads every header and some pixels, shows a table, and
    writes a contact sheet, the samples as they would be read and, where files are not named as in the Human
    Protein Atlas, a `layout.toml` to edit. Nothing is written among the pictures.

    Example: python run.py inspect --images my_pictures --out inspected
    """
    from pipeline.pages.history import command_of
    from pipeline.stages.inspect import inspect as run

    found = run(options, RichProgress())
    made(_result(found))
    titles = ("files", "type", "values", "range seen", "size", "channels", "z", "t", "µm")
    rows = [_row(one) for one in found.kinds.head(_MOST).to_dict("records")]
    show_table(titles, rows, words=len(titles))
    if len(found.kinds) > _MOST:
        say(f"… and {counted(len(found.kinds) - _MOST, 'more kind')} of files")
    some([f"cannot be read: {text}" for text in found.unreadable])
    _say_samples(found)
    for path in found.paths:
        written(path)
    if found.sheetless:
        say(f"No contact sheet: {found.sheetless}")
    if found.layout is not None:
        sheet = "" if found.sheetless else f"look at {options.out / 'sheet.png'}, "
        say(f"Next: {sheet}edit {found.layout}, and inspect again with --layout")
    elif found.samples:
        given = {name: getattr(options, name) for name in PictureOptions.model_fields}
        command_line = command_of("extract", ExtractOptions.model_validate(given | {"work": "work"}))
        say(f"Next: {command_line.replace('--layout layout.toml', '--layout LAYOUT')}")


def _result(found: "Inspection") -> dict[str, object]:
    """Return what is found as an object."""
    return {
        "kinds": found.kinds.to_dict("records"),
        "samples": {one.id: one.channels for one in found.samples},
        "problems": found.problems,
        "unreadable": found.unreadable,
        "written": found.paths,
        "layout": found.layout,
    }


_MOST = 12
"""Kinds of files that are shown."""


def _row(kind: Mapping[Hashable, Any]) -> tuple[str, ...]:
    """Return one kind of files as a row of the table."""
    low, high = kind["low"], kind["high"]
    seen = "" if low != low or low is None else f"{low:g}-{high:g}"
    texts = [kind[name] for name in ("size", "channels", "z", "t")]
    return f"{kind['files']:,}", kind["type"], kind["values"], seen, *map(str, texts), kind["µm"] or "?"


def _say_samples(found: "Inspection") -> None:
    """Say which samples would be read, what they have, and which would be skipped."""
    from pipeline.data.samples import told_channels

    if not found.samples:
        say(f"No sample can be read yet. {found.refused}")
    sets = Counter(", ".join(sample.channels) for sample in found.samples)
    for channels, number in sets.most_common():
        say(f"{counted(number, 'sample')} of {channels}, such as {_example(found, channels)}")
    for line in told_channels(found.samples) if found.samples else []:
        say(line)
    for name in sorted({name for sample in found.samples for name, _ in sample.metadata}):
        values = Counter(dict(sample.metadata).get(name, "") for sample in found.samples)
        say(f"{name}: {counted(len(values), 'value')}, such as {', '.join(list(values)[:3])}")
    if found.problems:
        once = {(one.sample, one.reason): one for one in reversed(found.problems)}  # the first of several
        say(f"{counted(len(once), 'sample')} would be skipped:")
        some([f"{one.sample}: {one.told}" for one in reversed(once.values())])
    if 0 < found.looked_at < len(found.samples):
        say(f"{counted(found.looked_at, 'sample')} read in full, of the others the headers alone")
    if found.spare:
        say(f"{counted(len(found.spare), 'file')} of no sample, such as {found.spare[0]}")


def _example(found: "Inspection", channels: str) -> str:
    return next(one.id for one in found.samples if ", ".join(one.channels) == channels)
