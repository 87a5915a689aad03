"""Terminals, file names and systems as they are."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import run
from pipeline.core import workers
from pipeline.core.errors import PipelineError
from pipeline.core.workers import map_chunks
from pipeline.data.samples import find_samples

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_of_few_letters_shows_what_it_can(monkeypatch, tmp_path, encoding):
    shown, said = (io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setattr(sys, "stderr", said)
    for words, status in ((["features"], 0), (["status", "--work", f"{tmp_path}/… × 龍"], 2)):
        monkeypatch.setattr(sys, "argv", ["run.py", *words])
        with pytest.raises(SystemExit) as ended:
            run.main()
        assert (ended.value.code or 0) == status
    said.flush()
    assert rb"\u9f8d: no such folder" in said.buffer.getvalue()


def test_brackets_in_paths_are_no_markup(command_line, tmp_path, write_sample):
    images, work = tmp_path / "[/x]" / "images", tmp_path / "[red]" / "work"
    write_sample(images, "a", size=(64, 64))
    base = ["--work", work, "--segmenter", "watershed", "--families", "intensity", "--jobs", 1]
    ended = command_line("extract", "--images", images, *base)
    assert ended.status == 0, ended.errors
    assert str(work) in ended.output
    images.rename(tmp_path / "[/x]" / "elsewhere")
    ended = command_line("status", "--work", work)
    assert ended.status == 0
    assert "[/x]/images" in "".join(ended.output.split())


def test_a_file_name_that_is_not_utf8_is_a_problem_of_its_own(tmp_path, write_sample):
    write_sample(tmp_path, "a")
    name = os.fsdecode(b"caf\xe9_red.png")
    try:
        (tmp_path / name).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    samples, problems = find_samples(tmp_path)
    assert [sample.id for sample in samples] == ["a"]
    assert [(problem.file, problem.remedy) for problem in problems] == [
        (r"caf\udce9_red.png", "rename the file")
    ]


def test_without_shared_memory_it_says_to_use_one_process(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(workers, "ProcessPoolExecutor", refuse)
    with pytest.raises(PipelineError, match=r"--jobs 2: no shared memory for processes .*; give --jobs 1"):
        list(map_chunks(abs, [1, 2], 2))


def test_a_reader_that_has_seen_enough_is_no_error():
    command = f"{sys.executable} run.py features --markdown | head -n 1"
    ended = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S602
    assert ended.stderr == ""
    assert ended.stdout.count("\n") == 1
