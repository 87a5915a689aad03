"""Tables of text and of numbers in all their formats, good and bad; which pictures they know."""

import contextlib
import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.errors import PipelineError
from pipeline.core.files import MAX_BYTES
from pipeline.core.weights import card_path
from pipeline.core.workspace import Workspace
from pipeline.data.groups import read_groups
from pipeline.data.labels import read_labels
from pipeline.data.locations import LOCATIONS
from pipeline.data.prediction_tables import read_probabilities
from pipeline.data.samples import find_samples
from pipeline.data.tables import (
    compared,
    embedding_columns,
    listed,
    match,
    read_column,
    read_embedding,
    read_numbers,
    read_table,
    renamed,
)

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
        np.savez(path, ids=np.array(IDS), embedding=VALUES[:, :1], probability=VALUES[:, 1], epoch=12)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_a_table_of_embeddings_is_read_by_id(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"DenseNet-121{suffix}"
    write(path)
    table, names = read_embedding(path)
    assert list(table.index) == ["a", "b"]
    assert table.to_numpy().tolist() == [[3.0, 4.0], [1.5, 2.0]]
    assert table.columns[0] == "cnn__densenet_121__e0000"
    assert table.columns[1] == ("cnn__densenet_121__e0001" if suffix == ".npz" else "cnn__other__e0007")
    assert list(names.values()) == (
        ["embedding_0", "probability_0"] if suffix == ".npz" else ["x", "cnn__other__e0007"]
    )


TEXTS = ["NA", "None", "nan", "007", "1e5", "x", "true", "1.50", "null", "=1+1"]


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """Write a table whose ids look like anything but text; one has spaces around it."""
    ids = [" x\u00a0" if name == "x" else name for name in TEXTS]
    rows = [f"{name},{row},NA\n" for row, name in enumerate(ids)]
    (tmp_path / "t.csv").write_text("".join(["Id,x,Target\n", *rows]), encoding="utf-8")
    return tmp_path / "t.csv"


def test_ids_of_csv_tables_are_text_whatever_they_look_like(strange: Path) -> None:
    assert read_table(strange, ("Id", "x"))["Id"].tolist() == TEXTS
    assert read_column(strange, "Target").index.tolist() == TEXTS
    assert read_column(strange, "Target").tolist() == ["NA"] * len(TEXTS)


def test_numbers_of_such_ids_are_read(strange: Path) -> None:
    table = read_numbers(strange, unknown=True)
    assert table.index.tolist() == sorted(TEXTS)
    assert table.loc[TEXTS, "x"].tolist() == list(range(len(TEXTS)))
    assert table["Target"].isna().all()


def test_numbers_without_a_value_are_missing_where_they_may_be(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,x,y\nNA,NA,1\nb,, 0.25\nc,nan,\nd,0.5,None\n")
    table = read_numbers(path, unknown=True)
    assert table.index.tolist() == ["NA", "b", "c", "d"]
    assert np.array_equal(table["x"], [np.nan, np.nan, np.nan, 0.5], equal_nan=True)
    assert np.array_equal(table["y"], [1, 0.25, np.nan, np.nan], equal_nan=True)
    with pytest.raises(PipelineError, match=r"t\.csv: Id 'NA' has no number in column 'x'; fill it in"):
        read_embedding(path)
    card_path(path).write_text("{}")  # a table of this program: pictures without cells have none
    assert read_embedding(path)[0].isna().sum().sum() == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Id,x\na,1\na,2\n", "Id 'a' occurs twice"),
        ("Name,x\na,1\n", r"no column Id \(found: Name, x\)"),
        ("Id,x\na,1\nb,red\n", "Id 'b' has 'red', which is no number .* in column 'x'"),
        ("Id,x,y\na,1,2\nb,inf,2\n", "Id 'b' has 'inf', which is no number of 32 bits, in column 'x'"),
        ("Id,x,y\na,1,2\nb,3,1e300\n", "Id 'b' has '1e\\+?300'.* in column 'y'"),
        ("Id,x,y\na,1,2\nb,3,\n", "Id 'b' has no number in column 'y'"),
        ("Id,x\na,1\nb\n", "Expected 2 columns, got 1: b"),
        ("Id,x\na,1\nb,1,5\n", "Expected 2 columns, got 3: b,1,5"),
        ("Id,x,\na,1,5\n", "column 3 has no name but holds '5'|5"),
        ("Id,x, X\na,1,2\n", "two columns are called 'X'"),
        ("Id,ID,x\na,1,2\n", "two columns are called 'ID'"),
        ('Id,x\na,"1,234"\n', "Id 'a' has '1,234', which is no number"),
        ("Id\na\n", "holds no numbers"),
        ("Id,x\na,1\n,2\n", "a row has no Id"),
        ("", "first line names no columns"),
        (",,\n", "no column Id"),
    ],
)
def test_a_bad_table_is_refused_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    if message.endswith("|5"):  # a column of whole numbers without a name is the numbers of the rows
        assert read_numbers(tmp_path / "t.csv").columns.tolist() == ["x"]
        return
    with pytest.raises(PipelineError, match=message) as error:
        read_embedding(tmp_path / "t.csv")
    assert str(error.value).startswith(str(tmp_path / "t.csv"))
    assert "\n" not in str(error.value)


