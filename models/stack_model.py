"""A trained stack: base learners and meta-learners, which predict and explain.

A prediction's log-odds are a weighted sum of the base learners' log-odds, so they split exactly into
contributions: those of columns within each learner (TreeSHAP, or weights), times the learner's weight.
Learners of all locations contribute as one pseudo-column each.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from threadpoolctl import threadpool_limits

from models.cross_fitting import FittedLearner, Source
from models.hyperparameters import JOINT_KINDS
from models.meta_learner import FittedMetaLearner
from models.normalisation import Sphering

Floats = NDArray[np.float64]
Tables = list[NDArray[np.float32]]

STACK = "stack"
TOP_TWO = "top two"
BIAS = "bias"

_EXPLAINED = 64
"""Rows explained at a time."""


@dataclass(frozen=True)
class Prediction:
    """Predictions for a table of pictures; both tables, of float and of bool, are rows x locations."""

    probability: pd.DataFrame
    chosen: pd.DataFrame


@dataclass(frozen=True)
class StackModel:
    """A trained model of some locations: what a bundle holds.

    Blocks are columns by name; sources are blocks and kinds of base learners in the order of their log-odds.
    Meta-learners are ``stack``, ``top two`` (where both locations are trained) and one per location, by the
    location's name. Spherings are of blocks, where rows were sphered.
    """

    locations: tuple[str, ...]
    blocks: Mapping[str, tuple[str, ...]]
    sources: tuple[Source, ...]
    learners: list[FittedLearner]
    meta_learners: Mapping[str, FittedMetaLearner]
    spherings: Mapping[str, Sphering] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """Columns that a table must have."""
        return [column for columns in self.blocks.values() for column in columns]

    @cached_property
    def index(self) -> pd.Index:
        """The columns as an index: a table that is made with it is not searched for them."""
        return pd.Index(self.columns)

    @property
    def contributors(self) -> list[str]:
        """What log-odds split into: columns, and ``cnn__<block>__<kind>`` for a learner of all locations."""
        return [name for names in self._contributors().values() for name in names]

    def predict(self, X: pd.DataFrame, name: str = STACK) -> Prediction:
        """Predict every row of a table by one of the meta-learners; ValueError where columns are missing."""
        fitted = self.meta_learners[name]
        probability = expit(fitted.log_odds(self.base_log_odds(X)))
        names = [self.locations[position] for position in fitted.meta.locations]
        return Prediction(
            pd.DataFrame(probability, index=X.index, columns=names),
            pd.DataFrame(fitted.chosen(probability), index=X.index, columns=names),
        )

    def base_log_odds(self, X: pd.DataFrame) -> Floats:
        """Return the base learners' log-odds, shape (rows, locations, sources); 0 where there is none."""
        tables = self._tables(X)
        result = np.zeros((len(X), len(self.locations), len(self.sources)))
        for learner in self.learners:
            block = self.sources[learner.source][0]
            result[:, learner.locations, learner.source] = learner.log_odds(tables[block])
        return result

    def contributions(self, X: pd.DataFrame, location: str, name: str = STACK) -> pd.DataFrame:
        """Split a location's log-odds into contributions: the `contributors` and, last, ``bias``.

        A row sums to the meta-learner's log-odds. ValueError without a model, or if a column is missing.
        """
        if location not in self.locations:
            raise ValueError(f"unknown location '{location}'; known: {', '.join(self.locations)}")
        parts = self._contributions(self._tables(X), name, [self.locations.index(location)])[0]
        return pd.DataFrame(parts, index=X.index, columns=[*self.contributors, BIAS])

    def effects(
        self,
        X: pd.DataFrame,
        finished: Callable[[int], None] = lambda _: None,
        run: Callable[[Sequence[tuple[Tables, Floats]]], Iterator[Floats]] | None = None,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return what every contributor does to each location in the stack: how much, and which way.

        Both tables are `contributors` x locations: mean absolute contributions, as shares of their sum; and
        the correlation over rows between the rank of a column's value and its contribution, 1 where more of
        it speaks for the location, NaN where that never changes or there is no column. `finished` gets the
        number of rows just explained; `run` does `terms` of blocks elsewhere.
        """
        names, columns = self.contributors, self._named()
        order = X.reindex(columns=names).rank()
        ranks = (order - order.mean()).fillna(0).to_numpy(np.float64)  # 0 where a value is missing
        sums = np.zeros((4, len(columns), len(names)))
        blocks = [(tables, ranks[rows]) for rows, tables in self.in_blocks(X)]
        for block, terms in zip(blocks, map(self.terms, blocks) if run is None else run(blocks), strict=True):
            sums += terms
            finished(len(block[1]))
        totals, mean, square, cross = sums
        shares = totals / np.maximum(totals.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        spread = np.sqrt(np.maximum(square - mean**2 / len(X), 0) * (ranks**2).sum(axis=0))
        still = spread <= 1e-9 * np.maximum(totals, 1e-9)
        way = np.where(still, np.nan, cross / np.where(still, 1, spread))
        return pd.DataFrame(shares.T, names, columns), pd.DataFrame(way.T, names, columns)

    def terms(self, block: tuple[Tables, Floats]) -> Floats:
        """Return the sums over a block's rows that `effects` adds up, shape (4, locations, contributors)."""
        tables, ranks = block
        each = (parts[:, :-1] for parts in self.split(tables).values())
        return np.stack([[one.sum(axis=0) for one in (np.abs(p), p, p**2, ranks * p)] for p in each], axis=1)

    def in_blocks(self, X: pd.DataFrame) -> Iterator[tuple[slice, Tables]]:
        """Yield some rows after the other, with the tables that base learners see of them."""
        tables = self._tables(X)
        for start in range(0, len(X), _EXPLAINED):
            rows = slice(start, min(start + _EXPLAINED, len(X)))
            yield rows, [table[rows] for table in tables]

    def split(self, tables: Tables) -> dict[str, Floats]:
        """Return the `contributions` of all locations, by location, to rows that `in_blocks` yielded."""
        parts = self._contributions(tables, STACK, self.meta_learners[STACK].meta.locations)
        return dict(zip(self._named(), parts, strict=True))

    def _named(self) -> list[str]:
        return [self.locations[k] for k in self.meta_learners[STACK].meta.locations]

    def _contributions(self, tables: Tables, name: str, wanted: Sequence[int]) -> list[Floats]:
        """Return contributions and bias, shape (rows, contributors + 1), of each wanted location."""
        fitted = self.meta_learners[name]
        linear = [fitted.linear[fitted.meta.locations.index(position)] for position in wanted]
        results = [np.zeros((len(tables[0]), len(self.contributors) + 1)) for _ in wanted]
        for result, function in zip(results, linear, strict=True):
            result[:, -1] = function.bias
        slices = self._slices()
        for learner in self.learners:
            asked = [position for position in learner.locations if position in fitted.meta.locations]
            if not asked:
                continue
            parts = learner.contributions(tables[self.sources[learner.source][0]])
            for position in asked:
                part = parts[learner.locations.index(position)]
                index = fitted.meta.locations.index(position) * len(self.sources) + learner.source
                for result, function in zip(results, linear, strict=True):
                    result[:, slices[learner.source]] += function.weights[index] * part[:, :-1]
                    result[:, -1] += function.weights[index] * part[:, -1]
        return results

    def _contributors(self) -> dict[tuple[int, str], tuple[str, ...]]:
        """Return names of contributors by block and, for a learner of all locations, kind."""
        names, columns = list(self.blocks), list(self.blocks.values())
        return {
            _share_of(source): (
                (f"cnn__{names[source[0]]}__{source[1]}",) if source[1] in JOINT_KINDS else columns[source[0]]
            )
            for source in self.sources
        }

    def _slices(self) -> list[slice]:
        """Return which contributors every source adds to."""
        slices, start = {}, 0
        for key, names in self._contributors().items():
            slices[key] = slice(start, start + len(names))
            start += len(names)
        return [slices[_share_of(source)] for source in self.sources]

    def _tables(self, X: pd.DataFrame) -> Tables:
        if not X.columns.equals(self.index):
            missing = self.index.difference(X.columns, sort=False)
            if len(missing):
                shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
                raise ValueError(f"{len(missing)} columns of the model are missing from the table: {shown}")
            X = X[self.index]
        ends = np.cumsum([len(columns) for columns in self.blocks.values()])
        parts = np.split(X.to_numpy(np.float32), ends[:-1], axis=1)
        tables = {name: np.ascontiguousarray(part) for name, part in zip(self.blocks, parts, strict=True)}
        with threadpool_limits(1, user_api="blas"):  # as in training
            for name, sphering in self.spherings.items():
                tables[name] = sphering.transform(tables[name]).astype(np.float32)
        return list(tables.values())


def _share_of(source: Source) -> tuple[int, str]:
    """Return what a source's contributions are added up with: its block's columns, or its own."""
    block, kind = source
    return block, kind if kind in JOINT_KINDS else ""
