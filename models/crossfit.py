"""Level 0 of the stack: fit many boosters on subsets of folds, several at once, none twice."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray

from models.boosters import BinaryBooster, centred_ranks, columns_by_separation, sides
from models.settings import Kind, Settings
from models.trees import GROW, READ, Trees

Floats = NDArray[np.float64]

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
        digest.update(values.tobytes())
        return cls(name, tuple(table.columns), values, centred_ranks(values), digest.hexdigest())


@dataclass(frozen=True)
class Fit:
    """One booster to fit.

    Attributes
    ----------
    without : tuple of int
        Folds that are left out, and whose rows are answered; none: a booster of all rows.
    """

    block: int
    kind: Kind
    location: int
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
    learn : ndarray of bool, shape (rows, locations), optional
        Which rows boosters of a location may learn from; all unless given. Every row is answered.
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
        targets: NDArray[np.bool_],
        fold: NDArray[np.int16],
        *,
        learn: NDArray[np.bool_] | None = None,
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
        self._learn = np.ones(targets.shape, dtype=bool) if learn is None else learn
        self._orders: dict[tuple[int, tuple[int, ...]], NDArray[np.int32]] = {}
        self._store = MemoryStore() if store is None else store
        self._jobs = jobs
        self._finished = finished or (lambda _: None)
        digests = [block.digest for block in self.blocks]
        self.digest = _digest(digests, targets.tobytes(), fold.tobytes(), self._learn.tobytes(), seed)

    def margins(self, fits: Sequence[Fit]) -> list[Floats]:
        """Return each fit's log-odds of the rows it was fitted without, in their order."""
        return [np.frombuffer(content, dtype=np.float64) for content in self._all(fits, self._margin)]

    def boosters(self, fits: Sequence[Fit]) -> list[BinaryBooster]:
        """Return fitted boosters."""
        contents = self._all(fits, lambda fit: self._grow(fit)[0].to_bytes())
        return [self._read(fit, content) for fit, content in zip(fits, contents, strict=True)]

    def _all(self, fits: Sequence[Fit], make: Callable[[Fit], bytes]) -> list[bytes]:
        def one(fit: Fit) -> bytes:
            key = _digest(self.digest, self.blocks[fit.block].digest, asdict(fit))
            content = self._store.get(key)
            if content is None:
                content = make(fit)
                self._store.put(key, content)
            return content

        contents = []
        # Threads: both libraries leave Python's lock while they work, and the tables are shared.
        for content in Parallel(self._jobs, backend="threading", return_as="generator")(
            map(delayed(one), fits)
        ):
            contents.append(content)
            self._finished(1)
        return contents

    def _margin(self, fit: Fit) -> bytes:
        trees, kept = self._grow(fit)
        held_out = np.flatnonzero(np.isin(self.fold, fit.without))
        return trees.margin(self.blocks[fit.block].table[np.ix_(held_out, kept)]).tobytes()

    def _grow(self, fit: Fit) -> tuple[Trees, NDArray[np.int64]]:
        inside = ~np.isin(self.fold, fit.without) & self._learn[:, fit.location]
        rows, kept = np.flatnonzero(inside), self._kept(fit)
        table = self.blocks[fit.block].table[np.ix_(rows, kept)]
        return GROW[fit.kind](table, self.targets[rows, fit.location], fit.settings, self.seed), kept

    def _kept(self, fit: Fit) -> NDArray[np.int64]:
        """Return the columns of a fit; their order of merit is found once per block and folds left out."""
        key = (fit.block, fit.without)
        order = self._orders.get(key)
        if order is None:
            inside = ~np.isin(self.fold, fit.without)
            weights = [
                sides(self.targets[:, place], inside & self._learn[:, place])
                for place in range(self.targets.shape[1])
            ]
            order = columns_by_separation(self.blocks[fit.block].ranks, np.stack(weights))
            self._orders[key] = order
        return np.sort(order[fit.location, : fit.settings.columns]).astype(np.int64)

    def _read(self, fit: Fit, content: bytes) -> BinaryBooster:
        booster = BinaryBooster(fit.kind, fit.settings, self.seed)
        return booster.restore(READ[fit.kind](content), self._kept(fit), len(self.blocks[fit.block].columns))


def _digest(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else json.dumps(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()
