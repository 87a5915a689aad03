"""Damaged and malicious tables: told in one line with file and remedy, quickly and in little memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.tables import BAD
from tests.pipeline.workfolder import make_workfolder

SECONDS = 10
MEGABYTES = 1_500


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    for name, write in BAD.items():
        write(folder / name)
    return folder


@pytest.fixture(scope="module")
def outcomes(folder) -> dict[str, dict]:
    """Read every kind in one other process, each by its own."""
    command = [sys.executable, Path(__file__).with_name("reading.py"), folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    return {line["file"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", BAD)
def test_a_hostile_table_costs_little_and_is_told_in_one_line(outcomes, folder, name):
    outcome = outcomes[name]
    assert outcome["seconds"] < SECONDS
    assert outcome["megabytes"] < MEGABYTES
    assert str(folder / name) in outcome["message"]
    assert "; " in outcome["message"]
    assert not any(part in outcome["message"] for part in ("\n", "0x", "!!!", "object at"))


@pytest.mark.parametrize("option", ["--labels", "--groups", "--embeddings", "--outputs"])
@pytest.mark.parametrize("name", ["noise.csv", "pipe.csv", "zeros.npz"])
def test_train_refuses_a_hostile_table_in_one_line_before_any_work(
    command_line, folder, tmp_path, option, name
):
    work = make_workfolder(tmp_path / "work", pictures=8)
    options = {"--labels": work.root.parent / "labels.csv", option: folder / name}
    words = [word for pair in options.items() for word in pair]
    ended = command_line("train", "--work", work.root, *words)
    assert ended.status == 2
    notes, error = ended.errors.splitlines()[:-1], ended.errors.splitlines()[-1]
    assert error.startswith(f"error: {folder / name}: ")
    assert notes in ([], ["8 of 8 pictures found in labels.csv"])
