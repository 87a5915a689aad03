"""Pictures in which there is nothing to answer get no location, and a model may be not sure."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.commands.command_line import options_of
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.stages.options import TrainOptions
from pipeline.stages.train import Train
from tests.acceptance.conftest import Simulated
from tests.acceptance.fields import COLOURS, field, write_png, write_table, write_tiff
from tests.conftest import CommandLine

TOLD = {
    "black_nucleus": "nucleus is black or flat",
    "black_protein": "protein is black or flat",
    "flat_protein": "protein is black or flat",
    "noise": "is noise without a signal",
    "noisy_protein": "protein is noise without a signal",
    "offset": "the darkest pixel of microtubules is at 5",
    "saturated": "are at the largest value",
    "tiny": "8 × 8 pixels are too few",
}


@pytest.fixture(scope="module")
def model(simulated: Simulated, tmp_path_factory) -> Path:
    work = Workspace(tmp_path_factory.mktemp("answers") / "work")
    shutil.copytree(simulated.work, work.root)
    given = {"labels": simulated.labels, "work": work.root, "folds": 3, "trials": 0, "boosters": ("linear",)}
    # half_f1 names every picture here: where little tells pictures apart, F1 is largest so
    execute(Train(), options_of(TrainOptions, given | {"jobs": 1, "rule": "proportion"}), SilentProgress())
    return work.model


def noise(side: int, seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).poisson(40, (side, side)).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    good, side = field(), len(field()["red"])
    black = np.zeros_like(good["red"])
    changed = {
        "good": good,
        "black_nucleus": good | {"blue": black},
        "black_protein": good | {"green": black},
        "flat_protein": good | {"green": black + 50},
        "noisy_protein": good | {"green": noise(side)},
        "noise": {colour: noise(side, seed) for seed, colour in enumerate(COLOURS)},
        "saturated": good | {"green": np.vstack([good["green"][:40], 255 - black[40:]])},
        "tiny": {colour: plane[:8, :8] for colour, plane in good.items()},
    }
    for name, planes in changed.items():
        write_png(folder, name, planes)
    write_tiff(folder, "offset", {c: p.astype(np.uint16) * 16 + 32768 for c, p in good.items()})
    write_png(folder, "broken", good)
    (folder / "broken_red.png").write_bytes(b"")
    return folder


def predict(command_line: CommandLine, model: Path, images: Path, output: Path, *more: object):
    options = ["--model", model, "--output", output, "--work", output.parent / "new", "--jobs", 1]
    return command_line("predict", "--images", images, *options, *more)


def test_a_picture_without_an_answer_has_no_location_and_says_why(
    command_line: CommandLine, model: Path, pictures: Path, tmp_path: Path
) -> None:
    ended = predict(command_line, model, pictures, tmp_path / "out.csv")
    table = pd.read_csv(tmp_path / "out.csv", keep_default_na=False).set_index("Id")
    assert list(table.columns[:4]) == ["locations", "cells", "status", "reason"]
    assert sorted(table.index) == sorted([*TOLD, "good", "broken"])
    for name, reason in TOLD.items():
        assert table.loc[name, "status"] == "no_answer"
        assert reason in table.loc[name, "reason"]
        assert (table.loc[name].drop(["cells", "status", "reason"]) == "").all()
    assert table.loc["good", "status"] in ("answered", "not_sure", "unlike_training")
    assert float(table.loc["good"].iloc[4:].astype(float).min()) > 0
    assert table.loc["good", "cells"] == "4"
    assert table.loc["broken", ["locations", "cells", "status"]].to_list() == ["", "", "skipped"]
    assert table.loc["broken", "reason"].startswith("broken_red.png: ")
    said = " ".join(ended.output.split())
    assert ended.status == 0
    words = {"unlike_training": "unlike the training pictures", "not_sure": "not sure"}
    status = str(table.loc["good", "status"])
    assert f"(10 pictures: 1 {words.get(status, status)}, 8 without an answer" in said
    assert "1 skipped)" in said


def test_the_competition_gets_a_row_for_every_picture_and_is_told_which_are_empty(
    command_line: CommandLine, model: Path, pictures: Path, tmp_path: Path
) -> None:
    for again in (False, True):
        ended = predict(command_line, model, pictures, tmp_path / "out.csv", "--format", "kaggle")
        assert ended.status == 1
        assert again == ("Up to date" in ended.output)
        said = " ".join(ended.output.split())
        assert "Rows without a prediction, which the competition scores as wrong: black_nucleus, " in said
        table = pd.read_csv(tmp_path / "out.csv").set_index("Id")["Predicted"]
        assert sorted(table.index) == sorted([*TOLD, "good", "broken"])
        assert table.drop("good").isna().all()
        assert 0 <= int(str(table["good"]).split()[0].partition(".")[0]) < 28


def test_a_model_is_not_sure_of_some_of_its_own_pictures(model: Path) -> None:
    table = pd.read_parquet(model.parent / "out_of_fold.parquet").query("model == 'stack'")
    named = table.groupby("Id")["chosen"].any()
    assert 0.5 < named.mean() < 1


@pytest.mark.parametrize("times", [1, 4])
def test_cells_are_found_at_another_magnification_with_and_without_a_pixel_size(
    command_line: CommandLine, model: Path, tmp_path: Path, times: int
) -> None:
    for seed in range(2):
        large = {c: plane.repeat(times, 0).repeat(times, 1) for c, plane in field(seed).items()}
        write_png(tmp_path / "images", f"p{seed}", large)
    rows = [[f"p{seed}", *(f"p{seed}_{c}.png" for c in COLOURS), 0.63 / times] for seed in range(2)]
    table = write_table(tmp_path / "samples.csv", ["Id", *COLOURS, "pixel_size_um"], rows)
    for name, more, told in (
        ("plain", (), "no pixel size is stated; 0."),
        ("stated", ("--samples", table), ""),
    ):
        predict(command_line, model, tmp_path / "images", tmp_path / f"{name}.csv", *more)
        found = pd.read_csv(tmp_path / f"{name}.csv", keep_default_na=False)
        assert found["cells"].to_list() == [4, 4]
        assert found["reason"].str.contains(told, regex=False).all()
        assert not found["reason"].str.contains("times as large").any()


def test_the_pixel_size_of_training_need_not_be_stated(
    command_line: CommandLine, model: Path, simulated: Simulated, tmp_path: Path
) -> None:
    samples = pd.read_csv(simulated.samples).iloc[::16]
    (tmp_path / "images").mkdir()
    for path in (path for one in samples["Id"] for path in simulated.images.glob(f"{one}_*.png")):
        shutil.copy(path, tmp_path / "images")
    samples.to_csv(tmp_path / "samples.csv", index=False)
    predict(
        command_line, model, tmp_path / "images", tmp_path / "a.csv", "--samples", tmp_path / "samples.csv"
    )
    predict(command_line, model, tmp_path / "images", tmp_path / "b.csv")
    stated, plain = (pd.read_csv(tmp_path / f"{name}.csv").drop(columns="reason") for name in "ab")
    pd.testing.assert_frame_equal(stated, plain)
