"""The terminal: results on standard output, progress and errors beside it, in one style for all commands."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

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

from pipeline.core.stage import Advance

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def say(text: str = "") -> None:
    """Print one line, which the terminal wraps and a file does not: paths stay whole."""
    console.print(text, markup=False, soft_wrap=True)


def written(path: Path, what: str = "") -> None:
    """Say what was written."""
    say(f"Written: {path}" + (f" ({what})" if what else ""))


def following(command: str) -> None:
    """Say which command comes next."""
    say(f"Next: python run.py {command}")


def some(lines: Sequence[str], most: int = 3) -> None:
    """Print the first lines of a list, and how many are left."""
    for line in lines[:most]:
        say(f"  {line}")
    if len(lines) > most:
        say(f"  … and {len(lines) - most:,} more")


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
    console.print(table)


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
            yield lambda units: None  # noqa: ARG005 - the protocol's name
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

    def note(self, text: str) -> None:
        """Print one line that stays."""
        errors.print(text, markup=False, soft_wrap=True)
