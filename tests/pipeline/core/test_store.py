"""Finished chunks: what is read back, and what a killed run leaves behind."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.files import as_arrow, write_blocks, write_table
from pipeline.core.store import Parts, Store


def rows(**values):
    return pd.DataFrame({"Id": list(values), "key": "k", "value": list(values.values())})


def test_rows_come_back_in_the_order_asked_for_from_several_parts(tmp_path):
    parts = Parts(tmp_path)
    parts.write(rows(a=1, c=3))
    parts.write(rows(b=2))
    wanted = {"c": "k", "a": "k", "b": "k"}
    found = parts.read(wanted, parts.located(wanted))
    assert found["Id"].tolist() == ["c", "a", "b"]
    assert found["value"].tolist() == [3, 1, 2]


def test_a_sample_left_in_two_parts_by_a_killed_run_counts_once(tmp_path):
    parts = Parts(tmp_path)
    parts.write(rows(a=1, b=2))
    parts.write(rows(b=2, c=3))
    wanted = dict.fromkeys("abc", "k")
    found = parts.read(wanted, parts.located(wanted))
    assert found["Id"].tolist() == ["a", "b", "c"]


def test_rows_of_another_key_are_not_read(tmp_path):
    parts = Parts(tmp_path)
    parts.write(rows(a=1))
    with pytest.raises(PipelineError, match="a: its pictures changed"):
        parts.located({"a": "other"})


def test_half_a_part_is_never_seen(tmp_path):
    parts = Parts(tmp_path)
    parts.write(rows(a=1))
    (tmp_path / ".b.parquet.77.tmp").write_bytes(b"half")
    assert set(parts.index()) == {("a", "k")}


def test_a_failure_while_writing_leaves_the_old_table(tmp_path):
    path = tmp_path / "table.parquet"
    write_table(path, rows(a=1))

    def blocks():
        yield as_arrow(rows(a=2))
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_blocks(path, blocks())
    assert pd.read_parquet(path)["value"].tolist() == [1]
    assert [file.name for file in tmp_path.iterdir()] == ["table.parquet"]


@pytest.mark.parametrize("damage", [lambda content: content[:35], lambda _: b"", lambda c: c[:-1] + b"!"])
def test_a_damaged_piece_counts_as_not_there(tmp_path, damage):
    store = Store(tmp_path)
    store.put("a" * 8, b"content")
    assert store.get("a" * 8) == b"content"
    path = next(path for path in tmp_path.rglob("*") if path.is_file())
    path.write_bytes(damage(path.read_bytes()))
    assert store.get("a" * 8) is None
    store.put("a" * 8, b"content")
    assert store.get("a" * 8) == b"content"


def test_a_piece_under_the_name_of_another_counts_as_not_there(tmp_path):
    store = Store(tmp_path)
    store.put("ab1", b"content")
    (tmp_path / "ab" / "1").rename(tmp_path / "ab" / "2")
    assert store.get("ab2") is None


def test_a_part_with_any_byte_flipped_is_removed_and_others_files_are_not(tmp_path):
    parts = Parts(tmp_path)
    parts.write(rows(a=1, b=2))
    path = next(tmp_path.glob("*.parquet"))
    content = path.read_bytes()
    (tmp_path / "notes.parquet").write_bytes(b"mine")
    for place in range(0, len(content), 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert parts.index() == {}
        assert not path.exists()
    path.write_bytes(content)
    assert set(parts.index()) == {("a", "k"), ("b", "k")}
    assert (tmp_path / "notes.parquet").exists()


def test_a_part_is_opened_once_for_the_index_and_again_where_it_changed(tmp_path, monkeypatch):
    parts = Parts(tmp_path)
    parts.write(rows(a=1, b=2))
    first = parts.index()
    part = first["a", "k"]
    opened = []
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: opened.append(path.name) or real(path))
    assert parts.index() == first
    assert part.name not in opened
    parts.write(rows(c=3))
    assert parts.known(dict.fromkeys("abcd", "k")) == {"a", "b", "c"}
    assert part.name not in opened
    part.write_bytes(real(part)[:-1] + b"!")
    assert parts.known(dict.fromkeys("abcd", "k")) == {"c"}
    assert not part.exists()


@pytest.mark.parametrize("place", range(0, 110, 9))
def test_an_index_with_any_byte_changed_is_made_again(tmp_path, place):
    parts = Parts(tmp_path)
    parts.write(rows(a=1, b=2))
    expected, path = parts.index(), tmp_path / "index.json"
    content = path.read_bytes()
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    assert parts.index() == expected


def test_a_part_damaged_after_the_index_was_made_is_named_and_made_again(tmp_path):
    parts = Parts(tmp_path)
    parts.write(rows(a=1))
    wanted = {"a": "k"}
    (path,) = where = parts.located(wanted)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(PipelineError, match=f"{path.name}: damaged; run again"):
        parts.read(wanted, where)
    assert not parts.known(wanted)