def test_files_that_are_not_tables_are_refused(tmp_path: Path) -> None:
    for name in ("t.parquet", "t.npz"):
        (tmp_path / name).write_bytes(b"not a table")
        with pytest.raises(PipelineError, match="not a readable table"):
            read_embedding(tmp_path / name)
    (tmp_path / "t.csv").write_bytes(b"Id,x\n\xe9,1\n")
    with pytest.raises(PipelineError, match="UTF-8"):
        read_embedding(tmp_path / "t.csv")
    with pytest.raises(PipelineError, match="no such file"):
        read_embedding(tmp_path / "absent.csv")
    (tmp_path / "t.txt").touch()
    with pytest.raises(PipelineError, match=r"cannot read '.txt' files"):
        read_embedding(tmp_path / "t.txt")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(PipelineError, match="is not a regular file"):
        read_table(tmp_path / "folder.csv", ("Id",))


@pytest.mark.parametrize("rows", [1, 3])
def test_arrays_have_as_many_rows_as_there_are_ids(tmp_path: Path, rows: int) -> None:
    np.savez(tmp_path / "t.npz", ids=np.array(IDS), emb=np.zeros((rows, 2)))
    with pytest.raises(PipelineError, match=f"t.npz: 2 ids but {rows} rows of emb; write a row per id"):
        read_embedding(tmp_path / "t.npz")


@pytest.mark.parametrize(
    ("ids", "values", "message"),
    [
        (np.array([IDS, IDS]), np.zeros((2, 2)), r"ids has the shape \(2, 2\); give one id per row"),
        (np.array(IDS), np.ones(2, complex), "column '0' holds complex128; give numbers"),
        (np.array(IDS), np.zeros(2, "f4,i4"), "column '0' holds .*; give numbers"),
    ],
)
def test_arrays_that_are_neither_ids_nor_numbers_are_refused(
    tmp_path: Path, ids: np.ndarray, values: np.ndarray, message: str
) -> None:
    np.savez(tmp_path / "t.npz", ids=ids, emb=values)
    with pytest.raises(PipelineError, match=message):
        read_numbers(tmp_path / "t.npz")


@pytest.mark.parametrize(
    ("offsets", "value", "message"), [((8, 6), 1, "is encrypted"), ((10, 8), 99, "compression method")]
)
def test_archives_that_cannot_be_unpacked_are_refused(
    tmp_path: Path, offsets: tuple[int, int], value: int, message: str
) -> None:
    np.savez(tmp_path / "t.npz", ids=np.array(IDS), emb=VALUES)
    content = bytearray((tmp_path / "t.npz").read_bytes())
    for start, offset in zip((b"PK\1\2", b"PK\3\4"), offsets, strict=True):
        for found in [one.start() for one in re.finditer(re.escape(start), content)]:
            content[found + offset] = value
    (tmp_path / "t.npz").write_bytes(content)
    with pytest.raises(PipelineError, match=rf"t\.npz: not a readable table \(.*{message}"):
        read_numbers(tmp_path / "t.npz")


def test_packed_bytes_that_were_flipped_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "t.npz", ids=np.array(IDS), emb=np.random.default_rng(0).random((2, 400)))
    good = (tmp_path / "t.npz").read_bytes()
    for place in range(150, 250):
        (tmp_path / "t.npz").write_bytes(good[:place] + bytes([good[place] ^ 16]) + good[place + 1 :])
        with contextlib.suppress(PipelineError):
            read_numbers(tmp_path / "t.npz")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    for columns in ({"Id": [b"a", b"\xff"], "x": [1.0, 2.0]}, {"Id": IDS, "x": [b"1", b"\xff"]}):
        pd.DataFrame(columns).to_parquet(tmp_path / "t.parquet")
        with pytest.raises(PipelineError, match=r"t\.parquet: not a readable table"):
            read_numbers(tmp_path / "t.parquet")


