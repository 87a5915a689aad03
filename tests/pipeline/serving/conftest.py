"""A model of features and an embedding, trained once, and new pictures for it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.serving import Predictor
from pipeline.stages.embed import Embed
from pipeline.stages.options import EmbedOptions, TrainOptions
from pipeline.stages.train import Train
from tests.pipeline.onnx_net import write_onnx
from tests.pipeline.workfolder import extract, simulate


@dataclass(frozen=True)
class Trained:
    """Folder of the model, folder of the pictures it was trained on, and the model in memory."""

    model: Path
    images: Path
    predictor: Predictor


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Trained:
    """Train on simulated pictures of 128 pixels, by the watershed and two families, and a small network."""
    root = tmp_path_factory.mktemp("serving")
    simulate(root / "data", 24, 3, size=128, locations=("Nucleoplasm", "Cytosol"))
    images, work = root / "data" / "images", Workspace(root / "work")
    extract(root / "data", work.root, families=("intensity",))
    write_onnx(root / "net.onnx")
    source = {"images": images, "onnx": root / "net.onnx", "trained_on": "none"}
    made = execute(Embed(), EmbedOptions(work=work.root, jobs=1, **source), SilentProgress())
    table = {"embeddings": (work.embedding(made.name),), "labels": root / "data" / "labels.csv"}
    settings = {"work": work.root, "trials": 0, "folds": 3, "jobs": 1, **table}
    execute(Train(), TrainOptions(**settings), SilentProgress())
    model = work.root / "model"
    return Trained(model, images, Predictor.load(model))
