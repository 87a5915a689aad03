"""Predicting without a model: the shipped network alone, on pictures with and without markers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.weights import write_card
from pipeline.data.locations import LOCATIONS
from pipeline.networks import shipped
from pipeline.networks.checkpoints import Deciding
from pipeline.networks.preprocessing import turned
from pipeline.stages.options import PredictOptions
from pipeline.stages.shipped_model import (
    PredictShipped,
    check_options,
    decided,
    shipped_card,
    shipped_embedder,
    told,
)


@pytest.fixture
def pictures(tmp_path: Path, write_sample) -> Path:
    """Write one picture of four channels, one without er, and one without er and microtubules."""
    folder = tmp_path / "images"
    for seed, name in enumerate(("a", "b", "c")):
        write_sample(folder, name, size=(64, 64), seed=seed)
    (folder / "b_yellow.png").unlink()
    for colour in ("yellow", "red"):
        (folder / f"c_{colour}.png").unlink()
    return folder


def predicted(pictures: Path, **more: object) -> pd.DataFrame:
    output = pictures.parent / "out.csv"
    layout = {"channels": {"protein": "green", "nucleus": "blue"}}
    options = PredictOptions(images=pictures, output=output, jobs=1, **(layout | more))
    execute(PredictShipped(), options, SilentProgress())
    return pd.read_csv(output, index_col="Id")


def test_names_locations_or_says_that_it_is_not_sure(tmp_path: Path, write_sample):
    write_sample(tmp_path / "images", "a", size=(64, 64))
    table = predicted(tmp_path / "images", channels={})
    assert table.loc["a", list(LOCATIONS)].between(0, 1).all()
    _, deciding = shipped_card()
    likely = [name for name in LOCATIONS if table.loc["a", name] >= deciding.threshold]
    named = str(table.loc["a", "locations"]).split("; ") if likely else []
    assert (named, table.loc["a", "status"]) == (likely, "answered" if likely else "not_sure")


def test_answers_are_those_of_the_average_over_turns(tmp_path: Path, write_sample):
    """A turned picture has the same probabilities: all turns and flips are averaged."""
    planes = write_sample(tmp_path / "images", "a", size=(64, 64))
    import imagecodecs

    for colour, plane in zip(("red", "green", "blue", "yellow"), planes, strict=True):
        turned_plane = np.ascontiguousarray(np.rot90(plane)[:, ::-1])
        (tmp_path / "images" / f"b_{colour}.png").write_bytes(imagecodecs.png_encode(turned_plane))
    table = predicted(tmp_path / "images", channels={})
    np.testing.assert_allclose(*table.loc[["a", "b"], list(LOCATIONS)].to_numpy(float), atol=2e-3)


def test_eight_turns_are_all_different():
    planes = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
    assert len({one.tobytes() for one in turned(planes)}) == 8


def test_pictures_without_markers_are_answered(pictures: Path):
    assert set(shipped_embedder().preprocessing.dropped) == {"er", "microtubules"}
    for path in pictures.glob("a_*"):
        path.unlink()
    table = predicted(pictures)
    assert table[list(LOCATIONS)].notna().all(axis=None)


def test_chosen_are_those_above_the_threshold():
    deciding = Deciding(sides=(32,), threshold=0.6)
    found = decided(
        np.array([[0.0, 1.0], [1.0, -9.0]], np.float32), pd.Index(["a", "b"]), ("x", "y"), deciding
    )
    assert found.chosen.to_numpy().tolist() == [[False, True], [True, False]]
    assert found.probability.loc["a", "y"] == pytest.approx(1 / (1 + np.exp(-1)))


def test_says_how_it_does_on_real_pictures():
    card, _ = shipped_card()
    assert "simulated pictures only" in told(card)
    assert "threshold were chosen" in told(card)
    assert "not measured" not in told(card)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("embeddings", ("t.csv",)),
        ("outputs", ("t.csv",)),
        ("weights", {"net": "w.pt"}),
        ("masks", "masks"),
        ("masks_of", "nuclei"),
        ("masks_hold", "pieces"),
        ("nuclei_weights", "w.pt"),
        ("cell_weights", "w.pt"),
        ("per", "cell"),
    ],
)
def test_options_that_need_a_model_are_refused(tmp_path: Path, option: str, value: object):
    options = PredictOptions(images=tmp_path, output=tmp_path / "o.csv", **{option: value})
    said = f"--{option.replace('_', '-')}: the shipped network has no use for it"
    with pytest.raises(PipelineError, match=said):
        check_options(options)


def test_single_cells_need_a_model_in_every_format(tmp_path: Path):
    options = PredictOptions(images=tmp_path, output=tmp_path / "o.csv", format="kaggle2021")
    with pytest.raises(PipelineError, match="kaggle2021: the shipped network knows no single cells"):
        check_options(options)


def test_options_of_every_prediction_are_taken(tmp_path: Path):
    check_options(PredictOptions(images=tmp_path, output=tmp_path / "o.csv", device="cpu", jobs=1))


@pytest.mark.parametrize("kind", ["csv", "kaggle"])
def test_pictures_that_all_lack_the_nucleus_are_skipped_with_the_reason(
    tmp_path: Path, write_sample, kind: str
):
    write_sample(tmp_path / "images", "a", size=(64, 64))
    (tmp_path / "images" / "a_blue.png").unlink()
    table = predicted(tmp_path / "images", channels={"protein": "green", "er": "yellow"}, format=kind)
    assert table.index.tolist() == ["a"]
    if kind == "csv":
        assert table.loc["a", "status"] == "skipped"
        assert "lacks the protein or the nucleus" in table.loc["a", "reason"]
    else:
        assert table["Predicted"].isna().all()


def test_a_card_that_does_not_say_how_to_name_locations_is_told(tmp_path: Path, monkeypatch):
    card, _ = shipped_card()
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "net.safetensors")
    write_card(tmp_path / "net.safetensors", card.model_copy(update={"deciding": None}))
    with pytest.raises(PipelineError, match=r"net\.json: does not say how to name locations; give a --model"):
        shipped_card()


def test_needs_pictures(tmp_path: Path):
    with pytest.raises(PipelineError, match="--images is missing"):
        check_options(PredictOptions(output=tmp_path / "o.csv"))
