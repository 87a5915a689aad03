"""Answers of the two-location model and of the binary models, beside the stack's."""

import numpy as np
import pandas as pd
import pytest

from models.bundle import load_model
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.stages.options import PredictOptions, TrainOptions
from pipeline.stages.predict import Predict
from pipeline.stages.shipped_model import PredictShipped
from pipeline.stages.train import Train
from tests.pipeline.workfolder import make_workfolder

NAMES = ["Nucleoplasm", "Nucleoli", "Cytosol"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Train on a table of embeddings, which needs no pictures."""
    root = tmp_path_factory.mktemp("heads")
    make_workfolder(root).features.rename(root / "net.parquet")
    labels = pd.read_csv(root / "labels.csv", dtype=str)
    others = {"0": "2", "2": "0"}  # what shows nothing else shows nucleoli
    labels["Target"] = [" ".join(others.get(one, one) for one in text.split()) for text in labels["Target"]]
    labels.to_csv(root / "labels.csv", index=False)
    train(root, "labels.csv", risk=0.2)
    return root


def train(root, labels, **more):
    asked = {"work": root / "work", "labels": root / labels, "embeddings": (root / "net.parquet",), "jobs": 1}
    asked |= {"folds": 3, "trials": 0, "boosters": ("linear",)}
    execute(Train(), TrainOptions(**asked, **more), SilentProgress())


def predict(root, **more):
    asked = {"model": root / "work" / "model", "output": root / "out.csv", "jobs": 1}
    asked |= {"embeddings": (root / "net.parquet",)}
    done = execute(Predict(), PredictOptions(**asked | more), SilentProgress())
    return done, pd.read_csv(root / "out.csv", keep_default_na=False, index_col="Id")


def test_binary_models_answer_each_by_its_own_threshold(folder):
    done, table = predict(folder, head="binary")
    model = load_model(folder / "work" / "model").stack
    numbers = pd.read_parquet(folder / "net.parquet").set_index("Id")
    numbers.columns = model.columns
    for name in NAMES:
        alone = model.predict(numbers, name)
        np.testing.assert_allclose(table[name].astype(float), alone.probability[name], atol=1e-6)
        assert [name in some.split("; ") for some in table["locations"]] == alone.chosen[name].tolist()
    assert set(done.statuses) <= {"answered", "not_sure", "unlike_training"}
    stack = predict(folder)[1]
    assert not np.allclose(stack["Nucleoli"].astype(float), table["Nucleoli"].astype(float), atol=1e-3)
    assert predict(folder)[0].fresh is False
    assert predict(folder, head="binary")[0].fresh


def test_the_two_location_model_tells_these_two_only_and_neither_is_an_answer(folder):
    numbers = pd.read_parquet(folder / "net.parquet").set_index("Id")
    done, table = predict(folder, head="two-locations")
    assert list(table.columns) == ["locations", "cells", "status", "reason", "Nucleoplasm", "Cytosol"]
    model = load_model(folder / "work" / "model").stack
    both = model.predict(numbers.set_axis(model.columns, axis=1), "top two")
    np.testing.assert_allclose(table[["Nucleoplasm", "Cytosol"]].astype(float), both.probability, atol=1e-6)
    neither = table[table["locations"].eq("")]
    assert len(neither) == (~both.chosen.any(axis=1)).sum() > 0
    assert neither["reason"].str.contains("neither Nucleoplasm nor Cytosol reaches its threshold").all()
    assert "not_sure" not in done.statuses
    assert "answered" in set(neither["status"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"head": "binary", "risk": 0.2}, "--head binary: --risk 0.2 needs the stack; leave one"),
        ({"head": "binary", "format": "kaggle2021"}, "--format kaggle2021 needs the stack"),
        ({"head": "two-locations", "format": "kaggle"}, "--format kaggle needs the stack"),
    ],
)
def test_what_only_the_stack_can_do_is_refused(folder, more, message):
    with pytest.raises(PipelineError, match=message):
        predict(folder, **more, output=folder / "refused.csv")


def test_a_model_without_both_locations_has_no_two_location_model(folder):
    labels = pd.read_csv(folder / "labels.csv", dtype=str)
    labels["Target"] = labels["Target"].str.replace("25", "2").str.replace("2 2", "2")
    labels.to_csv(folder / "others.csv", index=False)
    train(folder, "others.csv", name="others")
    with pytest.raises(PipelineError, match="has no two-location model: was trained on Nucleoplasm"):
        predict(folder, model=folder / "work" / "models" / "others" / "model", head="two-locations")


def test_the_shipped_network_has_no_other_models(tmp_path):
    with pytest.raises(PipelineError, match="--head: the shipped network has no use for it"):
        PredictShipped().inputs(PredictOptions(output=tmp_path / "out.csv", head="binary"))
