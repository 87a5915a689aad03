"""Stack the outputs of other networks: their probabilities or hard labels of every location.

Three members, all fitted without each pair of folds and each single fold as `models.nested`
describes: networks that learn all locations together, averaged because rare locations come out
differently from each training; boosted trees per location; and boosted trees over pairs of a row and a
location, from which rare locations learn how far votes can be trusted. The heads
of `models.heads` join them. Rows of another data set may be learned from; a column tells them apart,
since networks are right more or less often there.
"""

import hashlib
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
from models.crossfit import EXTRA, Block, Fit, Level0, MemoryStore, Store
from models.joint import JointNetwork
from models.nested import Nested
from models.pooled import PooledTrees, Votes
from models.settings import Settings

Floats = NDArray[np.float64]
Numbers = NDArray[np.float32]

EXTRA_WEIGHT = 0.5
"""What an extra row counts for members of all locations: its pictures are alike, but not those scored."""

JOINT = tuple(JointNetwork(seed=seed) for seed in range(3))

POOLED = PooledTrees()

TREES = Settings(
    columns=1000, trees=150, leaves=7, learning_rate=0.06, l2=5.0, row_share=1.0, column_share=0.2, min_rows=5
)


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

    table: pd.DataFrame
    votes: Votes


def describe(
    outputs: Numbers, networks: list[str], locations: list[str], extra: NDArray[np.bool_]
) -> Described:
    """Lay out outputs and how far the sets of locations agree; parameters as of `output_columns`.

    `extra` tells rows of another data set, shape (rows,); if there are any, a column does too.
    """
    found = agreement(outputs >= 0.5)
    columns = output_columns(outputs, networks, locations)
    table = pd.concat([columns, agreement_columns(found, networks, locations)], axis=1)
    if extra.any():
        table = table.assign(extra=extra.astype(np.float32))
    return Described(table, Votes.of(scaled(outputs), found, extra))


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
        `models.crossfit.EXTRA` for rows that are only learned from.
    joint : sequence of JointNetwork
        Their mean is one member; another is `TREES` of each location.
    pooled : PooledTrees
        The third member.
    store : Store, optional
        Keeps finished members.
    jobs : int
        Members fitted at the same time; the result does not depend on it.
    finished : callable
        Called with the number of members just ready; there are ``2 + len(joint)`` for each of the
        ``folds * (folds + 1) / 2`` sets of folds.

    Returns
    -------
    Nested
        Of the rows of folds; sources are the joint network, the trees and the pooled trees.
    """
    block = Block.of("outputs", described.table)
    level0 = Level0([block], targets, fold, store=store, jobs=jobs)
    folds = range(level0.folds)
    empty = np.full((*targets.shape, 3), np.nan)
    inner, outer = [empty.copy() for _ in folds], empty.copy()
    left_out = [*combinations(folds, 2), *((number,) for number in folds)]
    run = partial(_answered, level0, left_out, store=store, jobs=jobs, finished=finished)
    networks = [run(network, block.table) for network in joint]
    alike = run(pooled, described.votes)
    for place, without in enumerate(left_out):
        held_out = np.isin(fold, without)
        fits = [Fit(0, "lightgbm", location, TREES, without) for location in range(targets.shape[1])]
        answers = np.full_like(empty, np.nan)
        answers[held_out, :, 0] = np.mean([each[place] for each in networks], axis=0)
        answers[held_out, :, 1] = np.column_stack(level0.margins(fits))
        answers[held_out, :, 2] = alike[place]
        for own in without:
            target = outer if len(without) == 1 else inner[sum(without) - own]
            target[fold == own] = answers[fold == own]
        finished(1)
    return Nested(inner, outer, outer).rows(fold != EXTRA)


def _answered(
    level0: Level0,
    left_out: list[tuple[int, ...]],
    member: JointNetwork | PooledTrees,
    known: Numbers | Votes,
    *,
    store: Store | None,
    jobs: int,
    finished: Callable[[int], None],
) -> list[Floats]:
    """Answer the rows of each set of folds by a member that saw none of them, several at once."""
    kept = MemoryStore() if store is None else store
    settings = sorted(member.get_params().items())
    described = [f"{level0.digest} {without} {settings}" for without in left_out]
    keys = [hashlib.sha256(words.encode()).hexdigest() for words in described]
    answers = {key: content for key in keys if (content := kept.get(key)) is not None}
    if answers:
        finished(len(answers))
    missing = [(key, without) for key, without in zip(keys, left_out, strict=True) if key not in answers]
    weight = np.where(level0.fold == EXTRA, EXTRA_WEIGHT, 1.0).astype(np.float32)
    data = (known, level0.targets, weight)
    tasks = (delayed(_answers)(member, *data, np.isin(level0.fold, without)) for _, without in missing)
    for (key, _), content in zip(missing, Parallel(jobs, return_as="generator")(tasks), strict=True):
        kept.put(key, content)
        answers[key] = content
        finished(1)
    return [np.frombuffer(answers[key]).reshape(-1, level0.targets.shape[1]) for key in keys]


def _answers(
    member: JointNetwork | PooledTrees,
    known: Numbers | Votes,
    targets: NDArray[np.bool_],
    weight: Numbers,
    held_out: NDArray[np.bool_],
) -> bytes:
    fitted = clone(member).fit(known[~held_out], targets[~held_out], weight[~held_out])
    log_odds: Floats = fitted.decision_function(known[held_out])
    return log_odds.tobytes()
