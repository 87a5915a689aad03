"""The terminal: results on standard output, progress and errors beside it, in one style for all commands."""

import io
import json
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from pipeline.core.errors import Problem
from pipeline.core.remote import shown
from pipeline.core.stage import Advance

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


_made: list[object] = []
"""What a command has made, for ``--json``."""

WIDE = 10_000
"""Columns of a file or a pipe, in which no line of a table is wrapped."""
LOGGED = 30.0
"""Seconds between lines of progress where there is no terminal."""


@contextmanager
def printing(command: str, *, as_json: bool, quiet: bool, lasting: bool) -> Iterator[None]:
    """Print what a command says in the block as it is asked for.

    Parameters
    ----------
    command : str
    as_json : bool
        One JSON object in the end: ``command``, ``result`` (see `made`) and the lines that were ``said``. Of
        a `lasting` command a JSON object for every line, at once.
    quiet : bool
        Nothing, but for errors.
    """
    _made.clear()
    lines = _Lines() if lasting else io.StringIO()
    console.quiet = quiet and not as_json
    errors.quiet = quiet
    if as_json:
        console.file = lines
    try:
        yield
    finally:
        console.quiet = errors.quiet = False
        console.file = None  # type: ignore[assignment]  # standard output, whatever it is by then
        failed = sys.exception() is not None and not hasattr(sys.exception(), "exit_code")
        if as_json and not lasting and not failed:
            said = [line.rstrip() for line in lines.getvalue().splitlines() if line.strip()]
            document = {"command": command, "result": _made[-1] if _made else None, "said": said}
            print(_as_json(document, 1))


class _Lines(io.StringIO):
    """Prints every line that is written as a JSON object, at once."""

    def write(self, text: str) -> int:
        for line in filter(None, text.splitlines()):
            print(_as_json({"said": line}), flush=True)
        return len(text)


def _as_json(value: object, indent: int | None = None) -> str:
    """Return anything that a command makes as JSON; NaN becomes null."""
    from pydantic_core import to_jsonable_python

    plain = to_jsonable_python(value, fallback=_plain, inf_nan_mode="null")
    return json.dumps(plain, indent=indent, ensure_ascii=False)


def _plain(value: Any) -> object:
    """Turn tables into mappings, numpy's numbers into Python's, and what else there is into text."""
    if hasattr(value, "to_dict"):
        return {str(name): one for name, one in (value.T if value.ndim > 1 else value).to_dict().items()}
    return value.item() if hasattr(value, "item") else str(value)


def made(result: object) -> None:
    """Tell what a command has made, as an object: what ``--json`` prints as its result."""
    _made.append(result)


def say(text: str = "") -> None:
    """Print one line, which the terminal wraps and a file does not: paths stay whole."""
    console.print(shown(text), markup=False, soft_wrap=True)


def written(path: Path, what: str = "") -> None:
    """Say what was written."""
    say(f"Written: {path}" + (f" ({what})" if what else ""))


def following(*words: object, why: str = "Next: ") -> None:
    """Say which command comes next, quoted so that it can be copied."""
    say(why + shlex.join(["python", "run.py", *(shown(str(word)) for word in words)]))


def some(lines: Sequence[str], most: int = 3) -> None:
    """Print the first lines of a list, and how many are left."""
    for line in lines[:most]:
        say(f"  {line}")
    if len(lines) > most:
        say(f"  … and {len(lines) - most:,} more")


def skipped(problems: Sequence[Problem], listed: Path, became: str = "skipped") -> None:
    """Say how many samples were skipped, if any, which the first are, and where all of them are listed."""
    if problems:
        say(f"{len(problems):,} {became}, with reason and remedy: {listed}")
        some([f"{one.sample}: {one.told}" for one in problems])


def address(host: str, port: int) -> str:
    """Return where a server is found; numbers of IPv6 stand in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def show_table(titles: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> None:
    """Print a table.

    Parameters
    ----------
    titles : sequence of str
    rows : iterable of sequence of str
        Of as many texts as there are titles.
    words : int
        Columns at the left that hold words; numbers stand at the right of the others.
    """
    table = Table(box=None, padding=(0, 1, 0, 0))
    for index, title in enumerate(titles):
        table.add_column(title, justify="left" if index < words else "right", no_wrap=index == 0)
    for row in rows:
        table.add_row(*map(escape, row))
    print_table(table)


def print_table(table: Table) -> None:
    """Print a table, which a terminal wraps within its columns and a file does not: paths stay whole."""
    if console.is_terminal:
        console.print(table)
    else:
        lines = io.StringIO()
        Console(file=lines, width=WIDE, highlight=False).print(table)
        for line in lines.getvalue().splitlines():
            say(line.rstrip())


class RateColumn(ProgressColumn):
    """Units finished per second, or seconds per unit where it is slow."""

    def render(self, task: Task) -> Text:
        """Return the rate of one bar."""
        elapsed = task.finished_time or task.elapsed
        if not elapsed or not task.completed:
            return Text("")
        speed = task.completed / elapsed  # of the whole run: chunks that finish together would mislead
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each")


class RichProgress:
    """Progress on the terminal, beside the results; plain lines where that is not a terminal."""

    @contextmanager
    def track(self, description: str, total: int) -> Iterator[Advance]:
        """Show a bar of `total` units while the block runs."""
        if not errors.is_terminal:
            self.note(f"{description}: {total:,}")
            yield self._logged(description, total)
            return
        bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            RateColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            console=errors,
            speed_estimate_period=600,
        )
        with bars:
            task = bars.add_task(description, total=total)
            yield lambda units: bars.advance(task, units)
            bars.update(task, completed=total)

    def _logged(self, description: str, total: int) -> Advance:
        """Return what says now and then how far it is, in whole lines: for logs and notebooks."""
        finished, told = 0, time.monotonic()

        def advance(units: int) -> None:
            nonlocal finished, told
            finished += units
            if time.monotonic() - told >= LOGGED:
                told = time.monotonic()
                share = f" ({finished / total:.0%})" if total else ""
                self.note(f"{description}: {finished:,} of {total:,}{share}")

        return advance

    def note(self, text: str) -> None:
        """Print one line that stays."""
        errors.print(shown(text), markup=False, soft_wrap=True)
