"""Stack the outputs of other networks: their probabilities or hard labels of every location.

Two members, both fitted without each pair of folds and each single fold as `models.nested`
describes: networks that learn all locations together, averaged because rare locations come out
differently from each training; and boosted trees over pairs of a row and a location, from which rare
locations learn how far votes can be trusted. The heads of `models.meta_learner` join them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.base import clone

from models.agreement import agreement, agreement_columns
from models.base_learners.label_powerset import JointNetwork
from models.base_learners.pooled_trees import PooledTrees, Votes
from models.cross_fitting import MemoryStore, Store, key_of
from models.nested import Nested

Floats = NDArray[np.float64]
Numbers = NDArray[np.float32]

JOINT = tuple(JointNetwork(seed=seed) for seed in range(3))

POOLED = PooledTrees()


def scaled(outputs: Numbers) -> Numbers:
    """Return 0 and 1 as they are; probabilities as log-odds within ±6, scaled to [0, 1]."""
    if np.isin(outputs, (0, 1)).all():
        return outputs
    bound = 1 / (1 + np.exp(6))
    return np.asarray((logit(np.clip(outputs, bound, 1 - bound)) + 6) / 12, dtype=np.float32)


def output_columns(outputs: Numbers, networks: list[str], locations: list[str]) -> pd.DataFrame:
    """Lay out networks' outputs as columns.

    Parameters
    ----------
    outputs : ndarray, shape (rows, networks, locations)
        Probabilities, or 0 and 1.
    networks, locations : list of str

    Returns
    -------
    DataFrame of float32
        Every output, `scaled`, and, per location, their mean.
    """
    values = scaled(outputs)
    names = [f"{network} {location}" for network in networks for location in locations]
    columns = np.column_stack([values.reshape(len(values), -1), values.mean(axis=1)])
    return pd.DataFrame(columns.astype(np.float32), columns=[*names, *(f"mean {name}" for name in locations)])


@dataclass(frozen=True)
class Described:
    """Networks' outputs as members see them: a table of columns, and votes."""

    table: Numbers
    votes: Votes


def describe(outputs: Numbers, networks: list[str], locations: list[str]) -> Described:
    """Lay out outputs and how far the sets of locations agree; parameters as of `output_columns`."""
    found = agreement(outputs >= 0.5)
    columns = output_columns(outputs, networks, locations)
    table = pd.concat([columns, agreement_columns(found, networks, locations)], axis=1)
    return Described(table.to_numpy(np.float32), Votes.of(scaled(outputs), found))


def nested_outputs(
    described: Described,
    targets: NDArray[np.bool_],
    fold: NDArray[np.int16],
    *,
    joint: Sequence[JointNetwork] = JOINT,
    pooled: PooledTrees = POOLED,
    store: Store | None = None,
    jobs: int = 1,
    finished: Callable[[int], None] = lambda _: None,
) -> Nested:
    """Answer every row of a fold by members that saw neither it nor, at the inner level, another fold.

    Parameters
    ----------
    described : Described
        Without missing values.
    targets : ndarray of bool, shape (rows, locations)
    fold : ndarray of int, shape (rows,)
        From 0.
    joint : sequence of JointNetwork
        Their mean is one member.
    pooled : PooledTrees
        The other member.
    store : Store, optional
        Keeps finished members.
    jobs : int
        Members fitted at the same time; the result does not depend on it.
    finished : callable
        Called with the number of members just ready; there are ``len(joint) + 1`` for each of the
        ``folds * (folds + 1) / 2`` sets of folds.

    Returns
    -------
    Nested
        Sources are the joint network and the pooled trees.
    """
    folds = range(int(fold.max()) + 1)
    empty = np.full((*targets.shape, 2), np.nan)
    inner, outer = [empty.copy() for _ in folds], empty.copy()
    left_out = [*combinations(folds, 2), *((number,) for number in folds)]
    kept = MemoryStore() if store is None else store
    run = partial(_answered, targets, fold, left_out, store=kept, jobs=jobs, finished=finished)
    networks = [run(network, described.table) for network in joint]
    alike = run(pooled, described.votes)
    for place, without in enumerate(left_out):
        together = np.mean([each[place] for each in networks], axis=0)
        answers = np.stack([together, alike[place]], axis=2)
        own = fold[np.isin(fold, without)]
        for number in without:
            target = outer if len(without) == 1 else inner[sum(without) - number]
            target[fold == number] = answers[own == number]
    return Nested(inner, outer, outer)


def _answered(
    targets: NDArray[np.bool_],
    fold: NDArray[np.int16],
    left_out: list[tuple[int, ...]],
    member: JointNetwork | PooledTrees,
    known: Numbers | Votes,
    *,
    store: Store,
    jobs: int,
    finished: Callable[[int], None],
) -> list[Floats]:
    """Answer the rows of each set of folds by a member that saw none of them, several at once."""
    data = key_of(known.tobytes(), targets.tobytes(), fold.tobytes())
    settings = [type(member).__name__, str(sorted(member.get_params().items()))]
    keys = [key_of(data, without, *settings) for without in left_out]
    answers = {key: content for key in keys if (content := store.get(key)) is not None}
    if answers:
        finished(len(answers))
    missing = [(key, without) for key, without in zip(keys, left_out, strict=True) if key not in answers]
    tasks = (delayed(_answers)(member, known, targets, np.isin(fold, without)) for _, without in missing)
    for (key, _), content in zip(missing, Parallel(jobs, return_as="generator")(tasks), strict=True):
        store.put(key, content)
        answers[key] = content
        finished(1)
    return [np.frombuffer(answers[key]).reshape(-1, targets.shape[1]) for key in keys]


def _answers(
    member: JointNetwork | PooledTrees,
    known: Numbers | Votes,
    targets: NDArray[np.bool_],
    held_out: NDArray[np.bool_],
) -> bytes:
    fitted = clone(member).fit(known[~held_out], targets[~held_out])
    log_odds: Floats = fitted.decision_function(known[held_out])
    return log_odds.tobytes()
