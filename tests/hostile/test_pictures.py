"""Damaged and malicious pictures: told in one line with a remedy, quickly and in little memory."""

import json
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.errors import Problem, read_problems
from pipeline.core.files import UnreadableError
from pipeline.core.workspace import Workspace
from pipeline.formats.sources import Source
from tests.hostile.pictures import BAD, FINE, PLANE, good_jpeg, good_png, good_tiff
from tests.pipeline.planes import read_plane

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 10
MEGABYTES = 1_500
COLOURS = ("red", "green", "blue", "yellow")


def name_of(kind: str) -> str:
    return f"{kind.replace(' ', '-')}_green.png"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, dict]:
    """Read every kind in one other process, each by its own."""
    folder = tmp_path_factory.mktemp("hostile")
    for kind, write in (BAD | FINE).items():
        write(folder / name_of(kind))
    command = [sys.executable, Path(__file__).with_name("reading.py"), folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["file"]: line for line in lines}


@pytest.mark.parametrize("kind", [*BAD, *FINE])
def test_a_hostile_picture_costs_little_and_is_told_in_one_line(outcomes, kind):
    outcome = outcomes[name_of(kind)]
    assert outcome["seconds"] < SECONDS
    assert outcome["megabytes"] < MEGABYTES
    message = outcome["message"]
    assert not any(part in message for part in ("\n", "<", "0x", "!!!"))
    if kind in BAD and kind != "link elsewhere":  # that file is a fine text, and refused by its place
        assert message.startswith(f"a: {name_of(kind)}: ")
        assert message.count("; ") >= 1


def test_a_run_skips_every_hostile_picture_and_measures_the_good_one(tmp_path):
    """Half of a second for each kind, start included, and no more memory than a sample may take."""
    images, work = tmp_path / "images", tmp_path / "work"
    images.mkdir()
    for colour in COLOURS:
        picture = np.kron(PLANE, np.ones((4, 4), np.uint8))
        (images / f"good_{colour}.png").write_bytes(imagecodecs.png_encode(picture))
    for kind, write in BAD.items():
        sample = kind.replace(" ", "-")
        write(images / f"{sample}_green.png")
        for colour in ("red", "blue", "yellow"):
            (images / f"{sample}_{colour}.png").write_bytes(good_png())
    command = [sys.executable, "run.py", "extract", "--images", images, "--work", work, "--jobs", "1"]
    command += ["--segmenter", "watershed", "--families", "intensity"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory_of(process.pid))
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "Traceback" not in printed + errors
    assert peak < MEGABYTES * 1e6
    problems = {problem.sample: problem for _, problem in read_problems(Workspace(work).problems)}
    assert set(problems) == {kind.replace(" ", "-") for kind in BAD}
    assert all(is_told(problem) for problem in problems.values())
    assert f"{len(BAD)} skipped" in printed


def is_told(problem: Problem) -> bool:
    text = f"{problem.reason} {problem.remedy}"
    return problem.file == f"{problem.sample}_green.png" and "\n" not in text and bool(problem.remedy)


def memory_of(process: int) -> int:
    try:
        return int(psutil.Process(process).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


GOOD = {
    "png": good_png(),
    "jpeg": good_jpeg(),
    "tiff": good_tiff(),
    "deflate": good_tiff(compression="zlib", predictor=True, rowsperstrip=7),
    "lzw": good_tiff(compression="lzw", tile=(16, 16)),
    "bigtiff": good_tiff(bigtiff=True, byteorder=">", description="ImageJ=1\nunit=um", resolution=(3, 3)),
}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("flipped") / "a.png"


@settings(derandomize=True, max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(sorted(GOOD)),
    length=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
)
def test_a_file_cut_and_changed_anywhere_is_a_picture_or_refused_in_one_line(scratch, kind, length, flips):
    content = bytearray(GOOD[kind])
    for place, value in flips:
        content[int(place * len(content))] = value
    if not flips:
        content = content[: int(length * len(content))]
    scratch.write_bytes(content)
    try:
        plane, _ = read_plane(Source((scratch,)), "green")
    except UnreadableError as error:
        told = [error.reason, error.remedy]
    else:
        told = [f"{plane.ndim} dimensions"] * 2
        assert 0 <= plane.min() <= plane.max() <= 1
    assert all(text and "\n" not in text for text in told)
