"""Answers of groups of pictures: trained, scored, predicted."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from models.bundle import load_model
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.stages.answered_groups import group_table
from pipeline.stages.evaluate import Evaluate
from pipeline.stages.options import EvaluateOptions, PredictOptions, TrainOptions
from pipeline.stages.predict import Predict
from pipeline.stages.shipped_model import PredictShipped
from pipeline.stages.train import Train
from tests.pipeline.workfolder import make_workfolder

NAMES = ["Nucleoplasm", "Nucleoli", "Cytosol"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Train on a table of embeddings, which needs no pictures: two of every group."""
    root = tmp_path_factory.mktemp("groups")
    make_workfolder(root).features.rename(root / "net.parquet")
    pd.read_parquet(root / "work" / "samples.parquet")[["Id", "group"]].to_csv(
        root / "groups.csv", index=False
    )
    train(root, risk=0.2)
    return root


def train(root, **more):
    asked = {"work": root / "work", "labels": root / "labels.csv", "embeddings": (root / "net.parquet",)}
    asked |= {"folds": 3, "trials": 0, "boosters": ("linear",), "jobs": 1}
    execute(Train(), TrainOptions(**asked, **more), SilentProgress())


class Noted(SilentProgress):
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)


def predict(root, progress=None, **more):
    asked = {"model": root / "work" / "model", "output": root / "out.csv", "jobs": 1, "per": "group"}
    asked |= {"embeddings": (root / "net.parquet",), "groups": root / "groups.csv"}
    done = execute(Predict(), PredictOptions(**asked | more), progress or SilentProgress())
    return done, pd.read_csv(root / "out.csv", keep_default_na=False, index_col=0)


def test_a_groups_answer_is_the_mean_of_its_pictures_by_thresholds_of_groups(folder):
    progress = Noted()
    done, table = predict(folder, progress)
    assert done.fresh
    assert predict(folder)[0].fresh is False
    pictures = pd.read_csv(folder / "out_pictures.csv", index_col="Id")
    groups = pd.read_csv(folder / "groups.csv", index_col="Id")["group"]
    means = pictures[NAMES].groupby(groups).mean()
    assert table.index.name == "group"
    assert list(table.columns[:4]) == ["pictures", "locations", "status", "reason"]
    pd.testing.assert_frame_equal(table[NAMES].astype(float), means, check_names=False, atol=2e-6)
    limits = json.loads((folder / "work" / "model" / "card.json").read_bytes())["group_thresholds"]
    for group, row in table.iterrows():
        said = [name for name in NAMES if means.loc[group, name] >= limits[name]]
        assert row["locations"] == "; ".join(said)
        assert row["status"] in (("answered",) if said else ("not_sure",)) or "unlike" in row["reason"]
    assert (table["pictures"] == 2).all()
    assert "60 of 60 pictures found in groups.csv" in progress.said
    assert any("risk of the training is that of pictures" in one for one in progress.said)


def test_evaluate_scores_pictures_that_are_given_their_groups_answer(folder):
    scores = execute(Evaluate(), EvaluateOptions(work=folder / "work"), SilentProgress())
    found = scores.groups
    answers = pd.read_parquet(Workspace(folder / "work").groups_out_of_fold)
    pictures = pd.read_csv(folder / "work" / "out_of_fold.csv", keep_default_na=False)
    truth = np.array([[name in text.split("; ") for name in NAMES] for text in pictures["labels"]])
    own = np.array([[name in text.split("; ") for name in NAMES] for text in pictures["locations"]])
    wide = answers.pivot_table("chosen", "group", "location", "first", observed=True)[NAMES]
    given = wide.loc[pictures["group"]].to_numpy(bool)
    expected = f1_score(truth, given, average="macro")
    assert found.macro_f1.value == pytest.approx(expected)
    assert found.gain.value == pytest.approx(expected - f1_score(truth, own, average="macro"))
    assert found.macro_f1.low <= expected <= found.macro_f1.high
    assert (found.groups, found.of_several) == (30, 30)
    written = json.loads((folder / "work" / "metrics.json").read_bytes())["groups"]
    assert written["locations"] == pytest.approx(
        dict(zip(NAMES, f1_score(truth, given, average=None), strict=True))
    )


