"""Tables as text, and of embeddings in three formats, good and bad."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.data.tables import read_by_id, read_embedding, read_table

IDS = ["b", "a"]
VALUES = np.array([[1.5, 2.0], [3.0, 4.0]])


def write(path: Path) -> None:
    table = pd.DataFrame(VALUES, columns=["x", "cnn__other__e0007"])
    table.insert(0, "Id", IDS)
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        np.savez(path, ids=np.array(IDS), embedding=VALUES[:, :1], probability=VALUES[:, 1])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_a_table_is_read_by_id(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"DenseNet-121{suffix}"
    write(path)
    table = read_embedding(path)
    assert list(table.index) == ["a", "b"]
    assert table.to_numpy().tolist() == [[3.0, 4.0], [1.5, 2.0]]
    assert table.columns[0] == "cnn__densenet_121__e0000"
    assert table.columns[1] == ("cnn__densenet_121__e0001" if suffix == ".npz" else "cnn__other__e0007")


TEXTS = ["NA", "None", "nan", "007", "1e5", "x", "true", "1.50", "null", ""]


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """Write a table whose ids look like anything but text; one has spaces around it."""
    ids = [" x " if name == "x" else name for name in TEXTS]
    rows = [f"{name},{row},NA\n" for row, name in enumerate(ids)]
    (tmp_path / "t.csv").write_text("".join(["Id,x,Target\n", *rows]))
    return tmp_path / "t.csv"


def test_ids_of_csv_tables_are_text_whatever_they_look_like(strange: Path) -> None:
    assert read_table(strange, ("Id", "x"))["Id"].tolist() == TEXTS
    assert read_by_id(strange, text=("Target",)).index.tolist() == TEXTS
    assert read_by_id(strange, text=("Target",))["Target"].tolist() == ["NA"] * len(TEXTS)


def test_embeddings_of_such_ids_are_read(strange: Path) -> None:
    pd.read_csv(strange, keep_default_na=False)[["Id", "x"]].to_csv(strange, index=False)
    table = read_embedding(strange)
    assert table.index.tolist() == sorted(TEXTS)
    assert table.loc[TEXTS].to_numpy().ravel().tolist() == list(range(len(TEXTS)))


def test_numbers_without_a_value_are_missing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,x,y\nNA,NA,1\nb,, 0.25\nc,nan,\nd,0.5,None\n")
    table = read_by_id(tmp_path / "t.csv")
    assert table.index.tolist() == ["NA", "b", "c", "d"]
    assert table.dtypes.tolist() == [np.float64, np.float64]
    assert np.array_equal(table["x"], [np.nan, np.nan, np.nan, 0.5], equal_nan=True)
    assert np.array_equal(table["y"], [1, 0.25, np.nan, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Id,x\na,1\na,2\n", "Id 'a' occurs twice"),
        ("Name,x\na,1\n", "no column Id"),
        ("Id,x\na,red\n", "column 'x' does not hold numbers"),
        ("Id\na\n", "holds no numbers"),
        ("", "not a readable table"),
    ],
)
def test_a_bad_table_is_refused_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(PipelineError, match=message):
        read_embedding(tmp_path / "t.csv")


def test_files_that_are_not_tables_are_refused(tmp_path: Path) -> None:
    for name in ("t.parquet", "t.npz"):
        (tmp_path / name).write_bytes(b"not a table")
        with pytest.raises(PipelineError, match="not a readable table"):
            read_embedding(tmp_path / name)
    with pytest.raises(PipelineError, match="no such file"):
        read_embedding(tmp_path / "absent.csv")
    (tmp_path / "t.txt").touch()
    with pytest.raises(PipelineError, match=r"cannot read '.txt' files"):
        read_embedding(tmp_path / "t.txt")
