"""A work folder of several plates that differ by an offset and a factor of every feature."""

from pathlib import Path

import numpy as np
import pandas as pd

import features
from pipeline.core.workspace import Workspace
from tests.pipeline.workfolder import make_workfolder

PLATES = ("A", "B", "C")


def make_plates(root: Path, pictures: int = 72, *, effect: float = 8.0) -> Workspace:
    """Spread groups over plates; every third pair of pictures are controls."""
    work = make_workfolder(root, pictures)
    rng = np.random.default_rng(1)
    pair = np.arange(pictures) // 2
    plate = np.array(PLATES)[pair % len(PLATES)]
    samples = pd.read_parquet(work.samples)
    samples["Metadata_Plate"] = plate
    samples["Metadata_Treatment"] = np.where(pair // len(PLATES) % 2 == 0, "DMSO", "Drug")
    samples.to_parquet(work.samples, index=False)
    table = pd.read_parquet(work.features)
    columns = table.columns.drop("Id")
    for one in PLATES:
        here = plate == one
        factor, offset = np.exp(rng.normal(size=len(columns))), effect * rng.normal(size=len(columns))
        table.loc[here, columns] = (table.loc[here, columns] * factor + offset).astype(np.float32)
    table.to_parquet(work.features, index=False)
    return work


def write_cells(work: Workspace, *, factor: float = 1, offset: float = 0) -> list[str]:
    """Write four cells of every picture, around its first features; those of plate B in other units."""
    table = pd.read_parquet(work.features)
    names = [name for name in features.cell_columns(("intensity",)) if name.endswith("__protein")][:6]
    means = table[table.columns[1:7]].to_numpy().repeat(4, axis=0)
    values = means + np.random.default_rng(2).normal(size=means.shape)
    here = pd.read_parquet(work.samples)["Metadata_Plate"].eq("B").to_numpy().repeat(4)
    values[here] = values[here] * factor + offset
    cells = pd.DataFrame(values.astype(np.float32), columns=names)
    cells.insert(0, "Id", table["Id"].repeat(4).to_numpy())
    cells.insert(1, "label", np.tile(np.arange(1, 5), len(table)))
    cells.insert(2, "touches_border", False)
    cells.to_parquet(work.cells, index=False)
    return names
