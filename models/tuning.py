"""Choose boosters' settings by out-of-fold log-loss, honestly and resumably.

Candidates are drawn at random, never steered by earlier results, and each is fitted once without
every pair of folds. The fit without folds i and j answers both: its loss on j is an inner score of
outer fold i, and the other way round. Every outer fold can therefore pick its own candidate from
losses that its rows took no part in: exact nested cross-validation for the price of one.

Optuna draws the candidates and keeps the studies (sqlite, readable by its dashboard).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from models.settings import Kind, Settings, defaults, space

Floats = NDArray[np.float64]

STRATA = (("rare", 30), ("uncommon", 300), ("common", None))
"""Locations are tuned together by their number of positives: below 30, below 300, more."""


@dataclass(frozen=True)
class Candidate:
    """Settings and how they did.

    Attributes
    ----------
    losses : ndarray, shape (folds,)
        For each outer fold the mean inner loss: log-loss over the entropy of the location's
        prevalence, so that rare locations count as much as common ones, and 1 is a useless model.
    """

    settings: Settings
    losses: Floats


def strata(targets: NDArray[np.bool_]) -> dict[str, list[int]]:
    """Group locations (columns) by their number of positives; strata without locations are left out."""
    members: dict[str, list[int]] = {}
    for location, positives in enumerate(targets.sum(axis=0)):
        name = next(name for name, limit in STRATA if limit is None or positives < limit)
        members.setdefault(name, []).append(location)
    return members


def normalised_log_loss(margin: Floats, truth: NDArray[np.bool_]) -> float:
    """Return the mean log-loss of log-odds over the entropy of the share of positives.

    Both arrays have shape (rows,). Where all rows are the same the entropy of half a row stands in.
    """
    loss = float(np.logaddexp(0, np.where(truth, -margin, margin)).mean())
    share = np.clip(truth.mean(), 0.5 / len(truth), 1 - 0.5 / len(truth))
    return loss / float(-share * np.log(share) - (1 - share) * np.log(1 - share))


def tune(
    evaluate: Callable[[Settings], Floats],
    *,
    name: str,
    kind: Kind,
    trials: int,
    rows: int,
    seed: int,
    storage: BaseStorage | None = None,
) -> list[Candidate]:
    """Evaluate the default settings and `trials` random ones.

    Parameters
    ----------
    evaluate : callable
        Settings to losses, shape (folds,).
    kind : str
        Whose space the settings are drawn from.
    name : str
        Of the study; one of the same name in `storage` is continued.
    storage : optuna storage, optional
        Default: in memory.

    Returns
    -------
    list of Candidate
        ``trials + 1``, the defaults first.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
    for stale in study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING)):
        study.tell(stale.number, state=TrialState.FAIL)
    for number in range(len(_finished(study)), trials + 1):
        # One seed per candidate: the n-th is the same whether or not the run was interrupted.
        study.sampler = optuna.samplers.RandomSampler(seed=seed * 100_003 + number)
        if number == 0:
            study.enqueue_trial(_of_space(kind, rows))
        trial = study.ask()
        losses = evaluate(space(trial, kind, rows))
        trial.set_user_attr("losses", losses.tolist())
        study.tell(trial, float(losses.mean()))
    return [
        Candidate(Settings(**trial.params), np.array(trial.user_attrs["losses"]))
        for trial in _finished(study)[: trials + 1]
    ]


def best(candidates: list[Candidate], fold: int | None = None) -> Settings:
    """Return the settings with the lowest loss for one outer fold, or on average over all."""
    losses = [c.losses.mean() if fold is None else c.losses[fold] for c in candidates]
    return candidates[int(np.argmin(losses))].settings


def _of_space(kind: Kind, rows: int) -> dict[str, float]:
    """Return the defaults of those settings that the space of this kind varies."""
    drawn = optuna.trial.FixedTrial(asdict(defaults(kind, rows)))
    space(drawn, kind, rows)
    return dict(drawn.params)


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return list(study.get_trials(states=(TrialState.COMPLETE,)))
