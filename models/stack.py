"""The stacked multilabel model: boosters of every location and block, joined by linear heads.

A prediction's log-odds are a weighted sum of the boosters' log-odds, so they split exactly into
contributions of features: TreeSHAP of each booster times its weight.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from models.hyperparameters import Kind
from models.meta_learner import FittedHead
from models.nested import Member, Source, sources

Floats = NDArray[np.float64]

STACK = "stack"
TOP_TWO = "top two"
BIAS = "bias"


@dataclass(frozen=True)
class Prediction:
    """Answers for a table of pictures; both tables are rows x locations.

    Attributes
    ----------
    probability : DataFrame of float
    chosen : DataFrame of bool
    """

    probability: pd.DataFrame
    chosen: pd.DataFrame


@dataclass(frozen=True)
class StackModel:
    """A trained model: what a bundle holds.

    Attributes
    ----------
    locations : tuple of str
        Those that have a model.
    blocks : dict
        Name of a block to its columns.
    kinds : tuple of str
        Kinds of boosters on each block.
    members : list of Member
        The boosters, each with its source (a place in `sources`) and the locations it answers.
    heads : dict
        Name to fitted head: ``stack``, ``top two`` (where both locations are trained) and one
        per location, by the location's name.
    """

    locations: tuple[str, ...]
    blocks: Mapping[str, tuple[str, ...]]
    kinds: tuple[Kind, ...]
    members: list[Member]
    heads: Mapping[str, FittedHead]

    @property
    def columns(self) -> list[str]:
        """Columns that a table must have."""
        return [column for columns in self.blocks.values() for column in columns]

    @property
    def sources(self) -> list[Source]:
        """Blocks and kinds of boosters in the order of level 0's log-odds."""
        return sources(len(self.blocks), self.kinds)

    def predict(self, X: pd.DataFrame, head: str = STACK) -> Prediction:
        """Answer every row of a table.

        Raises
        ------
        ValueError
            If a column is missing; the message names the first ones.
        """
        fitted = self.heads[head]
        probability = expit(fitted.log_odds(self.margins(X)))
        names = [self.locations[position] for position in fitted.head.locations]
        return Prediction(
            pd.DataFrame(probability, index=X.index, columns=names),
            pd.DataFrame(fitted.chosen(probability), index=X.index, columns=names),
        )

    def margins(self, X: pd.DataFrame) -> Floats:
        """Return level 0's log-odds, shape (rows, locations, sources)."""
        tables, order = self._tables(X), self.sources
        margins = np.empty((len(X), len(self.locations), len(order)))
        for member in self.members:
            answers = member.booster.decision_function(tables[order[member.source][0]])
            margins[:, member.locations, member.source] = answers.reshape(len(X), -1)
        return margins

    def contributions(self, X: pd.DataFrame, location: str, head: str = STACK) -> pd.DataFrame:
        """Split a location's log-odds into contributions of the columns.

        Returns
        -------
        DataFrame
            Rows of X; the model's columns and, last, ``bias``. A row sums to the head's log-odds
            of that location.

        Raises
        ------
        ValueError
            If the location has no model, or a column is missing.
        """
        if location not in self.locations:
            raise ValueError(f"unknown location '{location}'; known: {', '.join(self.locations)}")
        parts = self._contributions(self._tables(X), head, [self.locations.index(location)])[0]
        return pd.DataFrame(parts, index=X.index, columns=[*self.columns, BIAS])

    def mean_shares(
        self, X: pd.DataFrame, head: str = STACK, finished: Callable[[int], None] = lambda _: None
    ) -> pd.DataFrame:
        """Return each column's mean absolute contribution to each location, as a share of their sum.

        `finished` is called with the number of rows just explained.

        Returns
        -------
        DataFrame
            The model's columns x the head's locations; every column of it sums to 1.
        """
        tables = self._tables(X)
        members = list(self.heads[head].head.locations)
        totals = np.zeros((len(members), len(self.columns)))
        for start in range(0, len(X), 64):
            some = [table[start : start + 64] for table in tables]
            for position, parts in enumerate(self._contributions(some, head, members)):
                totals[position] += np.abs(parts[:, :-1]).sum(axis=0)
            finished(len(some[0]))
        shares = totals / np.maximum(totals.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        return pd.DataFrame(shares.T, index=self.columns, columns=[self.locations[m] for m in members])

    def _contributions(self, tables: list[NDArray[np.float32]], head: str, wanted: list[int]) -> list[Floats]:
        """Return contributions and bias, shape (rows, columns + 1), of each wanted location."""
        fitted = self.heads[head]
        widths = [len(columns) for columns in self.blocks.values()]
        starts = np.concatenate([[0], np.cumsum(widths)])
        linear = [fitted.linear[fitted.head.locations.index(position)] for position in wanted]
        results = [np.zeros((len(tables[0]), starts[-1] + 1)) for _ in wanted]
        for result, function in zip(results, linear, strict=True):
            result[:, -1] = function.bias
        order = self.sources
        for member in self.members:
            block = order[member.source][0]
            asked = [place for place in member.locations if place in fitted.head.locations]
            if not asked:
                continue
            columns = slice(starts[block], starts[block + 1])
            parts = member.booster.contributions(tables[block])
            parts = parts.reshape(len(member.locations), *results[0].shape[:1], -1)
            for place in asked:
                part = parts[member.locations.index(place)]
                index = fitted.head.locations.index(place) * len(order) + member.source
                for result, function in zip(results, linear, strict=True):
                    result[:, columns] += function.weights[index] * part[:, :-1]
                    result[:, -1] += function.weights[index] * part[:, -1]
        return results

    def _tables(self, X: pd.DataFrame) -> list[NDArray[np.float32]]:
        missing = [column for column in self.columns if column not in X.columns]
        if missing:
            shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
            raise ValueError(f"{len(missing)} columns of the model are missing from the table: {shown}")
        return [X[list(columns)].to_numpy(dtype=np.float32) for columns in self.blocks.values()]
