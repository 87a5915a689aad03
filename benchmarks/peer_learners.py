"""Tabular learners of other projects beside the stack, each with its defaults; imported where they run."""

import importlib
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from pipeline.core.errors import PipelineError

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]
Table = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """Rows to learn from and rows to predict.

    `known` and `asked` have shape (rows, columns), NaN where missing, `labels` (rows, locations); `seconds`
    is the limit of one fit of all locations, `python` the interpreter of another environment.
    """

    known: Table
    labels: Labels
    asked: Table
    seed: int
    seconds: float
    python: Path | None = None

    def imputed(self) -> tuple[Table, Table]:
        """Return both tables with the learned rows' means for what is missing."""
        missing = np.isnan(self.known)
        means = np.nan_to_num(self.known).sum(axis=0) / np.maximum(1, (~missing).sum(axis=0))
        asked = np.where(np.isnan(self.asked), means, self.asked)
        return np.where(missing, means, self.known), asked


Peer = Callable[[Task], Floats]
"""Learns, and returns probabilities of the asked rows, shape (rows, locations)."""


def extra_trees(task: Task) -> Floats:
    """Extremely randomised trees of scikit-learn, all locations at once; half a vote for each side."""
    model = ExtraTreesClassifier(random_state=task.seed).fit(task.known, task.labels.astype(int))
    shares = model.predict_proba(task.asked)
    votes = [
        share[:, 1] if share.shape[1] > 1 else np.full(len(share), known[0])
        for share, known in zip(shares, model.classes_, strict=True)
    ]
    trees = len(model.estimators_)
    return (np.column_stack(votes) * trees + 0.5) / (trees + 1)


def catboost(task: Task) -> Floats:
    """CatBoost with one log-loss of all locations; stops at the limit of time."""
    package = importlib.import_module("catboost")
    started = time.monotonic()

    class Limit:
        def after_iteration(self, info: object) -> bool:  # noqa: ARG002 - CatBoost's own interface
            return time.monotonic() - started < task.seconds

    known = [column for column, y in enumerate(task.labels.T) if y.any() and not y.all()]
    model = package.CatBoostClassifier(
        loss_function="MultiLogloss",
        random_seed=task.seed,
        thread_count=1,
        verbose=False,
        allow_writing_files=False,
    )
    model.fit(task.known, task.labels[:, known].astype(int), callbacks=[Limit()])
    result = np.tile(task.labels.mean(axis=0), (len(task.asked), 1))
    result[:, known] = model.predict_proba(task.asked)
    return result


def one_by_one(task: Task, fit: Callable[[Table, Labels, Table, float], Floats]) -> Floats:
    """Learn one location after the other; the share of positives where there is nothing to learn."""
    result = np.tile(task.labels.mean(axis=0), (len(task.asked), 1))
    known, asked = task.imputed()
    for column, y in enumerate(task.labels.T):
        if min(y.sum(), (~y).sum()) > 1:
            result[:, column] = fit(known, y, asked, task.seconds / task.labels.shape[1])
    return result


def pytabkit(name: str, task: Task, **limit: str) -> Floats:
    """Fit a classifier of pytabkit to each location; `limit` names its argument of seconds, if any."""
    maker: Any = getattr(importlib.import_module("pytabkit"), name)

    def fit(known: Table, y: Labels, asked: Table, seconds: float) -> Floats:
        model = maker(device="cpu", random_state=task.seed, n_threads=1)
        model.fit(known, y.astype(int), **{argument: int(seconds) + 1 for argument in limit.values()})
        return np.asarray(model.predict_proba(asked)[:, 1], dtype=np.float64)

    return one_by_one(task, fit)


def realmlp(task: Task) -> Floats:
    """RealMLP with its tuned defaults, within the limit of time."""
    return pytabkit("RealMLP_TD_Classifier", task, limit="time_to_fit_in_seconds")


def tabm(task: Task) -> Floats:
    """TabM with its defaults; it stops by itself (early stopping) and knows no limit of time."""
    return pytabkit("TabM_D_Classifier", task)


def autogluon(task: Task) -> Floats:
    """AutoGluon's `best_quality` of each location, in its own environment, within the limit of time."""
    with tempfile.TemporaryDirectory() as folder:
        given, answers = Path(folder, "given.npz"), Path(folder, "answers.npy")
        np.savez(given, known=task.known, labels=task.labels, asked=task.asked, seconds=task.seconds)
        script = Path(__file__).with_name("autogluon_peer.py")
        command = [str(task.python), str(script), str(given), str(answers)]
        if subprocess.run(command, check=False).returncode:
            share = task.seconds / task.labels.shape[1]
            raise PipelineError(
                f"autogluon: stopped, see above; with {share:.0f} s a location the time may be too short: "
                "give more by --limit"
            )
        return np.asarray(np.load(answers, allow_pickle=False))


PEERS: dict[str, tuple[str, Peer]] = {
    "extra_trees": ("sklearn", extra_trees),
    "catboost": ("catboost", catboost),
    "tabm": ("pytabkit", tabm),
    "realmlp": ("pytabkit", realmlp),
    "autogluon": ("", autogluon),
}
"""By name: the package that has to be installed here, and the peer."""
