"""Choose hyperparameters by out-of-fold losses: nested, resumable, with pruning.

Candidates are drawn at random, never steered by earlier results, and each is fitted without every
pair of folds. The fit without folds i and j predicts both: its loss on j is an inner score of outer
fold i, and the other way round. Every outer fold can therefore pick its own candidate from losses
that its rows took no part in: exact nested cross-validation for the price of one.

The pairs of a candidate are fitted in rounds. After each, every outer fold prunes a candidate whose
loss so far is above the median of what earlier candidates had for the same fold at the same
point (Optuna's median rule, once per outer fold); a fit is skipped once both of its outer folds
have pruned it. What an outer fold prunes rests on its own inner folds alone.

There is a study per source and stratum of locations. Optuna draws the candidates and keeps the studies
(sqlite, readable by its dashboard). Learners of all locations are not tuned.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.storages import BaseStorage
from optuna.trial import FixedTrial, FrozenTrial, Trial, TrialState
from sklearn.metrics import average_precision_score

from models.cross_fitting import Choice, CrossFitter, Source
from models.hyperparameters import COMMON, JOINT_KINDS, RARE, AnyHyperparameters, defaults, space
from models.nested import fill_pairs

Floats = NDArray[np.float64]
Metric = Literal["log_loss", "average_precision"]
Rounds = Callable[[int, NDArray[np.bool_]], Floats]
"""A round and which outer folds go on, to those folds' mean loss so far, shape (folds,)."""

STRATA = (("rare", RARE), ("uncommon", COMMON), ("common", None))
"""Locations are tuned together by their number of positives; each stratum has less than its limit."""

WARM_UP = 4
"""Candidates that are finished before any is pruned, the defaults among them."""


@dataclass(frozen=True)
class Tuning:
    """How long, and by what, hyperparameters are chosen.

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
        Called with lines worth reading.
    """

    trials: int = 0
    metric: Metric = "log_loss"
    timeout: float | None = None
    storage: BaseStorage | None = None
    note: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Candidate:
    """Hyperparameters and, for each outer fold, the mean inner loss; infinite where the fold pruned them."""

    hyperparameters: AnyHyperparameters
    losses: Floats


@dataclass(frozen=True)
class Study:
    """What is tuned: so many candidates beside the defaults, from the space of a kind and so many rows.

    `positives` are the fewest that one of the locations has.
    A study of the same name in `storage` (by default in memory) is continued. `late` says whether no further
    candidate may be begun.
    """

    name: str
    kind: str
    rows: int
    positives: int
    folds: int
    rounds: int
    trials: int
    seed: int
    storage: BaseStorage | None = None
    late: Callable[[], bool] = lambda: False


def normalised_log_loss(log_odds: Floats, truth: NDArray[np.bool_]) -> float:
    """Return the mean log-loss of log-odds over the entropy of the share of positives.

    Both arrays have shape (rows,). Rare locations thus count as much as common ones, and 1 is a useless
    model. Where all rows are the same the entropy of half a row stands in.
    """
    loss = float(np.logaddexp(0, np.where(truth, -log_odds, log_odds)).mean())
    share = np.clip(truth.mean(), 0.5 / len(truth), 1 - 0.5 / len(truth))
    return loss / float(-share * np.log(share) - (1 - share) * np.log(1 - share))


def precision_loss(log_odds: Floats, truth: NDArray[np.bool_]) -> float:
    """Return how far the average precision is from 1, over how far that of a useless model is.

    0 is perfect, 1 is useless; also where all rows are the same.
    """
    if not truth.any() or truth.all():
        return 1.0
    return float((1 - average_precision_score(truth, log_odds)) / (1 - truth.mean()))


LOSSES: dict[Metric, Callable[[Floats, NDArray[np.bool_]], float]] = {
    "log_loss": normalised_log_loss,
    "average_precision": precision_loss,
}


