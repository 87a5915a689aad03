"""The main job on a tiny simulated set, by its commands, in the order in which a person types them."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline.data.locations import LOCATIONS

PICTURES = 48
LEARNT = ("nucleoplasm", "cytosol", "nucleoli")
FAMILIES = "colocalization,intensity,radial"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Hold what the commands of this module make, one after the other."""
    return tmp_path_factory.mktemp("job")


@pytest.fixture(scope="module", autouse=True)
def in_order(request):
    """Refuse to run a later step alone: each needs the files of the one before."""
    chosen = [item.name for item in request.session.items if item.module is request.module]
    if chosen[0] != "test_simulate_writes_the_competitions_layout":
        pytest.skip("the steps of this module run together")


def test_simulate_writes_the_competitions_layout(command_line, folder):
    options = ["--pictures", PICTURES, "--seed", 5, "--size", 192, "--locations", ",".join(LEARNT)]
    assert command_line("simulate", folder / "data", *options).status == 0
    assert len(list((folder / "data" / "images").glob("*_yellow.png"))) == PICTURES
    assert len(pd.read_csv(folder / "data" / "labels.csv")) == PICTURES


def test_extract_measures_every_picture(command_line, folder):
    ended = command_line(
        "extract",
        "--images", folder / "data" / "images",
        "--samples", folder / "data" / "samples.csv",
        "--work", folder / "work",
        "--families", FAMILIES,
        "--jobs", 1,
    )  # fmt: skip
    assert ended.status == 0
    assert f"{PICTURES} pictures" in ended.output
    assert len(pd.read_parquet(folder / "work" / "features.parquet")) == PICTURES


def test_train_names_what_it_trained_and_what_it_could_not(command_line, folder):
    labels = folder / "data" / "labels.csv"
    options = ["--trials", 0, "--folds", 3, "--jobs", 1]
    ended = command_line("train", "--labels", labels, "--work", folder / "work", *options)
    assert ended.status == 0
    assert "Nucleoplasm" in ended.output
    assert "Rods & rings" in ended.output.replace("\n", " ")
    again = command_line("train", "--labels", labels, "--work", folder / "work", *options)
    assert "Up to date" in again.output


def test_evaluate_names_its_protocol_and_beats_answering_always(command_line, folder):
    ended = command_line("evaluate", "--work", folder / "work")
    assert ended.status == 0
    assert f"3-fold cross-validation of {PICTURES} pictures" in ended.output
    scores = json.loads((folder / "work" / "metrics.json").read_text())
    macro = scores["totals"]["macro-F1 over 3 trained locations"]
    assert macro["low"] <= macro["value"] <= macro["high"]
    assert macro["value"] > scores["baseline_macro_f1"]["predicting every location, over 3 trained locations"]


def test_importances_add_up_and_are_drawn(command_line, folder):
    plot = folder / "plot.png"
    ended = command_line(
        "importances", "nucleoli", "--work", folder / "work", "--by", "family", "--plot", plot
    )
    assert ended.status == 0
    for family in FAMILIES.split(","):
        assert family in ended.output
    assert plot.read_bytes().startswith(b"\x89PNG")
    unknown = command_line("importances", "nucleolus", "--work", folder / "work")
    assert unknown.status == 2
    assert "unknown location 'nucleolus'; known: " in unknown.errors


@pytest.mark.parametrize("style", ["csv", "kaggle"])
def test_predict_answers_new_pictures(command_line, folder, style):
    new = folder / "new"
    command_line(
        "simulate", new, "--pictures", 3, "--seed", 6, "--size", 192, "--locations", ",".join(LEARNT)
    )
    output = folder / f"{style}.csv"
    ended = command_line(
        "predict",
        "--images", new / "images",
        "--samples", new / "samples.csv",
        "--model", folder / "work" / "model",
        "--output", output,
        "--format", style,
        "--work", folder / "new-work",
        "--jobs", 1,
    )  # fmt: skip
    assert ended.status == 0
    table = pd.read_csv(output)
    if style == "kaggle":
        assert list(table.columns) == ["Id", "Predicted"]
        assert all(0 <= int(word) < 28 for row in table["Predicted"] for word in str(row).split())
    else:
        assert set(table["locations"].dropna().str.split("; ").explode()) <= set(LOCATIONS)
        probability = table[[name for name in table if name in LOCATIONS]]
        assert probability.melt()["value"].dropna().between(0, 1).all()


def test_status_says_what_is_stale_and_why(command_line, folder):
    labels = folder / "data" / "labels.csv"
    ended = command_line("status", "--work", folder / "work")
    states = {
        line.split()[0]: line.split()[1]
        for line in ended.output.splitlines()[1:]
        if line.strip() and "Next:" not in line
    }
    assert states == dict.fromkeys(("extract", "train", "evaluate", "importances"), "done")
    labels.write_text(labels.read_text() + "\n")
    ended = command_line("status", "--work", folder / "work")
    assert "labels labels.csv changed" in " ".join(ended.output.split())


def test_a_model_of_other_features_is_refused(command_line, folder):
    card = folder / "work" / "model" / "card.json"
    assert card.is_file()
    ended = command_line(
        "predict",
        "--images",
        folder / "new" / "images",
        "--model",
        folder / "nothing",
        "--output",
        folder / "o.csv",
    )
    assert ended.status == 2
    assert ended.errors.count("\n") == 1
    assert "no model there" in ended.errors
