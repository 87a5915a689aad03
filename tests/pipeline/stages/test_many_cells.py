"""Cells that fill several files: one table to all that read it, here and elsewhere."""

import pandas as pd
import pytest

from models.bags import PLACES
from pipeline.core.stage import SilentProgress, execute, file_inputs, read_made
from pipeline.core.workspace import Workspace
from pipeline.data.cell_tables import read_cells, training_bags
from pipeline.exchange.profiles import open_profiles, read_pictures
from pipeline.explorer.reasons import rows_of
from pipeline.stages import feature_tables
from pipeline.stages.exchange_options import ExportOptions
from pipeline.stages.export import Export
from pipeline.stages.status import status
from tests.pipeline.workfolder import extract, simulate


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Extract the same pictures with cells in one file, and in a file for every two pictures."""
    root = tmp_path_factory.mktemp("many")
    simulate(root / "data", pictures=6, seed=3, size=128)
    extract(root / "data", root / "one", families=("intensity",))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(feature_tables, "LARGEST_FILE", 1)
        patched.setitem(feature_tables._BLOCKS, "cells", 2)
        extract(root / "data", root / "several", families=("intensity",))
    return Workspace(root / "one"), Workspace(root / "several")


def test_there_are_several_files_and_nothing_is_stale(both):
    one, several = both
    assert one.cells.is_file()
    assert sorted(path.name for path in several.cells.iterdir()) == [
        f"part-0000{n}.parquet" for n in range(3)
    ]
    assert next(state for state in status(several.root) if state.stage == "extract").state == "done"


def test_one_of_the_files_that_is_lost_or_damaged_makes_the_stage_stale(both):
    path = sorted(both[1].cells.iterdir())[1]
    content = path.read_bytes()
    for damage in (path.unlink, lambda: path.write_bytes(content[:-9])):
        damage()
        found = next(state for state in status(both[1].root) if state.stage == "extract")
        assert found.reasons == ["cells.parquet was damaged or changed"]
        path.write_bytes(content)


def test_pandas_polars_duckdb_and_dask_read_one_table(both):
    one, several = both
    expected, names = pd.read_parquet(one.cells), ["Id", "label"]
    pd.testing.assert_frame_equal(pd.read_parquet(several.cells), expected)
    polars, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")
    found = polars.read_parquet(several.cells).select(names).rows()
    assert found == list(expected[names].itertuples(index=False, name=None))
    counted = duckdb.read_parquet(f"{several.cells}/*.parquet").count(
        "*", groups="Id", projected_columns="Id"
    )
    assert sorted(counted.fetchall()) == list(expected["Id"].value_counts().sort_index().items())
    frame = pytest.importorskip("dask.dataframe", exc_type=ImportError)
    assert len(frame.read_parquet(several.cells)) == len(expected)


def test_what_learns_from_cells_and_what_shows_them_read_the_same(both):
    one, several = both
    ids = pd.Index(pd.read_parquet(one.samples)["Id"])
    columns = list(pd.read_parquet(one.cells).columns[3:9])
    for read in (
        lambda work: read_made(work.cells),
        lambda work: read_cells(work, columns),
        lambda work: training_bags(work, ids, None),
        lambda work: rows_of(work.cells, ids[4], ["Id", "label", *columns]),
    ):
        pd.testing.assert_frame_equal(read(several), read(one))
    assert training_bags(several, ids, None).shape[1] % PLACES == 0
    assert set(file_inputs({"cells": several.cells})) == {"cells"}


def test_exports_of_cells_are_the_same(both, tmp_path):
    for work in both:
        out = tmp_path / f"{work.root.name}.parquet"
        asked = ExportOptions(format="cytotable", per="cell", work=work.root, out=out)
        execute(Export(), asked, SilentProgress())
    found, expected = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("several", "one"))
    pd.testing.assert_frame_equal(found, expected)
    profiles = [open_profiles(work, "cell", (), read_pictures(work, (), print)) for work in both]
    for found, expected in zip(*(one.columns() for one in profiles), strict=True):
        pd.testing.assert_frame_equal(found, expected)
    assert profiles[0].rows == profiles[1].rows
