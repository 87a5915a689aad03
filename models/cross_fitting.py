"""Level 0 of the stack: fit many boosters on subsets of folds, several at once, none twice."""

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray

from models.base_learners.boosters import BinaryBooster
from models.base_learners.multilabel import MultilabelBooster, MultilabelTrees
from models.base_learners.trees import GROW, READ, Trees
from models.feature_selection import centred_ranks, columns_by_separation, shared_columns, sides
from models.hyperparameters import Kind, Settings

Floats = NDArray[np.float64]
Booster = BinaryBooster | MultilabelBooster
Labels = NDArray[np.bool_]

EXTRA = -2
"""Fold of rows that every booster learns from and none answers."""


class Store(Protocol):
    """Keeps results by key, so that an interrupted training continues where it was."""

    def get(self, key: str) -> bytes | None:
        """Return what was put under `key`, or None."""
        ...

    def put(self, key: str, content: bytes) -> None:
        """Keep `content` under `key`."""
        ...


class MemoryStore:
    """A store that lasts as long as the process."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        """Return what was put under `key`, or None."""
        return self._kept.get(key)

    def put(self, key: str, content: bytes) -> None:
        """Keep `content` under `key`."""
        self._kept[key] = content


@dataclass(frozen=True)
class Block:
    """Columns that boosters see together: the handcrafted features, or one table of embeddings.

    Attributes
    ----------
    table, ranks : ndarray of float32, shape (rows, columns)
        `ranks` as `centred_ranks` gives them. They use no labels, which is why one table of ranks
        may serve all folds.
    """

    name: str
    columns: tuple[str, ...]
    table: NDArray[np.float32]
    ranks: NDArray[np.float32]
    digest: str

    @classmethod
    def of(cls, name: str, table: pd.DataFrame) -> "Block":
        """Make a block of a table's columns."""
        values = np.ascontiguousarray(table.to_numpy(dtype=np.float32))
        digest = hashlib.sha256(json.dumps([name, *table.columns]).encode())
        digest.update(values.data)
        return cls(name, tuple(table.columns), values, centred_ranks(values), digest.hexdigest())


@dataclass(frozen=True)
class Fit:
    """One booster to fit.

    Attributes
    ----------
    location : int or None
        None: all locations at once.
    without : tuple of int
        Folds that are left out, and whose rows are answered; none: a booster of all rows.
    """

    block: int
    kind: Kind
    location: int | None
    settings: Settings
    without: tuple[int, ...] = ()