def test_numbers_of_some_rows_are_no_embedding(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("index,Id,x\n17,a,1\n4,b,2\n")
    assert read_numbers(tmp_path / "t.csv").columns.tolist() == ["x"]
    (tmp_path / "t.csv").write_text("index,Id,x\n0.5,a,1\n4,b,2\n")
    assert read_numbers(tmp_path / "t.csv").columns.tolist() == ["index", "x"]


def test_a_quotation_mark_that_is_not_closed_swallows_no_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('Id,group\na,x\nb,"y\nc,z\n')
    with pytest.raises(PipelineError, match=r"t\.csv: a cell goes on in the next line after 'y'; close its"):
        read_table(tmp_path / "t.csv", ("Id", "group"))


def test_python_objects_in_arrays_are_refused_with_the_remedy(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", ids=np.array(IDS, object), emb=VALUES)
    with pytest.raises(PipelineError, match=r"ids holds Python objects; write text as ids.astype\(str\)"):
        read_embedding(tmp_path / "t.npz")


def test_ids_may_be_bytes_and_a_single_array_is_numbered(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", Id=np.array(IDS, "S"), emb=VALUES)
    assert read_numbers(tmp_path / "t.npz").loc["b"].to_dict() == {"0": 1.5, "1": 2.0}


def bomb(path: Path, shape: tuple[int, ...]) -> None:
    """Declare an array of zeros that is not there."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    ids = io.BytesIO()
    np.save(ids, np.array(IDS))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ids.npy", ids.getvalue())
        archive.writestr("emb.npy", header.getvalue())


def test_limits_are_checked_before_anything_is_unpacked(tmp_path: Path, monkeypatch) -> None:
    bomb(tmp_path / "t.npz", (2, 10**9))
    with pytest.raises(PipelineError, match=f"in memory, the table holds .* bytes, more than .*{MAX_BYTES}"):
        read_embedding(tmp_path / "t.npz")
    (tmp_path / "t.csv").write_text("Id" + ",x" * 200_000 + "\n")
    with pytest.raises(PipelineError, match="has more than 200,000 columns; give fewer"):
        read_embedding(tmp_path / "t.csv")
    zeros = pa.table({"Id": pa.array(map(str, range(1000))), "x": np.zeros(1000)})
    pq.write_table(zeros, tmp_path / "t.parquet")
    monkeypatch.setenv(MAX_BYTES, "31000")
    with pytest.raises(PipelineError, match="in memory, the table holds 32,000 bytes"):
        read_embedding(tmp_path / "t.parquet")
    long = pa.array(["x" * 1000] * 100)
    for text in (long, long.dictionary_encode()):
        pq.write_table(pa.table({"Id": text}), tmp_path / "t.parquet")
        with pytest.raises(PipelineError, match="in memory, the text holds 100,000 bytes"):
            read_table(tmp_path / "t.parquet", ("Id",))
    pq.write_table(pa.table({"Id": ["a"], "x": [[1.0]]}), tmp_path / "t.parquet")
    with pytest.raises(PipelineError, match="column 'x' holds lists; give one number per column"):
        read_embedding(tmp_path / "t.parquet")


PICTURES = pd.Index(["p1", "p2", "p3"])


def test_how_many_pictures_a_table_has_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "g.csv"
    assert match(path, ["p3", "p1", "p2", "p9"], PICTURES, said.append).empty
    assert match(path, ["p1", "P2.tif", "dir/p3_green.png"], PICTURES, said.append).tolist() == ["p2", "p3"]
    assert match(path, ["p1", "p2"], PICTURES, said.append).tolist() == ["p3"]
    assert said == [
        "3 of 3 pictures found in g.csv",
        "Warning: 1 of 3 pictures found in g.csv; it has 'P2.tif', where the picture is 'p2'",
        "Warning: 2 of 3 pictures found in g.csv; no row for 'p3'",
    ]
    with pytest.raises(
        PipelineError, match=r"g.csv: none of its 1 id is among the 3 pictures: it has 'p1 x'"
    ):
        match(path, ["p1 x"], PICTURES, said.append)


def test_ids_of_a_list_are_counted_and_compared(tmp_path: Path) -> None:
    assert listed(tmp_path / "l.csv", ["p1", "p7"], PICTURES) == (
        1, "1 of the 2 ids in l.csv are among the 3 pictures"
    )  # fmt: skip
    assert listed(tmp_path / "l.csv", ["p2.png"], PICTURES)[1].endswith(
        "it has 'p2.png', where the picture is 'p2'"
    )
    assert compared(["z"], PICTURES) == "it has 'z', a picture is 'p1'"


def test_columns_are_matched_by_the_names_of_the_training(tmp_path: Path) -> None:
    path = tmp_path / "net.csv"
    names = embedding_columns(path, ["e2", "e10", "e1"])
    assert names == {"cnn__net__e0000": "e1", "cnn__net__e0001": "e2", "cnn__net__e0002": "e10"}
    here = pd.DataFrame([[10, 2, 1]], columns=["E10", "e2", "e1"])
    assert renamed(path, here, names).to_dict("list") == {
        "cnn__net__e0000": [1], "cnn__net__e0001": [2], "cnn__net__e0002": [10]
    }  # fmt: skip
    with pytest.raises(PipelineError, match=r"'e10' is missing \(is it 'e1O'\?\), 'e1O' is unknown"):
        renamed(path, here.rename(columns={"E10": "e1O"}), names)
    with pytest.raises(PipelineError, match=r"net\.csv: other columns than in training: 'more' is unknown"):
        renamed(path, here.assign(more=1), names)
    with pytest.raises(PipelineError, match="'cnn__net__e0000' would be the name of two columns"):
        embedding_columns(path, ["x", "cnn__net__e0000"])


# What never changes what a table says. Every kind of table is a header and rows of text.

KINDS = {
    "labels": (["Id", "Target"], [["a", "0 21"], ["b", "3"], ["c", "Cytosol"]]),
    "groups": (["Id", "group"], [["a", "g 1"], ["b", "g 1"], ["c", "h"]]),
    "samples": (
        ["Id", "red", "green", "blue", "yellow", "pixel_size_um"],
        [[name, *(f"sub/{name}_{c}.png" for c in "rgby"), "0.25"] for name in "abc"],
    ),
    "embeddings": (
        ["Id", "x2", "x10", "y"],
        [["a", "1", "2.5", "-3"], ["b", "0", "1e-3", "7"], ["c", "1", "2", "3"]],
    ),
    "outputs": (
        ["Id", *LOCATIONS],
        [[name, *(f"{(row + column) % 7 / 8}" for column in range(28))] for row, name in enumerate("abc")],
    ),
    "indices": (
        ["Id", *map(str, range(28))],
        [[name, *(f"{(row + column) % 7 / 8}" for column in range(28))] for row, name in enumerate("abc")],
    ),
}  # fmt: skip


def read(kind: str, path: Path) -> object:
    """Return what the reader of a kind of table makes of it, in a form that can be compared."""
    if kind == "labels":
        labels = read_labels(path)
        return labels.targets.to_dict(), labels.problems
    if kind == "groups":
        return read_groups(
            Workspace(path.parent), path, pd.Index(["a", "b", "c"]), lambda _: None
        ).groups.to_dict()
    if kind == "samples":
        return find_samples(path.parent, path)
    table = read_embedding(path)[0] if kind == "embeddings" else read_probabilities([path])
    return table.to_dict()


def spelt(draw: st.DrawFn, name: str) -> str:
    changed = draw(st.sampled_from([str.upper, str.lower, str]))(name)
    return draw(st.sampled_from(["", " ", "\u00a0 "])) + changed + draw(st.sampled_from(["", " ", "\u00a0"]))


@st.composite
def written(draw: st.DrawFn, kind: str) -> bytes:
    """Write a table in one of the ways that programs and people do."""
    header, rows = KINDS[kind]
    columns = draw(st.permutations(range(len(header))))
    rows = list(draw(st.permutations(rows)))
    rows += draw(st.lists(st.sampled_from(rows), max_size=2))
    lines = [[spelt(draw, header[column]) for column in columns]]
    lines += [[spelt_cell(draw, row[column]) for column in columns] for row in rows]
    extra = draw(st.sampled_from(["", "end", "index", "unnamed"]))
    if extra == "end":
        lines = [lines[0], *([*line, ""] for line in lines[1:])]
    elif extra:
        name = "" if extra == "index" else "Unnamed: 0"
        lines = [[name if not number else str(number - 1), *line] for number, line in enumerate(lines)]
    separator = draw(st.sampled_from([",", ";", "\t"]))
    quote = '"' if draw(st.booleans()) else ""
    decimal = "," if separator != "," and draw(st.booleans()) and kind in ("embeddings", "indices") else "."
    body = [
        separator.join(f"{quote}{cell.replace('.', decimal)}{quote}" for cell in line) for line in lines[1:]
    ]
    text = "\n".join([separator.join(f"{quote}{cell}{quote}" for cell in lines[0]), *body]) + "\n"
    text = text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))


def spelt_cell(draw: st.DrawFn, cell: str) -> str:
    return draw(st.sampled_from(["", " "])) + cell + draw(st.sampled_from(["", " "]))


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_how_a_table_is_written_never_changes_what_it_says(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / kind
    folder.mkdir(exist_ok=True)
    header, rows = KINDS[kind]
    path = folder / "t.csv"
    path.write_text("\n".join(map(",".join, [header, *rows])) + "\n")
    expected = read(kind, path)
    path.write_bytes(data.draw(written(kind)))
    assert read(kind, path) == expected