def choose(fitter: CrossFitter, tuning: Tuning) -> list[Choice]:
    """Choose hyperparameters for every source, by stratum of locations; see `crossed` for which have any."""
    groups = strata(fitter.targets, fitter.crossed)
    tuned = [(source, name) for source in fitter.sources if source[1] not in JOINT_KINDS for name in groups]
    end = None if tuning.timeout is None else time.monotonic() + tuning.timeout
    choices = [
        Choice.same(source, (None,), fitter.folds, defaults(source[1], len(fitter.fold)))
        for source in fitter.sources
        if source[1] in JOINT_KINDS
    ]
    for number, (source, stratum) in enumerate(tuned):
        late = _clock(end, len(tuned) - number)
        about = f"{fitter.blocks[source[0]].name} {source[1]}"
        name = f"{about} {stratum} {tuning.metric} {fitter.digest[:12]}"
        # Pairs of folds are fitted in as many rounds as there are distances on a circle of folds.
        fewest = int(fitter.targets[:, groups[stratum]].sum(axis=0).min())
        sizes = len(fitter.fold), fewest, fitter.folds, fitter.folds // 2, tuning.trials
        study = Study(name, source[1], *sizes, fitter.seed, tuning.storage, late)
        begin = partial(_Evaluation, fitter, source, groups[stratum], tuning.metric)
        candidates = tune(begin, study)
        tuning.note(f"{about}, {_summary(stratum, len(groups[stratum]), candidates, tuning)}")
        per_fold = {fold: best(candidates, fold) for fold in range(fitter.folds)}
        choices.append(Choice(source, tuple(groups[stratum]), per_fold, best(candidates)))
    return choices


def strata(targets: NDArray[np.bool_], wanted: list[int]) -> dict[str, list[int]]:
    """Group the wanted locations (columns) by their number of positives; empty strata are left out."""
    groups: dict[str, list[int]] = {}
    for location in wanted:
        positives = targets[:, location].sum()
        name = next(name for name, limit in STRATA if limit is None or positives < limit)
        groups.setdefault(name, []).append(location)
    return groups


