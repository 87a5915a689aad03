"""How stages report progress without printing: a protocol, and a silent version of it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]
"""Called with the number of units just finished."""


class Progress(Protocol):
    """What a stage may tell whoever runs it."""

    def track(self, description: str, total: int) -> AbstractContextManager[Advance]:
        """Open a progress bar of `total` units; the value of the context advances it."""
        ...

    def note(self, text: str) -> None:
        """Say one line that stays on the screen (a result, a decision, a warning)."""
        ...


class SilentProgress:
    """Progress that nobody watches: for tests and for use as a library."""

    @contextmanager
    def track(self, description: str, total: int) -> Iterator[Advance]:  # noqa: ARG002 - the protocol's names
        """Open a bar that shows nothing."""
        yield lambda units: None  # noqa: ARG005 - the protocol's name

    def note(self, text: str) -> None:
        """Say nothing."""
