"""Predicting with embeddings: every block that the model needs is made from the folder of pictures."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from models.bundle import Model
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.weights import card_path
from pipeline.core.workspace import Workspace
from pipeline.stages import predict as stage
from pipeline.stages.embed import Embed
from pipeline.stages.options import EmbedOptions, ExtractOptions, PredictOptions, TrainOptions
from pipeline.stages.predict import Predict, PredictSummary
from pipeline.stages.train import Train
from tests.pipeline.onnx_net import write_onnx
from tests.pipeline.workfolder import make_workfolder

PICTURES = 24


@pytest.fixture
def trained(tmp_path: Path, write_sample) -> Workspace:
    """Train on features and on the embedding of an ONNX network."""
    work = make_workfolder(tmp_path, PICTURES)
    for number in range(PICTURES):
        write_sample(tmp_path / "images", f"p{number:03}", size=(32, 32), seed=number)
    write_onnx(tmp_path / "net.onnx")
    source = {"images": tmp_path / "images", "onnx": tmp_path / "net.onnx", "trained_on": "none"}
    made = execute(Embed(), EmbedOptions(work=work.root, jobs=1, **source), SilentProgress())
    fit(work, work.embedding(made.name))
    return work


def fit(work: Workspace, table: Path) -> None:
    settings = {"trials": 0, "folds": 3, "jobs": 1, "embeddings": (table,)}
    labels = work.root.parent / "labels.csv"
    execute(Train(), TrainOptions(work=work.root, labels=labels, **settings), SilentProgress())


@pytest.fixture
def measured(trained: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let `extract` find the handcrafted features of the first four pictures; return their folder."""
    root = trained.root.parent
    folder = root / "new"
    folder.mkdir()
    for path in (root / "images").glob("p00[0-3]_*.png"):
        path.rename(folder / path.name)

    def extract(_stage: object, options: ExtractOptions, _progress: object) -> SimpleNamespace:
        options.work.mkdir(parents=True, exist_ok=True)
        features = pd.read_parquet(trained.features).head(4)
        features.to_parquet(Workspace(options.work).features, index=False)
        seen = pd.DataFrame({"Id": features["Id"], "cells": 3, "doubt": ""})
        seen.to_parquet(Workspace(options.work).samples, index=False)
        return SimpleNamespace(problems=[])

    def as_trained(options: PredictOptions, _card: object) -> ExtractOptions:
        families = ("intensity",)
        return ExtractOptions(
            images=options.images, work=options.work, segmenter="watershed", families=families
        )

    monkeypatch.setattr(stage, "execute", extract)
    monkeypatch.setattr(stage, "_extract_options", as_trained)
    return root


def predict(options: PredictOptions) -> PredictSummary:
    return execute(Predict(), options, SilentProgress())


def run(root: Path, name: str, **options: object) -> pd.DataFrame:
    output = root / f"{name}.csv"
    given = {"images": root / "new", "model": root / "work" / "model", "jobs": 1} | options
    predict(PredictOptions(output=output, work=root / name, **given))
    return pd.read_csv(output).set_index("Id")


def test_embeddings_are_computed_and_give_what_the_table_gives(measured: Path) -> None:
    computed = run(measured, "computed")
    table = measured / "work" / "embeddings" / "net.parquet"
    assert list(computed.index) == ["p000", "p001", "p002", "p003"]
    assert (measured / "computed" / "parts" / "embeddings").is_dir()
    pd.testing.assert_frame_equal(run(measured, "given", embeddings=(table,)), computed)
    assert not (measured / "given" / "parts" / "embeddings").exists()


def test_the_competition_gets_the_likeliest_location_where_none_is_chosen(
    measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = pd.Index([f"p00{number}" for number in range(4)], name="Id")
    places = ["Cytosol", "Nucleoli", "Nucleoplasm"]
    probability = pd.DataFrame([[0.1, 0.3, 0.2], [0.4, 0.3, 0.9]] * 2, ids, places)
    answers = SimpleNamespace(probability=probability, chosen=probability > 0.35)
    monkeypatch.setattr(Model, "predict", lambda _self, _table: answers)
    kaggle = run(measured, "kaggle", format="kaggle")["Predicted"]
    assert kaggle.astype(str).to_list() == ["2", "0 25", "2", "0 25"]
    plain = run(measured, "plain")["locations"]
    assert plain.isna().to_list() == [True, False, True, False]


def test_weights_that_moved_are_asked_for_and_found_by_name(measured: Path) -> None:
    expected = run(measured, "before")
    (measured / "net.onnx").rename(measured / "elsewhere.onnx")
    with pytest.raises(PipelineError, match=r"net.onnx: the weights of 'net' are not there; give --weights"):
        run(measured, "moved")
    found = run(measured, "found", weights={"net": measured / "elsewhere.onnx"})
    pd.testing.assert_frame_equal(found, expected)


def test_other_weights_than_in_training_are_refused(measured: Path) -> None:
    write_onnx(measured / "net.onnx", chances=(0.1, 0.2))
    with pytest.raises(PipelineError, match=r"sha256 .* is not the card's .*: damaged or changed"):
        run(measured, "changed")


def test_weights_for_an_embedding_that_the_model_lacks_are_refused(measured: Path) -> None:
    with pytest.raises(PipelineError, match=r"the model has no embedding 'vgg' to .*; it has: net"):
        run(measured, "vgg", weights={"vgg": measured / "net.onnx"})


def test_a_ready_table_has_to_be_given_again(trained: Workspace, measured: Path) -> None:
    table = trained.embeddings / "net.parquet"
    card_path(table).unlink()
    fit(trained, table)
    with pytest.raises(
        PipelineError, match=r"trained with --embeddings net, but given are none; .* as --embed"
    ):
        run(measured, "without")


def test_a_second_call_does_nothing_and_whatever_changes_makes_it_run(measured: Path) -> None:
    asked = {"images": measured / "new", "model": measured / "work" / "model", "jobs": 1}
    options = PredictOptions(output=measured / "o.csv", **asked)
    assert options.work == measured / "o.csv.work"
    first = predict(options)
    stamp = options.output.stat().st_mtime_ns
    again = predict(options)
    assert (first.fresh, again.fresh, again.rows) == (True, False, 4)
    assert options.output.stat().st_mtime_ns == stamp
    other = PredictOptions(output=measured / "other.csv", work=options.work, format="kaggle", **asked)
    assert predict(other).fresh
    assert not predict(options).fresh
    assert predict(PredictOptions(output=measured / "o.csv", format="kaggle", **asked)).fresh
    next((measured / "new").glob("p000_red.png")).touch()
    assert predict(options).fresh


def test_pictures_that_are_embedded_alone_are_looked_at_again(trained: Workspace, write_sample) -> None:
    root = trained.root.parent
    trained.features.unlink()
    fit(trained, trained.embedding("net"))
    options = PredictOptions(model=trained.model, output=root / "p.csv", images=root / "images", jobs=1)
    assert predict(options).fresh
    assert not predict(options).fresh
    write_sample(root / "images", "p000", size=(32, 32), seed=99)
    before = options.output.read_text()
    assert predict(options).fresh
    assert options.output.read_text() != before


def test_a_damaged_card_is_told_in_one_line(trained: Workspace) -> None:
    card = trained.model / "card.json"
    for content, message in (
        ("{", "card.json: .*train it again"),
        ("{}", "model: damaged, .*run train again"),
    ):
        card.write_text(content)
        options = PredictOptions(model=trained.model, output=trained.root / "p.csv")
        with pytest.raises(PipelineError, match=message):
            predict(options)
