"""Ctrl-C and termination: one line, an exit status, no process left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core.stopping import LINE

ROOT = Path(__file__).resolve().parents[3]

AT_ONCE = """
from pipeline.core.stopping import stop_at_once
import pathlib, time
stop_at_once()
pathlib.Path("ready").touch()
time.sleep(60)
"""
RAISED = """
from pipeline.core.stopping import stopping
import pathlib, time
with stopping():
    try:
        pathlib.Path("ready").touch()
        time.sleep(60)
    except KeyboardInterrupt as error:
        raise SystemError("a result with an exception set") from error
    finally:
        pathlib.Path("tidied").touch()
"""
SWALLOWED = """
from pipeline.core import stopping
import pathlib, time
stopping._GRACE = 0.2
with stopping.stopping():
    pathlib.Path("ready").touch()
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass
"""
WORKERS = """
from pipeline.core.stopping import stopping
from pipeline.core.workers import map_chunks
from linger import linger
if __name__ == "__main__":
    with stopping():
        list(map_chunks(linger, [1, 2, 3, 4], 2))
"""
LINGER = """
import os, pathlib, time
def linger(number):
    pathlib.Path(f"pid-{number}").write_text(str(os.getpid()))
    if len(list(pathlib.Path().glob("pid-*"))) >= 2:
        pathlib.Path("ready").touch()
    time.sleep(60)
"""


def stop(script: str, folder: Path, number: signal.Signals, *, group: bool = False) -> tuple[int, str]:
    """Start a script, stop it when it is ready; return its exit status and what it said."""
    (folder / "script.py").write_text(script)
    (folder / "linger.py").write_text(LINGER)
    paths = os.pathsep.join([str(ROOT), str(folder)])
    environment = os.environ | {"PYTHONPATH": paths}
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )  # as a shell starts it, which Ctrl-C stops; what runs in the background may be deaf to it
    end = time.monotonic() + 60
    while not (folder / "ready").exists() and time.monotonic() < end:
        time.sleep(0.01)
    (os.killpg if group else os.kill)(process.pid, number)
    said = process.communicate(timeout=30)[1]
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("script", [AT_ONCE, RAISED, SWALLOWED], ids=["at once", "raised", "swallowed"])
def test_a_stopped_process_says_one_line_and_its_exit_status(tmp_path, script, number):
    assert stop(script, tmp_path, number) == (128 + number, f"{LINE}\n")
    assert (tmp_path / "tidied").exists() == (script is RAISED)


@pytest.mark.parametrize("group", [False, True], ids=["parent", "group"])
def test_its_processes_neither_outlive_it_nor_speak(tmp_path, group):
    assert stop(WORKERS, tmp_path, signal.SIGINT, group=group) == (130, f"{LINE}\n")
    for path in tmp_path.glob("pid-*"):
        status = Path("/proc", path.read_text(), "stat")
        assert not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z"
