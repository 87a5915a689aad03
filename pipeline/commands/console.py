"""The terminal: one console, and progress bars with rate and time left."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
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
from rich.text import Text

from pipeline.core.progress import Advance

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


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
    """Progress on the terminal; plain lines where the output is not a terminal."""

    @contextmanager
    def track(self, description: str, total: int) -> Iterator[Advance]:
        """Show a bar of `total` units while the block runs."""
        bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            RateColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            speed_estimate_period=600,
        )
        with bars:
            task = bars.add_task(description, total=total)
            yield lambda units: bars.advance(task, units)

    def note(self, text: str) -> None:
        """Print one line that stays."""
        console.print(text, markup=False)
