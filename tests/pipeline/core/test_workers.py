"""Chunks in processes: results, a killed process, a killed parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.workers import evenly, map_chunks

ROOT = Path(__file__).resolve().parents[3]

PARENT = """
from pipeline.core.workers import map_chunks
from test_workers_target import linger
if __name__ == "__main__":
    list(map_chunks(linger, [1, 2], 2))
"""
TARGET = """
import os, time
from pathlib import Path
def linger(number):
    Path(f"pid-{number}").write_text(str(os.getpid()))
    time.sleep(60)
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_task_comes_back_with_its_result(jobs):
    assert sorted(map_chunks(abs, [-1, -2, -3], jobs)) == [(-3, 3), (-2, 2), (-1, 1)]


def test_a_process_killed_by_the_system_is_one_clear_error():
    tasks = [signal.SIGKILL, signal.SIGKILL]
    with pytest.raises(PipelineError, match=r"a process was killed.*fewer --jobs than 2"):
        list(map_chunks(signal.raise_signal, tasks, 2))


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes in /proc")
def test_processes_end_with_a_killed_parent(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    (tmp_path / "test_workers_target.py").write_text(TARGET)
    paths = os.pathsep.join([str(ROOT), str(tmp_path)])
    parent = subprocess.Popen(
        [sys.executable, "parent.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}
    )
    files = [tmp_path / f"pid-{number}" for number in (1, 2)]
    assert wait_for(lambda: all(file.exists() and file.read_text() for file in files))
    parent.kill()
    parent.wait()
    pids = [int(file.read_text()) for file in files]
    assert wait_for(lambda: not any(alive(pid) for pid in pids))


def test_some_of_a_list_lie_evenly_over_it_with_both_ends():
    assert evenly("abcdefghi", 3) == ["a", "e", "i"]
    assert evenly("abcd", 9) == list("abcd")
    assert evenly("abcd", 1) == ["a"]
    assert evenly("", 3) == []
    for number, most in ((10, 4), (1000, 999), (12345, 200)):
        places = np.linspace(0, number - 1, most).round().astype(int)
        assert evenly(range(number), most) == places.tolist()
