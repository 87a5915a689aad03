"""A trained work folder, and one of pictures, to explore."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.explorer.explorer_pages import Explorer
from pipeline.explorer.starting import opened
from pipeline.stages.explore_options import ExploreOptions
from pipeline.stages.options import TrainOptions
from pipeline.stages.train import Train
from tests.pipeline.workfolder import extract, make_workfolder, simulate


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a work folder with a model of made-up features, and no pictures."""
    folder = tmp_path_factory.mktemp("explored")
    work = make_workfolder(folder)
    asked = {"labels": folder / "labels.csv", "trials": 0, "folds": 3, "jobs": 1, "boosters": ("linear",)}
    execute(Train(), TrainOptions(work=work.root, **asked), SilentProgress())
    return work


@pytest.fixture
def explorer(trained: Workspace) -> Iterator[Explorer]:
    """Explore it; what is corrected is forgotten."""
    with opened(ExploreOptions(work=trained.root), SilentProgress()) as one:
        yield one
    for path in (one.corrections.labels, one.corrections.changes):
        path.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three simulated pictures and their work folder, without a model."""
    folder = tmp_path_factory.mktemp("pictures")
    simulate(folder / "data", pictures=3, seed=3, size=256)
    extract(folder / "data", folder / "work", families=("morphology",))
    return folder