class Level0:
    """Everything that boosters are fitted on.

    Parameters
    ----------
    blocks : sequence of Block
    targets : ndarray of bool, shape (rows, locations)
    fold : ndarray of int, shape (rows,)
        From 0; `EXTRA` rows belong to no fold.
    learn : mapping of tuple of int to ndarray of bool, shape (rows, locations), optional
        Which labels may be learned from, by the folds that a fit leaves out; all, where there is none for
        them. Every row is answered all the same.
    seed : int
    store : Store
    jobs : int
        Boosters fitted at the same time; the result does not depend on it.
    finished : callable
        Called with the number of boosters just finished.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        targets: Labels,
        fold: NDArray[np.int16],
        *,
        learn: Mapping[tuple[int, ...], Labels] | None = None,
        seed: int = 0,
        store: Store | None = None,
        jobs: int = 1,
        finished: Callable[[int], None] | None = None,
    ) -> None:
        self.blocks = tuple(blocks)
        self.targets = targets
        self.fold = fold
        self.folds = int(fold.max()) + 1
        self.seed = seed
        self.store = MemoryStore() if store is None else store
        self.jobs = jobs
        self.finished = finished or (lambda _: None)
        self._learn = dict(learn or {})
        self._everything = np.ones(targets.shape, dtype=bool)
        self._orders: dict[tuple[int, tuple[int, ...]], NDArray[np.int32]] = {}
        self._ordering = threading.Lock()
        digests = [block.digest for block in self.blocks]
        self.digest = key_of(digests, targets.tobytes(), fold.tobytes(), seed)

    def restricted(self, learn: Mapping[tuple[int, ...], Labels]) -> "Level0":
        """Return the same with labels that may not be learned from."""
        return self._with(self.fold, learn)

    def dealt(self, fold: NDArray[np.int16]) -> "Level0":
        """Return the same, learning from all labels, in other folds."""
        return self._with(fold, None)

    def _with(self, fold: NDArray[np.int16], learn: Mapping[tuple[int, ...], Labels] | None) -> "Level0":
        return Level0(
            self.blocks,
            self.targets,
            fold,
            learn=learn,
            seed=self.seed,
            store=self.store,
            jobs=self.jobs,
            finished=self.finished,
        )

    def margins(self, fits: Sequence[Fit]) -> list[Floats]:
        """Return each fit's log-odds of the rows it was fitted without, in their order.

        Shape (rows,), or (rows, locations) for a fit of all locations.
        """
        contents = self._all(fits, self._margin)
        answers = [np.frombuffer(content, dtype=np.float64) for content in contents]
        locations = self.targets.shape[1]
        return [
            answer.reshape(-1, locations) if fit.location is None else answer
            for fit, answer in zip(fits, answers, strict=True)
        ]

    def boosters(self, fits: Sequence[Fit]) -> list[Booster]:
        """Return fitted boosters."""
        contents = self._all(fits, lambda fit: self._grow(fit)[0].to_bytes())
        return [self._read(fit, content) for fit, content in zip(fits, contents, strict=True)]

    def _all(self, fits: Sequence[Fit], make: Callable[[Fit], bytes]) -> list[bytes]:
        def one(fit: Fit) -> bytes:
            learn = self._learn.get(fit.without)
            seen = [] if learn is None else [learn.tobytes()]
            key = key_of(self.digest, self.blocks[fit.block].digest, asdict(fit), *seen)
            content = self.store.get(key)
            if content is None:
                content = make(fit)
                self.store.put(key, content)
            return content

        contents = []
        # Threads: both libraries leave Python's lock while they work, and the tables are shared.
        for content in Parallel(self.jobs, backend="threading", return_as="generator")(
            map(delayed(one), fits)
        ):
            contents.append(content)
            self.finished(1)
        return contents

    def _margin(self, fit: Fit) -> bytes:
        trees, kept = self._grow(fit)
        held_out = np.flatnonzero(np.isin(self.fold, fit.without))
        return trees.margin(self.blocks[fit.block].table[np.ix_(held_out, kept)]).tobytes()

    def _grow(self, fit: Fit) -> tuple[Trees | MultilabelTrees, NDArray[np.int64]]:
        kept, learn = self._kept(fit), self._learned(fit.without)
        inside = learn.any(axis=1) if fit.location is None else learn[:, fit.location]
        rows = np.flatnonzero(inside & ~np.isin(self.fold, fit.without))
        table = self.blocks[fit.block].table[np.ix_(rows, kept)]
        if fit.location is None:
            trees = MultilabelTrees.grow(table, self.targets[rows], learn[rows], fit.settings, self.seed)
            return trees, kept
        known = self.targets[rows, fit.location]
        return GROW[fit.kind](table, known, fit.settings, self.seed), kept

    def _learned(self, without: tuple[int, ...]) -> Labels:
        return self._learn.get(without, self._everything)

    def _kept(self, fit: Fit) -> NDArray[np.int64]:
        order = self._order(fit.block, fit.without)
        if fit.location is None:
            return shared_columns(order, fit.settings.columns)
        return np.sort(order[fit.location, : fit.settings.columns]).astype(np.int64)

    def _order(self, block: int, without: tuple[int, ...]) -> NDArray[np.int32]:
        """Return columns by merit for every location, found once per block and folds left out."""
        with self._ordering:
            if (block, without) not in self._orders:
                inside, learn = ~np.isin(self.fold, without), self._learned(without)
                weights = [sides(y, inside & some) for y, some in zip(self.targets.T, learn.T, strict=True)]
                order = columns_by_separation(self.blocks[block].ranks, np.stack(weights))
                self._orders[block, without] = order
            return self._orders[block, without]

    def _read(self, fit: Fit, content: bytes) -> Booster:
        kept, columns = self._kept(fit), len(self.blocks[fit.block].columns)
        if fit.location is None:
            trees = MultilabelTrees.from_bytes(content)
            return MultilabelBooster(fit.settings, self.seed).restore(trees, kept, columns)
        binary = BinaryBooster(fit.kind, fit.settings, self.seed)
        return binary.restore(READ[fit.kind](content), kept, columns)


def key_of(*parts: object) -> str:
    """Return a key for a `Store`: the same for equal bytes, numbers and texts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else json.dumps(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()
