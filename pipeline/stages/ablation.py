"""Ablations of a trained stack, from the base learners' log-odds that `train` left."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.ablation import BaseLogOdds, ablations
from models.cross_fitting import Nested
from models.meta_learner import mean_group_size
from models.metrics import count, interval, resampled_counts
from pipeline.core.errors import PipelineError
from pipeline.core.progress import Progress
from pipeline.core.workspace import Workspace


@dataclass(frozen=True)
class Ablation:
    """One variant beside the stack.

    Attributes
    ----------
    name : str
    macro_f1, low, high : float
        Over trained locations, with its 95 % interval.
    difference, worst, most : float
        Of the variant's macro-F1 to the stack's, and the paired interval.
    """

    name: str
    macro_f1: float
    low: float
    high: float
    difference: float
    worst: float
    most: float


def ablate(work: Workspace, rule: str, draws: int, seed: int, progress: Progress) -> list[Ablation]:
    """Fit meta-learner and thresholds again on some base learners, and score them on the same groups.

    Raises
    ------
    PipelineError
        If the log-odds of the base learners are not there.
    """
    if not work.base_log_odds.is_file():
        raise PipelineError(f"{work.base_log_odds}: missing; run train again with --work {work.root}")
    with np.load(work.base_log_odds, allow_pickle=False) as kept:
        base = BaseLogOdds(
            nested=Nested(list(kept["inner"]), kept["outer"], kept["outer"]),
            targets=kept["targets"],
            fold=kept["fold"],
            blocks=kept["blocks"].tolist(),
            kinds=kept["kinds"].tolist(),
            always=bool(kept["always"]),
            group_size=mean_group_size(kept["groups"]),
        )
        groups = pd.Series(kept["groups"])
    rows: list[Ablation] = []
    whole: tuple[float, NDArray[np.float64]] | None = None
    with progress.track("Leaving parts out", 1) as advance:
        for name, predicted in ablations(base, rule):
            value = float(count(base.targets, predicted.chosen).macro_f1())
            drawn = resampled_counts(base.targets, predicted.chosen, groups, draws=draws, seed=seed)
            spread = np.asarray(drawn.macro_f1())
            whole = whole or (value, spread)
            low, high = interval(spread)
            worst, most = interval(spread - whole[1])
            rows.append(Ablation(name, value, low, high, value - whole[0], worst, most))
        advance(1)
    return rows
