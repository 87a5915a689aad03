"""Files in object stores: listed as those of a folder, copied while they are read."""

import os
from pathlib import Path

import pytest

from pipeline.core import remote
from pipeline.core.errors import PipelineError
from pipeline.core.files import temporary_of
from pipeline.core.remote import cache_folder, is_remote, local, look_at, placed, shown, signed
from pipeline.data.discovery import files_below


def copies() -> list[Path]:
    return [path for path in cache_folder().rglob("*") if path.is_file()]


def test_addresses_are_paths_that_begin_with_a_store():
    assert is_remote(Path("s3://bucket/plate/a.png"))
    assert not any(
        map(is_remote, map(Path, ["", "s3", "s3/a.png", "./s3x:/a", "/s3:/a", "c:/a", "http://a/b"]))
    )
    assert placed(Path("s3://bucket") / "plate") == "s3://bucket/plate"
    assert shown(f"{Path('gs://a/b')}: gone; see s3:/c, http://d") == "gs://a/b: gone; see s3://c, http://d"


def test_files_are_listed_in_the_order_of_a_folder_without_those_that_no_path_names(bucket, tmp_path):
    names = [
        "b.png",
        "a/b/c.png",
        "a/z.png",
        "c/x.zarr/0/.zarray",
        "c/x.zarr/.zgroup",
        "c/a.png",
        "d b+é.png",
    ]
    for name in names:
        (tmp_path / "plate" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "plate" / name).write_bytes(b"1")
    bucket.put_folder(tmp_path / "plate", "plate")
    bucket.put("plate2/other.png", b"1")
    for name in ("../up.png", "a//twice.png", "./dot.png", "a/../up.png", ".hidden.png", "a/.hidden/b.png"):
        bucket.put(f"plate/{name}", b"1")
    look_at(bucket.address("plate"))
    assert list(files_below(bucket.address("plate"))) == list(files_below(tmp_path / "plate"))


def test_a_copy_is_there_while_it_is_read_and_kept_for_the_next_time(bucket, monkeypatch):
    bucket.put("plate/a.tif", b"content")
    path = bucket.address("plate/a.tif")
    with local(path) as copy:
        assert (copy.name, copy.read_bytes()) == ("a.tif", b"content")
    assert not copy.exists()
    assert [one.read_bytes() for one in copies()] == [b"content"]
    monkeypatch.setattr(remote, "fetch", None)  # is not fetched again
    with local(path) as copy:
        assert copy.read_bytes() == b"content"


def test_copies_have_only_the_room_that_they_are_given(bucket, monkeypatch):
    monkeypatch.setenv("HPA_CACHE_BYTES", str(16 * 100))
    for number in range(60):
        bucket.put(f"plate/{number}.tif", bytes([number]) * 60)
        with local(bucket.address(f"plate/{number}.tif")) as copy:
            assert copy.read_bytes() == bytes([number]) * 60
    assert 0 < sum(path.stat().st_size for path in copies()) <= 16 * 100
    bucket.put("plate/large.tif", b"1" * 1700)
    with (
        pytest.raises(OSError, match="1,700 bytes; set HPA_CACHE_BYTES to allow more"),
        local(bucket.address("plate/large.tif")),
    ):
        pass


def test_what_is_read_stays_there_though_its_room_is_needed(bucket, monkeypatch):
    monkeypatch.setenv("HPA_CACHE_BYTES", "100")
    bucket.put("plate/a.tif", b"1" * 90)
    with local(bucket.address("plate/a.tif")) as copy:
        assert copies() == [copy]  # more than its share
        assert copy.read_bytes() == b"1" * 90


def test_another_content_is_another_sign_and_is_fetched(bucket):
    for content in (b"one", b"two"):
        bucket.put("plate/a.tif", content)
        look_at(bucket.address("plate"))
        with local(bucket.address("plate/a.tif")) as copy:
            assert copy.read_bytes() == content
    before = signed(bucket.address("plate/a.tif"))
    bucket.put("plate/a.tif", b"one")
    look_at(bucket.address("plate"))
    assert before != signed(bucket.address("plate/a.tif")) is not None
    assert signed(bucket.address("plate/b.tif")) is None


def test_a_file_that_changes_after_it_was_listed_is_not_taken_for_the_old_one(bucket):
    bucket.put("plate/a.tif", b"one")
    look_at(bucket.address("plate"))
    bucket.put("plate/a.tif", b"two")
    with pytest.raises(OSError, match="changed while it was read"), local(bucket.address("plate/a.tif")):
        pass
    assert copies() == []


def test_what_a_killed_process_left_is_removed(bucket):
    bucket.put("plate/a.tif", b"one")
    named = temporary_of(cache_folder() / "abc")
    left = named.with_name(named.name.replace(str(os.getpid()), "999999999"))
    left.mkdir()
    (left / "a.tif").write_bytes(b"half")
    remote._opened.cache_clear()
    look_at(bucket.address("plate"))
    assert not left.exists()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://no-such-bucket/plate", "no such bucket or file"),
        ("s3://", "names no bucket; give s3://BUCKET/FOLDER"),
    ],
)
def test_an_address_that_leads_nowhere_is_said_in_one_line(bucket, address, message):
    with pytest.raises(PipelineError, match=message):
        look_at(Path(address))
    with pytest.raises(PipelineError, match="no files below this address"):
        look_at(bucket.address("empty"))


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (PermissionError(13, "Access Denied"), "no permission .*Access Denied.*; set credentials"),
        (
            RuntimeError("Unable to locate credentials"),
            "cannot be reached .RuntimeError: Unable to locate credentials.; set",
        ),
    ],
)
def test_what_a_store_refuses_is_said_in_one_line(bucket, monkeypatch, raised, message):
    def refuse(*_: object, **__: object) -> None:
        raise raised

    bucket.put("plate/a.tif", b"one")
    files = remote._opened("s3").files
    for name in ("find", "info"):
        monkeypatch.setattr(files, name, refuse)
    with pytest.raises(PipelineError, match=message):
        look_at(bucket.address("plate"))
    with (
        pytest.raises(OSError, match=r"Access Denied|Unable to locate"),
        local(bucket.address("plate/b.tif")),
    ):
        pass


def test_a_package_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("HPA_CACHE", str(tmp_path))
    monkeypatch.setitem(remote.PACKAGES, "s4", "s4fs")
    message = (
        r"^s4://: the package 's4fs' is not installed; install it by: pip install -r requirements_remote.txt$"
    )
    with pytest.raises(PipelineError, match=message):
        look_at(Path("s4://bucket/plate"))
