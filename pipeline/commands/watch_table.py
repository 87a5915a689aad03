"""What `watch` shows: a table that is drawn anew on a terminal, lines elsewhere (logs, notebooks)."""

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from pipeline.commands.console import console, say
from pipeline.core.names import counted
from pipeline.serving.watching import Watch, Watched

_ROWS = 12
"""Last answers that the table shows."""

_LAGS = 50
"""Last answers that the lag is told of."""

_COLOURS = {"answered": "green", "not_sure": "yellow", "unlike_training": "magenta", "bad_input": "red"}


class WatchTable:
    """The last answers of a watch, what waits, how late it is, and whether the pictures drift."""

    def __init__(self, watch: Watch, on: Console = console) -> None:
        self._watch, self._console = watch, on
        self._last: deque[Watched] = deque(maxlen=_ROWS)
        self._lags: deque[float] = deque(maxlen=_LAGS)
        self._statuses: Counter[str] = Counter()
        self._drift = ""
        self._trouble = ""

    @property
    def is_live(self) -> bool:
        """Whether lines can be drawn over: on a terminal."""
        return self._console.is_terminal and not self._console.is_jupyter

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table while the block runs; it stays afterwards."""
        if not self.is_live:
            yield
            return
        with Live(get_renderable=self.table, console=self._console, refresh_per_second=2):
            yield

    def tell(self, answer: Watched) -> None:
        """Take an answer; print it where there is no table."""
        self._last.append(answer)
        self._lags.append(answer.lag)
        self._statuses[answer.status] += 1
        if not self.is_live:
            late = f", {answer.behind:,} wait" if answer.behind else ""
            times = f"{answer.seconds.total:.2f} s, {answer.lag:.1f} s after it was taken{late}"
            say(f"{answer.id:<24} {answer.status:<10} {_named(answer)} ({times})")
            if bool(answer.drift) != bool(self._drift):
                say(answer.drift or "the drift is over")
        self._drift = answer.drift

    def warn(self, trouble: str) -> None:
        """Take why no picture can be answered; print it where there is no table."""
        self._trouble = f"no picture can be answered yet: {trouble}" if trouble else ""
        if self._trouble and not self.is_live:
            say(self._trouble)

    def table(self) -> Table:
        """Return the table as it is now."""
        made = Table(title="Last answers", caption=self._caption(), box=None, padding=(0, 2, 0, 0))
        for title in ("picture", "status", "locations, or why none"):
            made.add_column(title, overflow="ellipsis", no_wrap=True)
        for title in ("cells", "took", "lag"):
            made.add_column(title, justify="right", no_wrap=True)
        for one in self._last:
            colour = _COLOURS[one.status]
            numbers = ("" if one.cells is None else str(one.cells), f"{one.seconds.total:.2f} s")
            words = (escape(one.id), f"[{colour}]{one.status}[/]", escape(_named(one)))
            made.add_row(*words, *numbers, f"{one.lag:.1f} s")
        return made

    def _caption(self) -> str:
        statuses = ", ".join(f"{number:,} {status}" for status, number in self._statuses.items())
        said = [f"{counted(self._statuses.total(), 'answer')}{f' ({statuses})' if statuses else ''}"]
        said.append(f"{self._watch.behind:,} wait")
        if incomplete := max(0, len(self._watch.waiting) - self._watch.behind):
            said.append(f"{incomplete:,} incomplete or being written")
        if self._lags:
            said.append(f"lag {median(self._lags):.1f} s, {max(self._lags):.1f} s at most (last {_LAGS})")
        warned = [f"\n[bold red]{escape(text)}[/]" for text in (self._drift, self._trouble) if text]
        return escape(" · ".join(said)) + "".join(warned)


def _named(answer: Watched) -> str:
    return ", ".join(answer.chosen) or answer.reason
