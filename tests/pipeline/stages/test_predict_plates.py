"""New plates: a model of normalised features brings them into their own units, or says what is missing."""

from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import pytest

from models.bundle import load_model
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import read_features
from pipeline.data.plates import as_trained
from pipeline.data.tables import unsaid
from pipeline.stages.explain_options import ImportancesOptions
from pipeline.stages.importances import Importances
from pipeline.stages.options import PredictOptions
from pipeline.stages.predict import Predict, PredictSummary
from pipeline.stages.train import Train
from tests.conftest import COLOURS
from tests.pipeline.plates import make_plates
from tests.pipeline.stages.test_plates import CONTROLS, PLATE, asked
from tests.pipeline.workfolder import extract


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    work = make_plates(tmp_path_factory.mktemp("plates"))
    for name, more in (("z", {}), ("sphered", {"controls": CONTROLS, "normalise_method": "sphering"})):
        execute(Train(), asked(work, name=name, normalise_by=PLATE, **more), SilentProgress())
    return work


@pytest.mark.parametrize("name", ["z", "sphered"])
def test_answers_do_not_depend_on_a_plates_offset_and_factor_nor_on_other_plates(
    trained: Workspace, name: str
) -> None:
    model = load_model(Workspace(trained.root, name).model)
    table = read_features(trained)[model.columns]
    plates = pd.read_parquet(trained.samples).set_index("Id")[PLATE].loc[table.index]

    def probability(rows: pd.DataFrame) -> pd.DataFrame:
        within, problems = as_trained(rows, model, trained, unsaid, trained.model)
        assert problems == []
        return model.predict(within).probability

    whole, here = probability(table), plates.eq("B").to_numpy()
    pd.testing.assert_frame_equal(probability(table[here]), whole[here])
    stained = table.astype(np.float64).where(~np.broadcast_to(here[:, None], table.shape), 3 * table + 7)
    assert probability(stained).to_numpy() == pytest.approx(whole.to_numpy(), abs=1e-3)
    assert model.predict(table).probability.to_numpy() != pytest.approx(whole.to_numpy(), abs=0.1)


def test_importances_are_of_normalised_features(trained: Workspace) -> None:
    options = ImportancesOptions(work=trained.root, name="z")
    assert execute(Importances(), options, SilentProgress()).pictures == 72


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Extract 24 tiny pictures of two plates, and train on them in units of their plate."""
    root = tmp_path_factory.mktemp("pictures")
    (root / "images").mkdir()
    rng = np.random.default_rng(0)
    rows, across = [], np.hypot(*np.mgrid[-24:24, -24:24])
    for number in range(24):
        name, plate = f"p{number:02}", "AB"[number % 2]
        for colour in COLOURS:
            ring = np.exp(-((across - rng.uniform(4, 9)) ** 2) / 40) * (150 if plate == "A" else 60)
            plane = (ring + rng.uniform(0, 12, ring.shape)).astype(np.uint8)
            (root / "images" / f"{name}_{colour}.png").write_bytes(imagecodecs.png_encode(plane))
        paths = {colour: f"{name}_{colour}.png" for colour in COLOURS}
        rows.append({"Id": name, "plate": plate, **paths})
    pd.DataFrame(rows).to_csv(root / "samples.csv", index=False)
    targets = [f"{number % 3}" for number in range(24)]
    pd.DataFrame({"Id": [row["Id"] for row in rows], "Target": targets}).to_csv(
        root / "labels.csv", index=False
    )
    extract(root, root / "work", samples=root / "samples.csv", families=("intensity",))
    execute(Train(), asked(Workspace(root / "work"), normalise_by=PLATE), SilentProgress())
    return root


def predict(root: Path, samples: pd.DataFrame | None, name: str) -> PredictSummary:
    table = root / f"{name}.samples.csv"
    if samples is not None:
        samples.to_csv(table, index=False)
    options = PredictOptions(
        model=root / "work" / "model",
        images=root / "images",
        samples=None if samples is None else table,
        output=root / f"{name}.csv",
        jobs=1,
    )
    return execute(Predict(), options, SilentProgress())


def test_a_new_plate_is_normalised_by_its_own_pictures_and_small_ones_are_skipped(pictures: Path) -> None:
    samples = pd.read_csv(pictures / "samples.csv")
    predict(pictures, samples, "all")
    predict(pictures, samples[samples["plate"] == "A"].replace({"plate": {"A": "new"}}), "new")
    whole, new = (pd.read_csv(pictures / f"{name}.csv").set_index("Id") for name in ("all", "new"))
    locations = whole.columns[-3:]
    assert whole["Metadata_Plate"].value_counts().to_dict() == {"A": 12, "B": 12}
    pd.testing.assert_frame_equal(new[locations], whole.loc[new.index, locations])
    few = predict(pictures, samples.drop(samples.index[samples["plate"] == "B"][3:]), "few")
    assert few.statuses["skipped"] == 3
    assert few.problems[0].reason == "Metadata_Plate 'B' has 3 pictures to normalise by; 6 are needed"
    assert few.problems[0].remedy == "give more pictures of it"


def test_samples_without_the_column_of_plates_are_refused_naming_it(pictures: Path) -> None:
    message = r"model: normalises by 'Metadata_Plate': unknown column 'Metadata_Plate'; known: none; add it"
    with pytest.raises(PipelineError, match=message):
        predict(pictures, None, "plain")
    assert not (pictures / "plain.csv.work" / "cells.parquet").exists()  # before anything is measured
