"""Whether a stream of pictures drifts away from those of the training, watched picture by picture.

Every picture's score (`models.unlikeness`) gets its rank among those of the training and of the stream before
it: p, the share that is as unlike. As long as the stream is like the training, p is no smaller than chance
has it, and the bet 1 / (2 √p) does not gain on average. Its cumulative product, begun anew at 1 wherever it
falls below, is an e-detector: it reaches C at most once in C pictures on average, whatever the scores are
distributed like.

Sources: Vovk, Gammerman & Shafer (2005), Algorithmic learning in a random world; Shin, Ramdas & Rinaldo
(2024), E-detectors: a nonparametric framework for sequential change detection, New England Journal of
Statistics in Data Science 2.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from math import sqrt

QUIET = 1000
"""Pictures, at least, from one false alarm to the next on average."""

_MOST = 10_000
"""Scores that ranks are taken among: ones of the stream are added up to here."""


class StreamDrift:
    """Evidence that a stream has left what the training pictures are like.

    It assumes that pictures of the stream come one by one as those of the training: several of one protein
    in a row count as one draw, and may alarm earlier. Once it alarms, nothing more is learned from the
    stream until the evidence has fallen below 1 again.

    Parameters
    ----------
    known : iterable of float
        Scores of training pictures that were left out: one of every group.
    """

    def __init__(self, known: Iterable[float]) -> None:
        self._scores = sorted(known)
        self.evidence = 1.0
        self.pictures = 0
        self.since = 0
        """Pictures since the evidence last rose from 1: those that speak for a drift."""
        self.is_off = False

    def add(self, score: float) -> bool:
        """Take the score of the stream's next picture; return whether it drifts now."""
        above = len(self._scores) - bisect_left(self._scores, score)
        p = (above + 1) / (len(self._scores) + 1)
        self.pictures += 1
        self.since = self.since + 1 if self.evidence > 1 else 1
        self.evidence = min(max(self.evidence, 1.0) / (2 * sqrt(p)), QUIET)
        self.is_off = self.evidence >= (1.0 if self.is_off else QUIET)
        if not self.is_off and len(self._scores) < _MOST:
            insort(self._scores, score)
        return self.is_off
