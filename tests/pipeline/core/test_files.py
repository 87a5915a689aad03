"""Temporary files of killed runs."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from pipeline.core.files import (
    MAX_BYTES,
    UnreadableError,
    check_readable,
    machine,
    remove_leftovers,
    replacing,
    temporary_of,
)


def left_by(path, process, began=None, host=None):
    """Return the temporary file of `path` that a process of this machine, or of another one, has begun."""
    if began is None:
        began = psutil.Process(process).create_time()
    return path.with_name(f".{path.name}.{host or machine()}-{process}-{round(began)}.tmp")


def test_only_temporary_files_of_processes_that_are_gone_are_removed(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    folder = tmp_path / "parts"
    folder.mkdir()
    stale = left_by(folder / "a.parquet", gone.pid, time.time())
    running = temporary_of(folder / "b.parquet")
    assert running == left_by(folder / "b.parquet", os.getpid())
    finished = folder / "c.parquet"
    foreign = folder / ".notes.tmp"
    for path in (stale, running, finished, foreign):
        path.write_bytes(b"x")
    half = left_by(folder / "model", gone.pid, time.time()) / "learners"
    half.mkdir(parents=True)
    remove_leftovers(tmp_path.rglob(".*.tmp"))
    assert sorted(folder.iterdir()) == sorted([running, finished, foreign])


def test_temporary_files_of_a_process_that_nobody_asked_for_its_exit_are_removed(tmp_path):
    zombie = subprocess.Popen([sys.executable, "-c", "pass"])  # listed until `wait`
    path = left_by(tmp_path / "a.parquet", zombie.pid)
    path.write_bytes(b"x")
    try:
        while psutil.Process(zombie.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        remove_leftovers(tmp_path.rglob(".*.tmp"))
        assert not path.exists()
    finally:
        zombie.wait()


def test_temporary_files_whose_process_number_was_given_to_another_are_removed(tmp_path):
    path = left_by(tmp_path / "a.parquet", os.getpid(), psutil.Process().create_time() - 3600)
    path.write_bytes(b"x")
    remove_leftovers(tmp_path.rglob(".*.tmp"))
    assert not path.exists()


def test_what_another_machine_writes_is_left_alone_until_it_is_abandoned_by_the_clock_of_the_disk(tmp_path):
    written = left_by(tmp_path / "a.parquet", 99_999_999, 0, host="0123abcd")
    model = left_by(tmp_path / "model", 99_999_999, 0, host="0123abcd")
    model.mkdir()
    part, day = model / "part", 24 * 3600
    for path in (written, part):
        path.write_bytes(b"x")
    now = part.stat().st_mtime
    os.utime(model, (now - 2 * day, now - 2 * day))  # what lies in it is new
    os.utime(written, (now - day / 2, now - day / 2))
    remove_leftovers([written, model])
    assert part.exists()
    assert written.exists()
    for path in (written, part, model):
        os.utime(path, (now - 2 * day, now - 2 * day))
    remove_leftovers([written, model])
    assert list(tmp_path.iterdir()) == []


def test_a_clock_that_is_behind_on_the_disk_costs_no_file_that_is_written(tmp_path):
    path = temporary_of(tmp_path / "a.parquet")
    path.write_bytes(b"x")
    os.utime(path, (0, 0))
    remove_leftovers([path])
    assert path.exists()


def write_half(path):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("power cut")


def test_an_interrupted_replacement_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="power cut"):
        write_half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_regular_files_of_a_size_that_is_allowed_are_read(tmp_path, monkeypatch):
    pipe, file, link = tmp_path / "pipe", tmp_path / "file", tmp_path / "link"
    os.mkfifo(pipe)
    file.write_bytes(b"12345")
    link.symlink_to("/dev/zero")
    check_readable(file)
    for path in (pipe, link, tmp_path):
        with pytest.raises(UnreadableError, match="is not a regular file; give the path of a file"):
            check_readable(path)
    with pytest.raises(UnreadableError, match="NUL"):
        check_readable(tmp_path / "a\0b")
    monkeypatch.setenv(MAX_BYTES, "4")
    with pytest.raises(UnreadableError, match=f"holds 5 bytes, more than 4; .*set {MAX_BYTES}"):
        check_readable(file)
