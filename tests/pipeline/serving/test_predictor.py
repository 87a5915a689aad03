"""The predictor answers as the command `predict` does, for arrays and files, from several threads at once."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray

import features
from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import CHANNELS, COLOURS
from pipeline.serving import Answer, Predictor, loaded_models
from pipeline.stages.options import PredictOptions, TrainOptions
from pipeline.stages.predict import Predict
from pipeline.stages.shipped_model import PredictShipped
from pipeline.stages.train import Train
from tests.pipeline.serving.conftest import Trained


def ids(images: Path) -> list[str]:
    return sorted({path.name.rsplit("_", 1)[0] for path in images.glob("*_green.png")})


def planes(images: Path, name: str) -> NDArray[np.uint8]:
    files = [images / f"{name}_{COLOURS[channel]}.png" for channel in CHANNELS]
    return np.stack([imagecodecs.png_decode(path.read_bytes()) for path in files])


def by_command(folder: Path, model: Path | None) -> pd.Series:
    """Return the one row that the command writes of a folder of one picture."""
    output = folder.parent / "out.csv"
    asked = {"images": folder, "output": output, "jobs": 1} | ({} if model is None else {"model": model})
    stage = PredictShipped() if model is None else Predict()
    execute(stage, PredictOptions(**asked), SilentProgress())
    return pd.read_csv(output, index_col="Id", keep_default_na=False).iloc[0]


def is_same(answer: Answer, row: pd.Series) -> bool:
    rounded = {one.name: round(one.probability, 6) for one in answer.locations}
    told = {name: float(row[name]) for name in rounded}
    status = "bad_input" if row["status"] in {"no_answer", "skipped"} else row["status"]
    return (rounded, "; ".join(answer.chosen), answer.status) == (told, row["locations"], status)


@pytest.fixture
def alone(trained: Trained, tmp_path: Path) -> Path:
    """Folder of the four files of one picture."""
    folder = tmp_path / "alone"
    folder.mkdir()
    for path in trained.images.glob(f"{ids(trained.images)[0]}_*.png"):
        shutil.copy(path, folder)
    return folder


def test_a_trained_model_answers_as_the_command_does(trained, alone):
    name = ids(alone)[0]
    row = by_command(alone, trained.model)
    answer = trained.predictor.predict(planes(alone, name), name=name)
    assert is_same(answer, row)
    assert (answer.cells, answer.reason) == (int(row["cells"]), row["reason"])
    assert len(answer.locations) == 2
    again = trained.predictor.predict_folder(alone)
    assert again.model_copy(update={"seconds": answer.seconds}) == answer


def test_the_shipped_network_answers_as_the_command_does(alone):
    row = by_command(alone, None)
    name = ids(alone)[0]
    predictor = Predictor.load(warm=False)
    assert is_same(predictor.predict(planes(alone, name)), row)
    assert predictor.info.segmenter == ""


def test_a_picture_without_a_marker_is_told_as_the_command_tells_it(trained, alone):
    name = ids(alone)[0]
    (alone / f"{name}_yellow.png").unlink()
    few = planes(trained.images, name)[:3]
    row = by_command(alone, trained.model)
    answer = trained.predictor.predict(few, CHANNELS[:3], name=name)
    assert is_same(answer, row)
    assert answer.reason == row["reason"]
    assert "er not recorded" in answer.reason


def test_values_of_16_bits_are_read_as_those_of_files(trained, alone, tmp_path):
    name = ids(alone)[0]
    deep = planes(alone, name).astype(np.uint16) * 16  # 12 bits
    folder = tmp_path / "deep"
    folder.mkdir()
    for channel, plane in zip(CHANNELS, deep, strict=True):
        tifffile.imwrite(folder / f"{name}_{COLOURS[channel]}.tif", plane)
    answer = trained.predictor.predict(deep)
    assert is_same(answer, by_command(folder, trained.model))
    assert is_same(trained.predictor.predict(deep / np.float32(4095)), by_command(folder, trained.model))


def test_planes_count_by_name_whatever_their_order(trained):
    pixels = planes(trained.images, ids(trained.images)[1])
    here = trained.predictor.predict(pixels)
    turned = trained.predictor.predict(pixels[::-1], ("yellow", "blue", "green", "red"))
    assert turned.locations == here.locations


def test_a_batch_is_each_of_its_pictures(trained):
    some = [planes(trained.images, name) for name in ids(trained.images)[:3]]
    batch = trained.predictor.predict(some, pixel_size_um=0.2)
    assert [one.locations for one in batch] == [
        trained.predictor.predict(one, pixel_size_um=0.2).locations for one in some
    ]
    assert [one.id for one in batch] == ["picture 0", "picture 1", "picture 2"]


def test_an_answer_says_why_as_the_stack_does(trained):
    answer = trained.predictor.predict(planes(trained.images, ids(trained.images)[0]))
    for one in answer.locations:
        why = answer.explain(one.name)
        assert why.probability == one.probability
        assert why.log_odds == pytest.approx(why.bias + sum(part.contribution for part in why.parts))
        assert why.log_odds == pytest.approx(np.log(one.probability / (1 - one.probability)), abs=1e-6)
    with pytest.raises(PipelineError, match="no model for unknown location 'Nucleolus'"):
        answer.explain("Nucleolus")
    dark = trained.predictor.predict(np.zeros((4, 128, 128), np.uint8))
    with pytest.raises(PipelineError, match="bad_input"):
        dark.explain("Cytosol")


def test_a_model_without_features_answers_as_the_command_does(trained, alone):
    work = trained.model.parent
    settings = {
        "work": work,
        "labels": work.parent / "data" / "labels.csv",
        "trials": 0,
        "folds": 3,
        "jobs": 1,
    }
    table = next(Workspace(work).embeddings.glob("*.parquet"))
    execute(Train(), TrainOptions(**settings, embeddings=(table,), fast=True, name="fast"), SilentProgress())
    model = Workspace(work, "fast").model
    answer = Predictor.load(model).predict_folder(alone)
    assert answer.cells is None
    assert is_same(answer, by_command(alone, model))


def test_several_threads_get_the_same_bits(trained):
    pictures = [planes(trained.images, name) for name in ids(trained.images)[:4]] * 2
    alone = [trained.predictor.predict(one).locations for one in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda one: trained.predictor.predict(one).locations, pictures))
    assert together == alone


def test_a_picture_of_many_cells_is_measured_by_several_cores_with_the_same_bits(trained, monkeypatch):
    picture = planes(trained.images, ids(trained.images)[0])
    alone = trained.predictor.predict(picture).locations
    asked = []
    measure = features.measure
    monkeypatch.setattr(loaded_models, "MANY", 1)
    monkeypatch.setattr(loaded_models, "_CORES", 2)
    monkeypatch.setattr(
        features, "measure", lambda *given, **more: asked.append(more["threads"]) or measure(*given, **more)
    )
    assert trained.predictor.predict(picture).locations == alone
    assert asked == [2]


def test_margins_and_outlines_are_those_of_the_answer(trained):
    answer = trained.predictor.predict(planes(trained.images, ids(trained.images)[0]), outlines=True)
    for one in answer.locations:
        assert one.margin == one.probability - one.threshold
        assert trained.predictor.info.locations[one.name] == one.threshold
    assert len(answer.outlines) == answer.cells
    corners = np.array([corner for one in answer.outlines for corner in one.outline])
    assert corners.min() >= 0
    assert corners.max() < 128
    assert answer.seconds.total >= answer.seconds.segmentation > 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda p: p * 0, "empty (all channels flat)"),
        (lambda p: np.where(p > 9, np.float32(np.nan), p / np.float32(255)), "no numbers"),
        (lambda p: p.astype(np.float32) - 1, "holds the value -1.0"),
        (lambda p: p.astype(np.uint32) * 1000, "at most 65535 is read"),
        (lambda p: p[:, :20, :20], "too few for a cell"),
    ],
)
def test_what_is_wrong_with_a_picture_is_its_answer(trained, change, reason):
    answer = trained.predictor.predict(change(planes(trained.images, ids(trained.images)[0])))
    assert (answer.status, answer.locations) == ("bad_input", ())
    assert reason in answer.reason


@pytest.mark.parametrize(
    ("pixels", "channels", "reason"),
    [
        (np.zeros((3, 64, 64), np.uint8), CHANNELS, r"shape \(3, 64, 64\) for 4 channels"),
        (np.zeros((64, 64), np.uint8), CHANNELS, r"shape \(64, 64\) for 4 channels"),
        (np.zeros((4, 64, 64), bool), CHANNELS, "an array of bool"),
        (np.zeros((1, 64, 64), np.uint8), ("proteins",), "did you mean protein"),
        (np.zeros((2, 64, 64), np.uint8), ("green", "protein"), "one is named twice"),
    ],
)
def test_what_is_no_array_of_the_channels_is_refused(trained, pixels, channels, reason):
    with pytest.raises(PipelineError, match=reason):
        trained.predictor.predict(pixels, channels)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"normalisation": {"by": "Metadata_Plate"}}, "needs other pictures of a plate"),
        ({"embeddings": {"net": {"name": "net"}}}, "needs the table of embeddings 'net'"),
        ({"extraction": None}, "columns are not here"),
    ],
)
def test_a_model_that_needs_more_than_a_picture_is_refused(trained, tmp_path, change, reason):
    folder = tmp_path / "model"
    shutil.copytree(trained.model, folder)
    card = folder / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | change))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"]["card.json"] = file_digest(card)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PipelineError, match=reason):
        Predictor.load(folder, warm=False)
