"""Training that starts at the shipped network: from ten labelled pictures to answers for all 28 locations."""

from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import pytest

from models.bundle import load_model
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.data.locations import LOCATIONS
from pipeline.stages.embed import Embed
from pipeline.stages.options import EmbedOptions, PredictOptions, TrainOptions
from pipeline.stages.predict import Predict
from pipeline.stages.shipped_model import PredictShipped
from pipeline.stages.train import Train
from tests.pipeline.workfolder import make_workfolder

LABELS = ("0", "25", "0 2", "25", "0", "2", "25 0", "0", "25", "0 25", "0", "5")
"""Of twelve pictures; Nuclear bodies (5) in one of them."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train from twelve labelled pictures that nothing was measured of, and predict them."""
    root = tmp_path_factory.mktemp("start")
    rng = np.random.default_rng(0)
    (root / "images").mkdir()
    for number in range(len(LABELS)):
        for colour in ("red", "green", "blue", "yellow"):
            plane = rng.integers(0, 60, (64, 64)).astype(np.uint8)
            top, left = rng.integers(4, 30, 2)
            plane[top : top + 24, left : left + 24] += 120
            (root / "images" / f"p{number:02}_{colour}.png").write_bytes(imagecodecs.png_encode(plane))
    lines = [f"p{number:02},{target}" for number, target in enumerate(LABELS)]
    (root / "labels.csv").write_text("\n".join(["Id,Target", *lines]))
    work, quiet = root / "work", SilentProgress()
    execute(Embed(), EmbedOptions(images=root / "images", work=work, network="shipped", jobs=1), quiet)
    given = {"labels": root / "labels.csv", "folds": 3, "trials": 0, "jobs": 1}
    execute(Train(), TrainOptions(work=work, start="shipped", **given), quiet)
    for name, stage, more in (
        ("started", Predict(), {"model": work / "model"}),
        ("shipped", PredictShipped(), {}),
    ):
        asked = PredictOptions(images=root / "images", output=root / f"{name}.csv", jobs=1, **more)
        execute(stage, asked, quiet)
    return root


def test_locations_with_any_label_are_trained_and_the_network_answers_the_others(root: Path):
    card = load_model(root / "work" / "model").card
    assert list(card["locations"]) == ["Nucleoplasm", "Nucleoli", "Nuclear bodies", "Cytosol"]
    assert set(card["start"]["locations"]) == set(LOCATIONS) - set(card["locations"])
    assert card["start"]["locations"]["Mitochondria"] == "no picture with it"


def test_answers_of_the_network_alone_are_its_own_and_marked(root: Path):
    started, shipped = (
        pd.read_csv(root / f"{name}.csv", index_col="Id", keep_default_na=False)
        for name in ("started", "shipped")
    )
    assert set(LOCATIONS) <= set(started.columns)
    told = started["status"].isin(["answered", "not_sure"])
    assert told.any()
    for name in set(LOCATIONS) - {"Nucleoplasm", "Nucleoli", "Nuclear bodies", "Cytosol"}:
        assert started.loc[told, name].astype(float).equals(shipped.loc[told, name].astype(float))
        alone = started["locations"].str.split("; ").map(lambda names, name=name: name in names)
        assert (started["reason"].str.contains(name) == alone).all()
    assert not started.loc[told, "Nucleoplasm"].equals(shipped.loc[told, "Nucleoplasm"])


def test_pictures_that_nothing_is_known_of_are_asked_for(tmp_path: Path):
    work = make_workfolder(tmp_path, 24)
    options = TrainOptions(work=work.root, labels=tmp_path / "labels.csv", start="shipped", trials=0, jobs=1)
    with pytest.raises(PipelineError, match="run embed --network shipped --images FOLDER"):
        execute(Train(), options, SilentProgress())


def test_another_list_of_locations_is_refused(root: Path):
    Path(root / "mine.csv").write_text("name\nNucleoplasm\nMy granules\nCytosol\n")
    (root / "mine_labels.csv").write_text(
        "\n".join(
            [
                "Id,Target",
                *(f"p{number:02},My granules" for number in range(6)),
                *(f"p{number:02},Cytosol" for number in range(6, 12)),
            ]
        )
    )
    options = TrainOptions(
        work=root / "work",
        labels=root / "mine_labels.csv",
        locations=str(root / "mine.csv"),
        start="shipped",
        folds=3,
        trials=0,
        jobs=1,
        name="mine",
    )
    with pytest.raises(PipelineError, match="--start shipped: does not know My granules"):
        execute(Train(), options, SilentProgress())


def test_importances_count_the_network_once(root: Path):
    from pipeline.stages.importances import in_words

    assert in_words("cnn__shipped__start") == "what the network shipped says of it"
    assert Workspace(root / "work").model.is_dir()
