"""What is said of pictures that come one after another: that they drift away from those of the training."""

from models.drift import QUIET, StreamDrift
from pipeline.core.names import counted
from pipeline.serving.answers import Answer


class Stream:
    """The stream of pictures that a model answers.

    Parameters
    ----------
    drift : StreamDrift or None
        What watches it; None where the model does not know what its training pictures are like.
    """

    def __init__(self, drift: StreamDrift | None) -> None:
        self._drift = drift

    @property
    def evidence(self) -> float:
        """How much speaks for a drift; `models.drift.QUIET` and more is an alarm."""
        return 1.0 if self._drift is None else self._drift.evidence

    @property
    def told(self) -> str:
        """What is to be known of the stream; nothing as long as it is like the training."""
        if self._drift is None or not self._drift.is_off:
            return ""
        return (
            f"drift: the last {counted(self._drift.since, 'picture')} together are less like the training "
            f"pictures than those are themselves (one false alarm in {QUIET:,} pictures at "
            "most); look at focus, light and stain"
        )

    def take(self, answer: Answer) -> str:
        """Take the next answer into account; return what is to be known of the stream now."""
        self.add(answer.unlikeness)
        return self.told

    def add(self, unlikeness: float | None) -> None:
        """Take a score into account, one that was answered before; nothing where there is none."""
        if self._drift is not None and unlikeness is not None:
            self._drift.add(unlikeness)
