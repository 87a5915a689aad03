"""Finished chunks of `extract`: small parquet files, one folder per table, never changed once written.

A row is valid for one sample under one key (a digest of its pictures and of the segmentation), so a part
written for pictures that have changed since, or that are gone, is simply not read.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import PipelineError
from pipeline.records import replacing, text_digest


class Parts:
    """The finished chunks of one table.

    Parameters
    ----------
    folder : Path
        Where the part files lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, rows: pd.DataFrame) -> None:
        """Write rows with the columns ``Id`` and ``key`` as one part, all or nothing."""
        name = text_digest(rows[["Id", "key"]].to_numpy().tolist())[:24]
        write_table(self.folder / f"{name}.parquet", rows)

    def index(self) -> dict[tuple[str, str], Path]:
        """Return which part holds which (Id, key)."""
        found: dict[tuple[str, str], Path] = {}
        for path in sorted(self.folder.glob("[!.]*.parquet")):
            keys = pq.read_table(path, columns=["Id", "key"])
            pairs = zip(keys["Id"].to_pylist(), keys["key"].to_pylist(), strict=True)
            found.update(dict.fromkeys(pairs, path))
        return found

    def read(self, wanted: Mapping[str, str], index: Mapping[tuple[str, str], Path]) -> pd.DataFrame:
        """Read the rows of some samples.

        Parameters
        ----------
        wanted : mapping of str to str
            Id to key; the rows come back in this order of ids.
        index : mapping
            What `index` returned.

        Raises
        ------
        PipelineError
            If a sample is in no part.
        """
        lost = [sample for sample, key in wanted.items() if (sample, key) not in index]
        if lost:
            raise PipelineError(
                f"{lost[0]}: its pictures changed while they were measured; run extract again"
            )
        paths = sorted({index[pair] for pair in wanted.items()})
        rows = pd.concat([self._rows(path, wanted, index) for path in paths], ignore_index=True)
        place = {sample: number for number, sample in enumerate(wanted)}
        order = rows["Id"].map(place).sort_values(kind="stable").index
        return rows.loc[order].reset_index(drop=True)

    @staticmethod
    def _rows(path: Path, wanted: Mapping[str, str], index: Mapping[tuple[str, str], Path]) -> pd.DataFrame:
        """Read one part's wanted rows; a row that a killed run left in two parts counts in one of them."""
        rows = pq.read_table(path).to_pandas()
        pairs = zip(rows["Id"], rows["key"], strict=True)
        return rows[[wanted.get(pair[0]) == pair[1] and index[pair] == path for pair in pairs]]


def write_table(path: Path, rows: pd.DataFrame) -> None:
    """Write a parquet file, all or nothing."""
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), temporary, compression="zstd")


def write_blocks(path: Path, blocks: Iterable[pd.DataFrame]) -> None:
    """Write a parquet file block by block, so that memory stays flat; all or nothing."""
    with replacing(path) as temporary:
        writer: pq.ParquetWriter | None = None
        try:
            for block in blocks:
                table = pa.Table.from_pandas(block, preserve_index=False)
                writer = writer or pq.ParquetWriter(temporary, table.schema, compression="zstd")
                writer.write_table(table.cast(writer.schema))
        finally:
            if writer is not None:
                writer.close()


def blocks_of(ids: Sequence[str], size: int) -> list[Sequence[str]]:
    """Cut a sequence into blocks of at most `size`."""
    return [ids[start : start + size] for start in range(0, len(ids), size)]
