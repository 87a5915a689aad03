"""Temporary files of killed runs."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from pipeline.core.files import MAX_BYTES, UnreadableError, check_readable, remove_leftovers, replacing


def test_only_temporary_files_of_processes_that_are_gone_are_removed(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    folder = tmp_path / "parts"
    folder.mkdir()
    stale = folder / f".a.parquet.{gone.pid}.tmp"
    running = folder / f".b.parquet.{os.getpid()}.tmp"
    finished = folder / "c.parquet"
    foreign = folder / ".notes.tmp"
    for path in (stale, running, finished, foreign):
        path.write_bytes(b"x")
    half = folder / f".model.{gone.pid}.tmp" / "learners"
    half.mkdir(parents=True)
    remove_leftovers(tmp_path.rglob(".*.tmp"))
    assert sorted(folder.iterdir()) == sorted([running, finished, foreign])


def test_temporary_files_of_a_process_that_nobody_asked_for_its_exit_are_removed(tmp_path):
    zombie = subprocess.Popen([sys.executable, "-c", "pass"])  # listed until `wait`
    path = tmp_path / f".a.parquet.{zombie.pid}.tmp"
    path.write_bytes(b"x")
    try:
        while psutil.Process(zombie.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        remove_leftovers(tmp_path.rglob(".*.tmp"))
        assert not path.exists()
    finally:
        zombie.wait()


def test_temporary_files_whose_process_number_was_given_to_another_are_removed(tmp_path):
    path = tmp_path / f".a.parquet.{os.getpid()}.tmp"
    path.write_bytes(b"x")
    os.utime(path, (0, psutil.Process().create_time() - 60))
    remove_leftovers(tmp_path.rglob(".*.tmp"))
    assert not path.exists()


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
