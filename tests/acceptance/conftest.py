"""Runs of the commands that the acceptance tests look at."""

import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

import run
from pipeline.commands.command_line import options_of
from pipeline.core.stage import SilentProgress, execute
from pipeline.stages.extract import Extract
from pipeline.stages.options import ExtractOptions
from tests.acceptance.fields import field, read_table, write_png
from tests.conftest import CommandLine, Ended
from tests.pipeline.workfolder import simulate


@dataclass(frozen=True)
class Simulated:
    """Simulated pictures with labels and groups, measured into a work folder that is copied, not used."""

    images: Path
    samples: Path
    labels: Path
    groups: Path
    work: Path


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Simulated:
    root = tmp_path_factory.mktemp("simulated")
    locations = "Nucleoplasm,Cytosol,Mitochondria,Plasma membrane"
    simulate(root / "data", pictures=48, seed=7, size=192, locations=locations)
    data = root / "data"
    options = {"images": data / "images", "samples": data / "samples.csv", "work": root / "work"}
    more = {"segmenter": "watershed", "families": "intensity", "jobs": 1}
    execute(Extract(), options_of(ExtractOptions, options | more), SilentProgress())
    return Simulated(
        data / "images", data / "samples.csv", data / "labels.csv", data / "groups.csv", root / "work"
    )


@dataclass(frozen=True)
class Measured:
    """What `extract` left of a folder of pictures."""

    ended: Ended
    samples: pd.DataFrame
    features: pd.DataFrame
    problems: dict[str, str]

    def told(self, name: str) -> str:
        """Return all that was said about a sample that was skipped; nothing where it was measured."""
        return self.problems.get(name, "")


Extraction = Callable[..., Measured]


@pytest.fixture
def extract(command_line: CommandLine, tmp_path: Path) -> Extraction:
    """Measure pictures by the watershed; tables are by Id, problems too."""

    def call(
        images: Path, *more: object, work: Path = tmp_path / "work", families: str = "intensity"
    ) -> Measured:
        options = ["--segmenter", "watershed", "--families", families, "--jobs", 1, *more]
        ended = command_line("extract", "--images", images, "--work", work, *options)
        problems: dict[str, str] = {}
        for row in read_table(work / "problems.csv") if (work / "problems.csv").exists() else []:
            said = f"{row['file']}: {row['reason']}; {row['remedy']}"
            problems[row["sample"]] = "\n".join(filter(None, [problems.get(row["sample"]), said]))
        tables = [
            pd.read_parquet(path).set_index("Id") if path.exists() else pd.DataFrame()
            for path in (work / "samples.parquet", work / "features.parquet")
        ]
        return Measured(ended, *tables, problems)

    return call


def quietly(*words: object) -> None:
    """Run a command that succeeds, as a fixture of the session needs it."""
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(StringIO()),
        redirect_stderr(StringIO()) as said,
    ):
        patch.setattr(sys, "argv", ["run.py", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            run.main()
    assert not ended.value.code, said.getvalue()


def refusal(ended: Ended) -> str:
    """Return the one line of an error that the user can correct; before it there may be notes."""
    assert ended.status == 2
    last = ended.errors.splitlines()[-1]
    assert [line for line in ended.errors.splitlines() if line.startswith("error: ")] == [last]
    return last


TRAINING = ["--folds", 3, "--trials", 0, "--boosters", "lightgbm", "--jobs", 1]


@pytest.fixture
def work(simulated: Simulated, tmp_path) -> Path:
    """Return a copy of the measured work folder."""
    return Path(shutil.copytree(simulated.work, tmp_path / "work"))


@pytest.fixture
def train(command_line: CommandLine, simulated: Simulated, work: Path) -> Callable[..., Ended]:
    """Train on the simulated pictures, with tables beside them."""

    def call(*more: object, labels: Path = simulated.labels) -> Ended:
        return command_line("train", "--labels", labels, "--work", work, *TRAINING, *more)

    return call


def out_of_fold(work: Path) -> pd.DataFrame:
    return pd.read_parquet(work / "out_of_fold.parquet")


def targets(simulated: Simulated) -> dict[str, list[int]]:
    """Return the class indices of every picture's locations."""
    return {row["Id"]: [int(k) for k in row["Target"].split()] for row in read_table(simulated.labels)}


@pytest.fixture
def ids(simulated: Simulated) -> list[str]:
    return list(targets(simulated))


@pytest.fixture
def groups(simulated: Simulated) -> dict[str, str]:
    return {row["Id"]: row["group"] for row in read_table(simulated.groups)}


@pytest.fixture
def images(tmp_path) -> Path:
    """Return a folder with one sample that every run measures."""
    write_png(tmp_path / "images", "good", field())
    return tmp_path / "images"


def assert_skipped(found: Measured, name: str, *quoted: str) -> None:
    """Check that the run went on without a sample, and that problems.csv tells what is wrong with it."""
    assert found.ended.status == 0
    assert list(found.features.index) == ["good"]
    for part in quoted:
        assert part in found.told(name)
    assert "0x" not in found.told(name)
    assert "\n" not in found.told(name)
