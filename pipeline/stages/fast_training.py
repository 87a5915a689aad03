"""A model that answers without finding cells: what it may use, and what that costs in score."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from models.metrics import count, interval_of_difference, resampled_counts
from models.stack_model import STACK
from models.stacking import StackedLocations
from pipeline.core.errors import PipelineError
from pipeline.core.stage import Progress, read_made
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import Dataset
from pipeline.networks.leak_guard import TableCard
from pipeline.stages.options import TrainOptions


class Cost(NamedTuple):
    """What leaving the features out costs: macro-F1 without and with them, and the interval of the loss."""

    fast: float
    whole: float
    low: float
    high: float

    def told(self) -> str:
        """Say it in one line."""
        return (
            f"Fast: out-of-fold macro-F1 {self.fast:.3f}; features, on the same pictures and locations, add "
            f"{self.whole - self.fast:+.3f} (95 % {self.low:+.3f} to {self.high:+.3f})"
        )


def check_fast(options: TrainOptions, cards: Mapping[Path, TableCard | None]) -> None:
    """Refuse tables that a fast model, if one is asked for, cannot use.

    Raises
    ------
    PipelineError
        If there are none, or one needs cells or many looks at a picture.
    """
    if not options.fast:
        return
    if not options.embeddings:
        raise PipelineError("--fast learns from embeddings alone; give --embeddings, made by embed")
    if options.start is not None:
        raise PipelineError(f"--fast: the start '{options.start}' looks at a picture 16 times; leave one out")
    for path in options.embeddings:
        embedder = None if (card := cards[path]) is None else card.embedder
        if embedder is not None and embedder.per == "cell":
            raise PipelineError(f"{path}: embeds cells, which --fast does not find; embed with --per picture")


def cost_of_speed(
    stack: StackedLocations, data: Dataset, options: TrainOptions, progress: Progress
) -> dict[str, Any]:
    """Say what a fast model loses beside the one of the same folder with features; return it for the card."""
    if not options.fast:
        return {}
    cost = _cost(stack, data, options.work)
    if cost is None:
        progress.note("Fast: train without --fast in the same folder first to be told what that costs")
        return {"fast": None}
    progress.note(cost.told())
    return {"fast": cost._asdict()}


def _cost(stack: StackedLocations, data: Dataset, root: Path) -> Cost | None:
    """Compare both out of fold, on the pictures and locations that both have; None without the other."""
    path = Workspace(root).out_of_fold
    if not path.is_file():
        return None
    table = read_made(path, ["Id", "model", "location", "truth", "chosen"])
    whole = table[table["model"] == STACK].pivot_table(
        index="Id", columns="location", values="chosen", observed=True
    )
    ids = data.targets.index.intersection(whole.index)
    names = [name for name in data.trained if name in whole.columns]
    if ids.empty or not names:
        return None
    rows, columns = data.targets.index.get_indexer(ids), [data.trained.index(name) for name in names]
    truth = data.targets.loc[ids, names].to_numpy(bool)
    both = [stack.out_of_fold_[STACK].chosen[rows][:, columns], whole.loc[ids, names].to_numpy(bool)]
    groups = pd.Series(data.groups.to_numpy()[rows])
    fast, with_features = (float(count(truth, chosen).macro_f1()) for chosen in both)
    draws = [resampled_counts(truth, chosen, groups).macro_f1() for chosen in both]
    return Cost(fast, with_features, *interval_of_difference(draws[1] - draws[0], with_features - fast))
