"""Settings of level 0 for every source and stratum of locations: a study each."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from optuna.storages import BaseStorage
from sklearn.metrics import average_precision_score

from models.cross_fitting import Level0
from models.hyperparameters import BINARY_KINDS, Settings
from models.nested import Chosen, Source, fill_pairs
from models.tuning import Candidate, Study, best, strata, tune

Floats = NDArray[np.float64]
Metric = Literal["log_loss", "average_precision"]
Loss = Callable[[Floats, NDArray[np.bool_]], float]


@dataclass(frozen=True)
class Tuning:
    """How long, and by what, settings are chosen.

    Attributes
    ----------
    trials : int
        Candidates per study, beside the defaults.
    metric : str
        ``log_loss`` or ``average_precision``, out of fold.
    timeout : float, optional
        Seconds for all studies together; each gets its share of what is left. Results then depend on
        the machine's speed.
    storage : optuna storage, optional
    note : callable
        Told lines worth reading.
    """

    trials: int = 0
    metric: Metric = "log_loss"
    timeout: float | None = None
    storage: BaseStorage | None = None
    note: Callable[[str], None] = lambda _: None


def normalised_log_loss(margin: Floats, truth: NDArray[np.bool_]) -> float:
    """Return the mean log-loss of log-odds over the entropy of the share of positives.

    Both arrays have shape (rows,). Rare locations thus count as much as common ones, and 1 is a useless
    model. Where all rows are the same the entropy of half a row stands in.
    """
    loss = float(np.logaddexp(0, np.where(truth, -margin, margin)).mean())
    share = np.clip(truth.mean(), 0.5 / len(truth), 1 - 0.5 / len(truth))
    return loss / float(-share * np.log(share) - (1 - share) * np.log(1 - share))


def precision_loss(margin: Floats, truth: NDArray[np.bool_]) -> float:
    """Return how far the average precision is from 1, over how far that of a useless model is.

    0 is perfect, 1 is useless; also where all rows are the same.
    """
    if not truth.any() or truth.all():
        return 1.0
    return float((1 - average_precision_score(truth, margin)) / (1 - truth.mean()))


LOSSES: dict[Metric, Loss] = {
    "log_loss": normalised_log_loss,
    "average_precision": precision_loss,
}


def choose(level0: Level0, order: Sequence[Source], tuning: Tuning) -> list[Chosen]:
    """Choose settings for every source: by stratum, or for all locations where it answers them at once."""
    everything = {"all": list(range(level0.targets.shape[1]))}
    tasks = [
        (source, stratum, members)
        for source in order
        for stratum, members in (strata(level0.targets) if source[1] in BINARY_KINDS else everything).items()
    ]
    end = None if tuning.timeout is None else time.monotonic() + tuning.timeout
    choices = []
    for number, (source, stratum, members) in enumerate(tasks):
        places = tuple(members) if source[1] in BINARY_KINDS else (None,)
        late = _clock(end, len(tasks) - number)
        candidates = _candidates(level0, source, stratum, members, tuning, late)
        tuning.note(_story(level0, source, stratum, members, candidates, tuning))
        per_fold = {fold: best(candidates, fold) for fold in range(level0.folds)}
        choices.append(Chosen(source, places, per_fold, best(candidates)))
    return choices


def rounds(folds: int) -> int:
    """Return in how many rounds the pairs of folds are fitted: one per distance on a circle of folds."""
    return folds // 2


def _clock(end: float | None, left: int) -> Callable[[], bool]:
    """Return whether a study has used its share of the time that is left."""
    if end is None:
        return lambda: False
    now = time.monotonic()
    mine = now + max(0.0, end - now) / left
    return lambda: time.monotonic() >= mine


def _candidates(
    level0: Level0, source: Source, stratum: str, members: list[int], tuning: Tuning, late: Callable[[], bool]
) -> list[Candidate]:
    block = level0.blocks[source[0]].name
    study = Study(
        name=f"{block} {source[1]} {stratum} {tuning.metric} {level0.digest[:12]}",
        kind=source[1],
        rows=len(level0.fold),
        folds=level0.folds,
        rounds=rounds(level0.folds),
        trials=tuning.trials,
        seed=level0.seed,
        storage=tuning.storage,
        late=late,
        note=tuning.note,
    )
    loss = LOSSES[tuning.metric]
    return tune(lambda settings: _Evaluation(level0, source, members, loss, settings), study)


class _Evaluation:
    """The pairs of one candidate, fitted in rounds.

    In round r outer fold i is answered about the folds at distance r + 1 on a circle of folds, both
    ways; the fit without two folds serves both.
    """

    def __init__(
        self, level0: Level0, source: Source, members: list[int], loss: Loss, settings: Settings
    ) -> None:
        places = tuple(members) if source[1] in BINARY_KINDS else (None,)
        self.level0, self.members, self.loss = level0, members, loss
        self.choice = Chosen(source, places, dict.fromkeys(range(level0.folds), settings), settings)
        self.tables = [np.full(level0.targets.shape, np.nan) for _ in range(level0.folds)]

    def __call__(self, number: int, going: NDArray[np.bool_]) -> Floats:
        """Fit a round; return each outer fold's mean loss over the inner folds so far, NaN if it gave up."""
        folds = self.level0.folds
        outers = np.flatnonzero(going).tolist()
        step = number + 1
        pairs = [(i, own) for i in outers for own in sorted({(i + step) % folds, (i - step) % folds})]
        fill_pairs(self.level0, self.choice, self.tables, pairs)
        losses = np.full(folds, np.nan)
        for outer in outers:
            known = ~np.isnan(self.tables[outer][:, self.members[0]])
            truth, margin = self.level0.targets[known], self.tables[outer][known]
            losses[outer] = np.mean([self.loss(margin[:, m], truth[:, m]) for m in self.members])
        return losses


def _story(
    level0: Level0,
    source: Source,
    stratum: str,
    members: list[int],
    candidates: list[Candidate],
    tuning: Tuning,
) -> str:
    losses = [candidate.losses.mean() for candidate in candidates]
    block = level0.blocks[source[0]].name
    measure = "log-loss" if tuning.metric == "log_loss" else "loss of average precision"
    tried = f"{losses[0]:.2f} by defaults"
    if len(losses) > 1:
        tried += f", {min(losses):.2f} tuned ({len(losses) - 1} of {tuning.trials} trials)"
    return f"{block} {source[1]}, {len(members)} {stratum}: {measure} {tried}"