def test_pictures_without_a_group_are_groups_of_their_own(folder):
    pd.read_csv(folder / "groups.csv").head(5).to_csv(folder / "some.csv", index=False)
    _, table = predict(folder, groups=folder / "some.csv")
    assert table["pictures"].sort_values().to_list() == [1] * 56 + [2, 2]
    assert "picture p059" in table.index


def test_pictures_without_an_answer_do_not_count(folder):
    model = load_model(folder / "work" / "model")
    ids = pd.Index(list("abcdef"), name="Id")
    sure, other = [0.9, 0.1, 0.1], [0.1, 0.1, 0.1]
    probability = pd.DataFrame([sure, other, sure, sure, sure], ids[:5], NAMES)
    states = ["answered", "no_answer", "unlike_training", "unlike_training", "answered", "skipped"]
    groups = pd.Series(dict(zip(ids, ["x", "x", "y", "y", "z", "w"], strict=True)))
    table = group_table(model, probability, pd.Series(states, ids), groups)
    assert table["pictures"].to_dict() == {"w": 1, "x": 2, "y": 2, "z": 1}
    assert table["status"].to_list() == ["no_answer", "answered", "unlike_training", "answered"]
    assert table["locations"].to_list() == ["", *["Nucleoplasm"] * 3]
    assert table["reason"].to_list() == [
        "1 of 1 picture without an answer",
        "1 of 2 pictures without an answer",
        "2 of 2 pictures unlike the training pictures",
        "",
    ]
    assert table.loc["x", "Nucleoplasm"] == 0.9
    assert table.loc["w", NAMES].isna().all()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"groups": None}, "--per group: no picture has a group; give --groups"),
        ({"format": "kaggle"}, "--per group: --format kaggle is of pictures"),
        ({"risk": 0.1}, "--per group: --risk 0.1 is that of pictures"),
        ({"head": "binary"}, "--head binary: --per group needs the stack"),
    ],
)
def test_what_groups_cannot_have_is_refused(folder, more, message):
    with pytest.raises(PipelineError, match=message):
        predict(folder, **more)


def test_a_table_of_groups_of_other_pictures_is_refused(folder):
    pd.DataFrame({"Id": ["x"], "group": ["a"]}).to_csv(folder / "other.csv", index=False)
    with pytest.raises(PipelineError, match=r"other\.csv: none of its 1 id is among the 60 pictures"):
        predict(folder, groups=folder / "other.csv")


def test_a_model_of_an_older_version_is_refused(folder, monkeypatch):
    monkeypatch.setattr("pipeline.stages.answered_groups.THRESHOLDS", "not there")
    with pytest.raises(PipelineError, match="older version, which answers no groups; train again"):
        predict(folder, output=folder / "old.csv")


def test_a_model_of_single_pictures_says_so(tmp_path):
    make_workfolder(tmp_path).features.rename(tmp_path / "net.parquet")
    groups = pd.read_parquet(tmp_path / "work" / "samples.parquet")[["Id", "group"]]
    groups.to_csv(tmp_path / "groups.csv", index=False)
    groups.assign(group=groups["Id"]).to_csv(tmp_path / "single.csv", index=False)
    train(tmp_path, groups=tmp_path / "single.csv")
    progress = Noted()
    predict(tmp_path, progress)
    assert any("trained on groups of one picture" in one for one in progress.said)
    scores = execute(Evaluate(), EvaluateOptions(work=tmp_path / "work"), SilentProgress())
    assert scores.groups is None


def test_the_shipped_network_answers_no_groups(tmp_path):
    options = PredictOptions(images=tmp_path, output=tmp_path / "out.csv", per="group")
    with pytest.raises(PipelineError, match="--per: the shipped network has no use for it"):
        execute(PredictShipped(), options, SilentProgress())