def tune(begin: Callable[[AnyHyperparameters], Rounds], study: Study) -> list[Candidate]:
    """Evaluate the default hyperparameters, which no fold prunes, and random ones.

    `begin` turns hyperparameters to what evaluates them, in rounds 0, 1, …. Returns the defaults first;
    ``trials + 1`` candidates unless it got late.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    stored = optuna.create_study(storage=study.storage, study_name=study.name, load_if_exists=True)
    for stale in stored.get_trials(states=(TrialState.RUNNING, TrialState.WAITING)):
        stored.tell(stale.number, state=TrialState.FAIL)
    earlier = [_curve(trial) for trial in _finished(stored)]
    for number in range(len(earlier), study.trials + 1):
        if number and study.late():
            break
        # One seed per candidate: the n-th is the same whether or not the run was interrupted.
        stored.sampler = optuna.samplers.RandomSampler(seed=study.seed * 100_003 + number)
        if number == 0:
            stored.enqueue_trial(_of_space(study))
        trial = stored.ask()
        curve = _run(begin(_drawn(trial, study)), study, trial, earlier)
        _close(stored, trial, curve)
        earlier.append(curve)
    return [
        Candidate(_drawn(FixedTrial(trial.params), study), _losses(_curve(trial)))
        for trial in _finished(stored)[: study.trials + 1]
    ]


def best(candidates: list[Candidate], fold: int | None = None) -> AnyHyperparameters:
    """Return the hyperparameters with the lowest loss for one outer fold, or on average over all."""
    losses = [c.losses.mean() if fold is None else c.losses[fold] for c in candidates]
    return candidates[int(np.argmin(losses))].hyperparameters


def pruned(curve: Floats, earlier: list[Floats]) -> NDArray[np.bool_]:
    """Say which outer folds prune a candidate after the last round of its curve.

    The curve holds mean losses, shape (rounds so far, folds); those of earlier candidates have shape (rounds,
    folds), NaN where a fold pruned them.
    """
    here = len(curve) - 1
    reached = np.array([other[here] for other in earlier])
    if len(reached) < WARM_UP:
        return np.zeros(curve.shape[1], dtype=bool)
    return np.asarray(curve[here] > np.nanmedian(reached, axis=0))


def _run(evaluate: Rounds, study: Study, trial: Trial, earlier: list[Floats]) -> Floats:
    """Evaluate a candidate round by round; return its curve, shape (rounds, folds)."""
    curve = np.full((study.rounds, study.folds), np.nan)
    going = np.ones(study.folds, dtype=bool)
    for number in range(study.rounds):
        curve[number, going] = evaluate(number, going)[going]
        trial.report(float(np.nanmean(curve[number])), number)
        if number + 1 < study.rounds:
            going &= ~pruned(curve[: number + 1], earlier)
        if not going.any():
            break
    return curve


def _close(stored: optuna.Study, trial: Trial, curve: Floats) -> None:
    trial.set_user_attr("curve", [[None if np.isnan(v) else float(v) for v in row] for row in curve])
    losses = _losses(curve)
    if np.isinf(losses).all():
        stored.tell(trial, state=TrialState.PRUNED)
    else:
        stored.tell(trial, float(losses[np.isfinite(losses)].mean()))


def _losses(curve: Floats) -> Floats:
    return np.where(np.isnan(curve[-1]), np.inf, curve[-1])


def _curve(trial: FrozenTrial) -> Floats:
    return np.array(trial.user_attrs["curve"], dtype=np.float64)  # None becomes NaN


def _of_space(study: Study) -> dict[str, float]:
    """Return the defaults of those hyperparameters that the space of this kind varies."""
    drawn = FixedTrial(asdict(defaults(study.kind, study.rows, study.positives)))
    _drawn(drawn, study)
    return dict(drawn.params)


def _drawn(trial: Any, study: Study) -> AnyHyperparameters:
    return space(trial, study.kind, study.rows, study.positives)


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    return list(study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)))


def _clock(end: float | None, left: int) -> Callable[[], bool]:
    """Return whether a study has used its share of the time that is left."""
    if end is None:
        return lambda: False
    now = time.monotonic()
    mine = now + max(0.0, end - now) / left
    return lambda: time.monotonic() >= mine


class _Evaluation:
    """The pairs of one candidate, fitted in rounds.

    In round r outer fold i predicts the folds at distance r + 1 on a circle of folds, both
    ways; the fit without two folds serves both.
    """

    def __init__(
        self,
        fitter: CrossFitter,
        source: Source,
        locations: list[int],
        metric: Metric,
        hyperparameters: AnyHyperparameters,
    ) -> None:
        self.fitter, self.locations, self.loss = fitter, locations, LOSSES[metric]
        self.choice = Choice.same(source, locations, fitter.folds, hyperparameters)
        self.tables = [np.full(fitter.targets.shape, np.nan) for _ in range(fitter.folds)]

    def __call__(self, number: int, going: NDArray[np.bool_]) -> Floats:
        """Fit a round; return each outer fold's mean loss over the inner folds so far, NaN if it pruned."""
        folds = self.fitter.folds
        outers = np.flatnonzero(going).tolist()
        step = number + 1
        pairs = [(i, own) for i in outers for own in sorted({(i + step) % folds, (i - step) % folds})]
        fill_pairs(self.fitter, self.choice, self.tables, pairs)
        losses = np.full(folds, np.nan)
        for outer in outers:
            known = ~np.isnan(self.tables[outer][:, self.locations[0]])
            truth, log_odds = self.fitter.targets[known], self.tables[outer][known]
            losses[outer] = np.mean([self.loss(log_odds[:, m], truth[:, m]) for m in self.locations])
        return losses


def _summary(stratum: str, locations: int, candidates: list[Candidate], tuning: Tuning) -> str:
    """Summarise a study's candidates in one line."""
    losses = [candidate.losses.mean() for candidate in candidates]
    limits = {
        "rare": f"fewer than {RARE}",
        "uncommon": f"{RARE} to {COMMON - 1}",
        "common": f"{COMMON} or more",
    }
    if tuning.metric == "log_loss":
        measure, values = "log-loss (1: predicts the prevalence)", losses
    else:
        measure, values = "average precision (0: chance, 1: perfect)", [1 - loss for loss in losses]
    scores = f"{values[0]:.2f} by defaults"
    if len(losses) > 1:
        chosen = values[int(np.argmin(losses))]
        scores += f", {chosen:.2f} tuned ({len(losses) - 1} of {tuning.trials} trials)"
    plural = "" if locations == 1 else "s"
    return f"{locations} location{plural} in {limits[stratum]} pictures: {measure} {scores}"
