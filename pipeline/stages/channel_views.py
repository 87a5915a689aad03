"""How a model does where markers are absent: rows without the columns that need them, out of fold."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

import features
from models.blocks import View
from models.hyperparameters import CELLS
from models.metrics import count
from models.stack_model import STACK
from models.stacking import StackedLocations
from pipeline.core.names import counted
from pipeline.data.cell_tables import missing_marks
from pipeline.data.dataset import FEATURES, Dataset
from pipeline.data.layouts import CHANNELS
from pipeline.data.samples import Sample
from pipeline.networks.leak_guard import TableCard

ABSENT = ("er",), ("microtubules",), ("microtubules", "er")
"""Markers that pictures may lack."""

WITHOUT = "without "
"""How the names of predictions begin that use no column of some markers."""


def view_name(absent: Iterable[str]) -> str:
    """Name the predictions without some markers: "without microtubules and er"."""
    return WITHOUT + " and ".join(name for name in CHANNELS if name in {*absent})


def channel_views(
    blocks: Mapping[str, pd.DataFrame], channels: Iterable[str], cards: Mapping[str, TableCard | None]
) -> list[View]:
    """Return the views of rows as if markers that pictures have had not been recorded.

    Parameters
    ----------
    blocks : mapping of str to DataFrame
        Columns that a model is trained on.
    channels : iterable of str
        Channels of the pictures.
    cards : mapping of str to TableCard or None
        Of embeddings, by block. One by a network that needs a marker is missing as a whole.
    """
    there = set(channels)
    views = []
    for absent in ABSENT:
        marks = {}
        if there.issuperset(absent):
            if FEATURES in blocks:
                left = {*features.picture_columns(None, [name for name in CHANNELS if name not in absent])}
                marks[FEATURES] = ~np.isin(blocks[FEATURES].columns, list(left))
            if CELLS in blocks:
                marks[CELLS] = missing_marks(blocks[CELLS], [name for name in CHANNELS if name not in absent])
            for name, card in cards.items():
                if card is not None and card.embedder is not None and card.embedder.needs(absent):
                    marks[name] = np.ones(blocks[name].shape[1], dtype=bool)
        if any(some.any() for some in marks.values()):
            views.append(View(view_name(absent), marks))
    return views


def channel_scores(stack: StackedLocations, data: Dataset) -> dict[str, float]:
    """Return the macro-F1 of the stack out of fold, as "all", and of every view by its name, for the card."""
    truth = data.targets[data.trained].to_numpy()
    named = {STACK: "all"} | {name: name for name in stack.out_of_fold_ if is_view(name)}
    return {
        shown: round(float(count(truth, stack.out_of_fold_[name].chosen).macro_f1()), 4)
        for name, shown in named.items()
    }


def is_view(name: str) -> bool:
    """Say whether a name of out-of-fold predictions is that of a view without markers."""
    return name in {view_name(absent) for absent in ABSENT}


def told_lacking(card: Mapping[str, Any], samples: Iterable[Sample]) -> dict[str, str]:
    """Say of samples, by Id, how much worse the model does without what they lack of its channels."""
    told = {sample.id: lacking(card, sample.channels) for sample in samples}
    return {sample: line for sample, line in told.items() if line}


def lacking(card: Mapping[str, Any], channels: Collection[str]) -> str:
    """Say how much worse a model does without those of its channels that a picture lacks, if it lacks any."""
    trained = set((card.get("extraction") or {}).get("channels", CHANNELS))
    absent = [name for name in CHANNELS if name in trained and name not in channels]
    return f"{' and '.join(absent)} not recorded: {_worse(card, absent)}" if absent else ""


def _worse(card: Mapping[str, Any], absent: list[str]) -> str:
    scores = card.get("channels", {})
    if view_name(absent) not in scores:
        return "how the model does without was not measured"
    before, after = scores["all"], scores[view_name(absent)]
    return f"in cross-validation macro-F1 is {after:.2f} without, {before:.2f} with"


def told_once(told: Mapping[str, str]) -> list[str]:
    """Return what is told of samples, each line once with how many it is of."""
    numbers = pd.Series(told, dtype=object).value_counts(sort=False)
    return [f"{line} ({counted(number, 'picture')})" for line, number in numbers.items()]
