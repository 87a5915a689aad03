"""Choose boosters' settings by out-of-fold losses: honestly, resumably, and without finishing bad ones.

Candidates are drawn at random, never steered by earlier results, and each is fitted without every
pair of folds. The fit without folds i and j answers both: its loss on j is an inner score of outer
fold i, and the other way round. Every outer fold can therefore pick its own candidate from losses
that its rows took no part in: exact nested cross-validation for the price of one.

The pairs of a candidate are fitted in rounds. After each, every outer fold gives up a candidate whose
loss so far is above the median of what earlier candidates had for the same fold at the same
point (Optuna's median rule, once per outer fold); a fit is skipped once both of its outer folds
have given up. What an outer fold gives up rests on its own inner folds alone.

Optuna draws the candidates and keeps the studies (sqlite, readable by its dashboard).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from models.hyperparameters import Kind, Settings, defaults, space

Floats = NDArray[np.float64]
Rounds = Callable[[int, NDArray[np.bool_]], Floats]
"""A round and which outer folds go on, to those folds' mean loss so far, shape (folds,)."""

STRATA = (("rare", 30), ("uncommon", 300), ("common", None))
"""Locations are tuned together by their number of positives: below 30, below 300, more."""

WARM_UP = 4
"""Candidates that are finished before any is given up, the defaults among them."""


@dataclass(frozen=True)
class Candidate:
    """Settings and how they did.

    Attributes
    ----------
    losses : ndarray, shape (folds,)
        For each outer fold the mean inner loss; infinite where the fold gave the candidate up.
    """

    settings: Settings
    losses: Floats


@dataclass(frozen=True)
class Study:
    """What is tuned, and how far.

    Attributes
    ----------
    name : str
        One of the same name in `storage` is continued.
    kind : str
        Whose space the settings are drawn from.
    rows : int
        Of the table, on which the space depends.
    folds, rounds : int
    trials : int
        Candidates beside the defaults.
    storage : optuna storage, optional
        Default: in memory.
    late : callable
        Whether no further candidate may be begun.
    note : callable
        Told of every candidate that is better than those before.
    """

    name: str
    kind: Kind
    rows: int
    folds: int
    rounds: int
    trials: int
    seed: int
    storage: BaseStorage | None = None
    late: Callable[[], bool] = lambda: False
    note: Callable[[str], None] = lambda _: None


def strata(targets: NDArray[np.bool_]) -> dict[str, list[int]]:
    """Group locations (columns) by their number of positives; strata without locations are left out."""
    members: dict[str, list[int]] = {}
    for location, positives in enumerate(targets.sum(axis=0)):
        name = next(name for name, limit in STRATA if limit is None or positives < limit)
        members.setdefault(name, []).append(location)
    return members


def tune(begin: Callable[[Settings], Rounds], study: Study) -> list[Candidate]:
    """Evaluate the default settings and random ones.

    Parameters
    ----------
    begin : callable
        Settings to what evaluates them, in rounds 0, 1, …
    study : Study

    Returns
    -------
    list of Candidate
        The defaults first, which no fold gives up; ``trials + 1`` unless it got late.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kept = optuna.create_study(storage=study.storage, study_name=study.name, load_if_exists=True)
    for stale in kept.get_trials(states=(TrialState.RUNNING, TrialState.WAITING)):
        kept.tell(stale.number, state=TrialState.FAIL)
    earlier = [_curve(trial) for trial in _finished(kept)]
    for number in range(len(earlier), study.trials + 1):
        if number and study.late():
            break
        # One seed per candidate: the n-th is the same whether or not the run was interrupted.
        kept.sampler = optuna.samplers.RandomSampler(seed=study.seed * 100_003 + number)
        if number == 0:
            kept.enqueue_trial(_of_space(study))
        trial = kept.ask()
        curve = _run(begin(space(trial, study.kind, study.rows)), study, trial, earlier)
        _close(kept, trial, curve, study, earlier)
        earlier.append(curve)
    return [
        Candidate(Settings(**trial.params), _losses(_curve(trial)))
        for trial in _finished(kept)[: study.trials + 1]
    ]


def best(candidates: list[Candidate], fold: int | None = None) -> Settings:
    """Return the settings with the lowest loss for one outer fold, or on average over all."""
    losses = [c.losses.mean() if fold is None else c.losses[fold] for c in candidates]
    return candidates[int(np.argmin(losses))].settings


def gives_up(curve: Floats, earlier: list[Floats]) -> NDArray[np.bool_]:
    """Say which outer folds give a candidate up after the last round of its curve.

    Parameters
    ----------
    curve : ndarray, shape (rounds so far, folds)
        Mean losses so far.
    earlier : list of ndarray, shape (rounds, folds)
        The curves of earlier candidates; NaN where a fold gave them up.
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
            going &= ~gives_up(curve[: number + 1], earlier)
        if not going.any():
            break
    return curve


def _close(kept: optuna.Study, trial: Trial, curve: Floats, study: Study, earlier: list[Floats]) -> None:
    trial.set_user_attr("curve", [[None if np.isnan(v) else float(v) for v in row] for row in curve])
    losses = _losses(curve)
    if np.isinf(losses).all():
        kept.tell(trial, state=TrialState.PRUNED)
        return
    value = float(losses[np.isfinite(losses)].mean())
    kept.tell(trial, value)
    before = min((_losses(other).mean() for other in earlier), default=np.inf)
    if earlier and losses.mean() < before:
        study.note(
            f"{study.name.rpartition(' ')[0]}: {losses.mean():.3f} by trial {trial.number} of "
            f"{study.trials}, the best so far (before: {before:.3f})"
        )


def _losses(curve: Floats) -> Floats:
    return np.where(np.isnan(curve[-1]), np.inf, curve[-1])


def _curve(trial: FrozenTrial) -> Floats:
    return np.array(trial.user_attrs["curve"], dtype=np.float64)  # None becomes NaN


def _of_space(study: Study) -> dict[str, float]:
    """Return the defaults of those settings that the space of this kind varies."""
    drawn = optuna.trial.FixedTrial(asdict(defaults(study.kind, study.rows)))
    space(drawn, study.kind, study.rows)
    return dict(drawn.params)


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    return list(study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)))
