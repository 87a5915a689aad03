"""Cells or pictures as AnnData writes them (``.h5ad``), a block of rows at a time.

The layout is that of AnnData's on-disk format: https://anndata.readthedocs.io/en/stable/fileformat-prose.html
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.required import required
from pipeline.core.stage import Advance, Progress
from pipeline.data.tables import read_embedding
from pipeline.exchange.profiles import Profiles

MISSING = "is_missing"
"""The layer that says which numbers were not measured, and are the median of the others in X."""


def write_anndata(path: Path, profiles: Profiles, about: Mapping[str, Any], progress: Progress) -> int:
    """Write one h5ad file.

    ``X`` holds the features, without gaps: where a number is missing it is the median of the feature, and
    the layer ``is_missing`` says so. Features without any number, those of channels that were never taken,
    are left out. ``obs`` are the keys of the rows, ``var`` what the columns are called here;
    ``obsm["spatial"]`` holds the centres of cells in pixels, ``obsm["X_<name>"]`` the embeddings of pictures.

    Parameters
    ----------
    about : mapping
        What else is to be kept, in ``uns``.

    Returns
    -------
    int
        Number of features that were left out.

    Raises
    ------
    PipelineError
        If the packages are not installed, or a table of embeddings cannot be read.
    """
    h5py, anndata = required("h5py", "anndata")
    write = anndata.io.write_elem
    with progress.track("Looking for missing numbers", len(profiles.names)) as advance:
        known = _summarised(profiles, advance)
    kept = known[known["share_missing"] < 1]
    shape = profiles.rows, len(kept)
    with h5py.File(path, "w") as file, progress.track(f"Writing {profiles.per}s", shape[0]) as advance:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        layers = file.create_group("layers")
        layers.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        values = _array(file, "X", shape, np.float32)
        missing = _array(layers, MISSING, shape, np.bool_, compression="gzip")
        medians = kept["median"].to_numpy(np.float32)
        keys, places, start = [], [], 0
        for block in profiles.blocks():
            here = block.features[kept.index].to_numpy()
            gaps = ~np.isfinite(here)
            end = start + len(here)
            values[start:end] = np.where(gaps, medians, here)
            missing[start:end] = gaps
            keys.append(block.keys)
            places.append(block.places)
            start = end
            advance(len(here))
        write(file, "obs", _observations(pd.concat(keys, ignore_index=True), profiles.per))
        write(file, "var", _plain(kept))
        write(file, "obsm", _matrices(profiles, pd.concat(keys)["Metadata_Id"], pd.concat(places)))
        write(file, "uns", dict(about))
        for empty in ("varm", "obsp", "varp"):
            write(file, empty, {})
    return len(known) - len(kept)


def _array(group: Any, name: str, shape: tuple[int, int], kind: type, **options: Any) -> Any:
    """Make an array that is filled later, in pieces of some rows."""
    rows = min(shape[0], max(1, 2**18 // max(1, shape[1])))
    array = group.create_dataset(name, shape, kind, chunks=(rows, max(1, shape[1])), **options)
    array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    return array


def _summarised(profiles: Profiles, advance: Advance) -> pd.DataFrame:
    """Return the table of names with every feature's median, and the share of rows that lack it."""
    found = []
    for columns in profiles.columns():
        finite = columns.where(np.isfinite(columns))
        found.append(pd.DataFrame({"median": finite.median(), "share_missing": finite.isna().mean()}))
        advance(len(found[-1]))
    return profiles.names.join(pd.concat(found))


def _observations(keys: pd.DataFrame, per: str) -> pd.DataFrame:
    """Return the keys of rows, each of one name; texts as categories."""
    names = keys["Metadata_Id"].astype(str)
    if per == "cell":
        names += "_" + keys["Metadata_ObjectNumber"].astype(str)
    return _plain(keys.set_axis(names.to_numpy()))


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without arrays of text of Arrow, which AnnData does not write, but as categories."""
    texts = [name for name, kind in table.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
    categories = {str(name): pd.Categorical(table[name].astype(object)) for name in texts}
    return table.assign(**categories).set_axis(pd.Index(table.index, dtype=object, name=None))


def _matrices(profiles: Profiles, ids: pd.Series, places: pd.DataFrame) -> dict[str, Any]:
    if profiles.per == "cell":
        return {"spatial": places[[f"Cells_Location_Center_{axis}" for axis in "XY"]].to_numpy()}
    tables = sorted(profiles.work.embeddings.glob("*.parquet"))
    return {
        f"X_{path.stem}": read_embedding(path)[0].filter(regex=r"__e\d+$").reindex(ids).to_numpy()
        for path in tables
    }
