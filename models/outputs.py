"""Stack the outputs of other networks: their probabilities or hard labels of every location.

Two members, both fitted without each pair of folds and each single fold as `models.nested`
describes: networks that learn all locations together, averaged because rare locations come out
differently from each training, and boosted trees per location. The heads
of `models.heads` join them. Rows of another data set may be learned from; a column tells them apart,
since networks are right more or less often there.
"""

import hashlib
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.base import clone

from models.crossfit import EXTRA, Block, Fit, Level0, MemoryStore, Store
from models.joint import JointNetwork
from models.nested import Nested
from models.settings import Settings

Floats = NDArray[np.float64]

EXTRA_WEIGHT = 0.5
"""What an extra row counts for the network: its pictures are alike, but not the ones that are scored."""

JOINT = tuple(JointNetwork(seed=seed) for seed in range(3))

TREES = Settings(
    columns=1000, trees=150, leaves=7, learning_rate=0.06, l2=5.0, row_share=1.0, column_share=0.2, min_rows=5
)


def output_columns(outputs: NDArray[np.float32], networks: list[str], locations: list[str]) -> pd.DataFrame:
    """Lay out networks' outputs as columns.

    Parameters
    ----------
    outputs : ndarray, shape (rows, networks, locations)
        Probabilities, or 0 and 1.
    networks, locations : list of str

    Returns
    -------
    DataFrame of float32
        Every output (probabilities as log-odds within ±6, scaled to [0, 1]) and, per location, their mean.
    """
    hard = bool(np.isin(outputs, (0, 1)).all())
    bound = 1 / (1 + np.exp(6))
    values = outputs if hard else (logit(np.clip(outputs, bound, 1 - bound)) + 6) / 12
    names = [f"{network} {location}" for network in networks for location in locations]
    columns = np.column_stack([values.reshape(len(values), -1), values.mean(axis=1)])
    return pd.DataFrame(columns.astype(np.float32), columns=[*names, *(f"mean {name}" for name in locations)])


def nested_outputs(
    table: pd.DataFrame,
    targets: NDArray[np.bool_],
    fold: NDArray[np.int16],
    *,
    joint: Sequence[JointNetwork] = JOINT,
    store: Store | None = None,
    jobs: int = 1,
    finished: Callable[[int], None] = lambda _: None,
) -> Nested:
    """Answer every row of a fold by members that saw neither it nor, at the inner level, another fold.

    Parameters
    ----------
    table : DataFrame
        What `output_columns` and `models.agreement.agreement_columns` give; without missing values.
    targets : ndarray of bool, shape (rows, locations)
    fold : ndarray of int, shape (rows,)
        `models.crossfit.EXTRA` for rows that are only learned from.
    joint : sequence of JointNetwork
        Their mean is the member of all locations; the other is `TREES` of each location.
    store : Store, optional
        Keeps finished members.
    jobs : int
        Members fitted at the same time; the result does not depend on it.
    finished : callable
        Called with the number of members just ready; there are ``1 + len(joint)`` for each of the
        ``folds * (folds + 1) / 2`` sets of folds.

    Returns
    -------
    Nested
        Of the rows of folds; sources are the joint network and the trees.
    """
    if (fold == EXTRA).any():
        table = table.assign(extra=(fold == EXTRA).astype(np.float32))
    level0 = Level0([Block.of("outputs", table)], targets, fold, store=store, jobs=jobs)
    folds = range(level0.folds)
    empty = np.full((*targets.shape, 2), np.nan)
    inner, outer = [empty.copy() for _ in folds], empty.copy()
    left_out = [*combinations(folds, 2), *((number,) for number in folds)]
    together = [_joint(level0, network, left_out, store, jobs, finished) for network in joint]
    for without, *joined in zip(left_out, *together, strict=True):
        held_out = np.isin(fold, without)
        answers = np.full_like(empty, np.nan)
        answers[held_out, :, 0] = np.mean(joined, axis=0)
        fits = [Fit(0, "lightgbm", place, TREES, without) for place in range(targets.shape[1])]
        answers[held_out, :, 1] = np.column_stack(level0.margins(fits))
        for own in without:
            target = outer if len(without) == 1 else inner[sum(without) - own]
            target[fold == own] = answers[fold == own]
        finished(1)
    return Nested(inner, outer, outer).rows(fold != EXTRA)


def _joint(
    level0: Level0,
    joint: JointNetwork,
    left_out: list[tuple[int, ...]],
    store: Store | None,
    jobs: int,
    finished: Callable[[int], None],
) -> list[Floats]:
    """Answer the rows of each set of folds by a network that saw none of them, several networks at once."""
    kept = MemoryStore() if store is None else store
    settings = sorted(joint.get_params().items())
    described = [f"{level0.digest} {without} {settings}" for without in left_out]
    keys = [hashlib.sha256(words.encode()).hexdigest() for words in described]
    answers = {key: content for key in keys if (content := kept.get(key)) is not None}
    if answers:
        finished(len(answers))
    missing = [(key, without) for key, without in zip(keys, left_out, strict=True) if key not in answers]
    weight = np.where(level0.fold == EXTRA, EXTRA_WEIGHT, 1.0).astype(np.float32)
    known = (level0.blocks[0].table, level0.targets, weight)
    tasks = (delayed(_answers)(joint, *known, np.isin(level0.fold, without)) for _, without in missing)
    for (key, _), content in zip(missing, Parallel(jobs, return_as="generator")(tasks), strict=True):
        kept.put(key, content)
        answers[key] = content
        finished(1)
    return [np.frombuffer(answers[key]).reshape(-1, level0.targets.shape[1]) for key in keys]


def _answers(
    joint: JointNetwork,
    table: NDArray[np.float32],
    targets: NDArray[np.bool_],
    weight: NDArray[np.float32],
    held_out: NDArray[np.bool_],
) -> bytes:
    network = clone(joint).fit(table[~held_out], targets[~held_out], weight[~held_out])
    log_odds: Floats = network.decision_function(table[held_out])
    return log_odds.tobytes()
