"""Blocks: columns that base learners see together, and how they see them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.bags import cell_columns
from models.base_learners.trees import bin_values
from models.hyperparameters import ALONE, CELLS, MANY, OF_NETWORKS, START

Labels = NDArray[np.bool_]
Table = NDArray[np.float32]


@dataclass(frozen=True)
class Block:
    """Columns that base learners of some kinds see together: features, an embedding, or networks' outputs.

    The table has shape (rows, columns). Where there are `reference` rows, of shape (rows,), every fit spheres
    it by those that it learns from. `alone` marks columns that learners of their own see, by what these are;
    those of single cells, shape (columns of a cell,), in a block of bags.
    """

    name: str
    columns: tuple[str, ...]
    table: Table
    digest: str
    kinds: tuple[str, ...]
    reference: Labels | None = None
    alone: Mapping[str, Labels] = field(default_factory=dict)

    @cached_property
    def bins(self) -> Table | None:
        """The `bin_values` that trees share; None where rows are so few that every fit finds its own."""
        return bin_values(self.table) if len(self.table) >= MANY else None

    @classmethod
    def of(
        cls,
        name: str,
        table: pd.DataFrame,
        kinds: Sequence[str] = (),
        reference: Labels | None = None,
        alone: Mapping[str, Labels] | None = None,
    ) -> "Block":
        """Make a block of a table's columns; one whose rows lie together in memory is not copied."""
        values = np.ascontiguousarray(table.to_numpy(dtype=np.float32))
        digest = hashlib.sha256(json.dumps([name, *table.columns]).encode())
        digest.update(values.data)
        if reference is not None:
            digest.update(reference.tobytes())
        for what, marks in (alone := alone or {}).items():
            digest.update(what.encode() + marks.tobytes())
        return cls(name, tuple(table.columns), values, digest.hexdigest(), tuple(kinds), reference, alone)


@dataclass(frozen=True)
class View:
    """The same rows as if some columns were missing; `missing` marks these, by block, shape (columns,)."""

    name: str
    missing: Mapping[str, Labels]

    def of(self, block: Block, table: Table, selected: NDArray[np.int64]) -> Table:
        """Return the view of rows of a block's selected columns."""
        marks = self.missing.get(block.name)
        return table if marks is None else np.where(marks[selected], np.float32(np.nan), table)


@dataclass(frozen=True)
class Roles:
    """Which learners look at which blocks; see `models.stacking.StackedLocations` for the attributes."""

    kinds: tuple[str, ...]
    of_networks: tuple[str, ...]
    starts: tuple[str, ...]
    alone: Mapping[str, tuple[str, ...]]

    @property
    def joint(self) -> set[str]:
        """Blocks of which learners of all locations learn, those of single cells aside."""
        return {*self.of_networks, *self.starts}

    def blocks(self, X: Mapping[str, pd.DataFrame], reference: Labels | None) -> list[Block]:
        """Make the blocks of tables; those that may be sphered are, by the reference rows."""
        whole = {CELLS, *self.joint}
        return [
            Block.of(
                n, t, self.kinds_on(n, t.columns), None if n in whole else reference, self.marks(n, t.columns)
            )
            for n, t in X.items()
        ]

    def kinds_on(self, block: str, columns: pd.Index) -> tuple[str, ...]:
        """Return the kinds of learners on a block."""
        if block in self.joint:
            return OF_NETWORKS if block in self.of_networks else (START,)
        kinds, marks = (CELLS,) if block == CELLS else self.kinds, self.marks(block, columns)
        return (*kinds, *(kind for kind, (like, sees) in ALONE.items() if like in kinds and sees in marks))

    def marks(self, block: str, columns: pd.Index) -> dict[str, Labels]:
        """Mark columns of a block, or of the cells in its bags, that learners of their own see.

        By what they are; without those that are none of the columns, or all.
        """
        names = pd.Index(cell_columns(list(columns))) if block == CELLS else columns
        marks = {what: np.asarray(names.isin(own)) for what, own in self.alone.items()}
        return {what: some for what, some in marks.items() if some.any() and not some.all()}
