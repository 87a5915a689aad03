"""Predicting with embeddings: every block that the model needs is made from the folder of pictures."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from pydantic import ValidationError

from models.bundle import Model, load_model
from pipeline.core.errors import PipelineError, Problem
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.weights import card_path
from pipeline.core.workspace import Workspace
from pipeline.networks.leak_guard import read_given
from pipeline.networks.preprocessing import Embedder
from pipeline.stages import predict as stage
from pipeline.stages.embed import Embed
from pipeline.stages.options import EmbedOptions, ExtractOptions, PredictOptions, TrainOptions
from pipeline.stages.predict import Predict, PredictSummary
from pipeline.stages.train import Train
from tests.pipeline.onnx_net import write_onnx
from tests.pipeline.workfolder import make_workfolder, write_embedding

PICTURES = 24


def test_pictures_that_are_answered_are_not_called_skipped(tmp_path, monkeypatch, command_line):
    noted = [Problem(f"p{number}", "net.csv", "no prediction", "add its row") for number in range(2)]
    lost = Problem("cut", "cut_red.png", "damaged", "export it again")
    done = PredictSummary(
        statuses={"answered": 2, "skipped": 1}, unanswered={"cut": lost.told}, problems=[lost, *noted]
    )
    monkeypatch.setattr("pipeline.commands.main_job.execute", lambda *_: done)
    said = command_line("predict", "--images", tmp_path, "--output", tmp_path / "o.csv").output
    assert "1 skipped, with reason" in said
    assert "2 lacking in part, with reason" in said
    assert json.loads(
        command_line("predict", "--images", tmp_path, "--output", tmp_path / "o.csv", "--json").output
    )["result"]["output"] == str(tmp_path / "o.csv")


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


def fit(work: Workspace, table: Path, **more: object) -> None:
    settings = {"trials": 0, "folds": 3, "jobs": 1, "embeddings": (table,)} | more
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
        return SimpleNamespace(problems=[], flagged={"p001": "saturated (er)"}, told="")

    def as_trained(options: PredictOptions, _card: object) -> ExtractOptions:
        families = ("intensity",)
        return ExtractOptions(
            images=options.images, work=options.work, segmenter="watershed", families=families
        )

    monkeypatch.setattr(stage, "execute", extract)
    monkeypatch.setattr(stage, "extract_options", as_trained)
    monkeypatch.setattr(stage, "read_as_trained", lambda options, _card: options)
    monkeypatch.setattr(stage, "told_unused", lambda _options, _card: [])
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
    plain = run(measured, "plain")
    assert plain["locations"].isna().to_list() == [True, False, True, False]
    assert plain["status"].to_list() == ["not_sure", "answered"] * 2
    assert plain["reason"].fillna("").to_list()[1] == "flagged: saturated (er)"


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
    (measured / "new" / "p000_red.png").touch()
    options = options.model_copy(update={"format": "kaggle"})
    assert not predict(options).fresh
    # of a new sample one file has arrived: what is left out has to be listed anew
    shutil.copy(measured / "new" / "p000_red.png", measured / "new" / "late_red.png")
    assert predict(options).fresh
    assert not predict(options).fresh


def test_what_is_no_table_of_predictions_is_not_written_over(measured: Path) -> None:
    asked = {"images": measured / "new", "model": measured / "work" / "model", "jobs": 1}
    labels, folder = measured / "labels.csv", measured / "folder"
    labels.write_text("Id,Target\np000,1\n")
    folder.mkdir()
    for path in (labels, folder, measured / "work" / "problems.csv"):
        with pytest.raises(PipelineError, match=f"{path.name}: is there, but no table of predictions"):
            predict(PredictOptions(output=path, work=measured / "w", **asked))
    assert labels.read_text() == "Id,Target\np000,1\n"
    for content in ("", "Id,locations\n", "Id,Predicted\n"):
        labels.write_text(content)
        assert predict(PredictOptions(output=labels, work=measured / f"w{len(content)}", **asked)).rows == 4


def test_pictures_that_are_embedded_alone_are_looked_at_again(trained: Workspace, write_sample) -> None:
    root = trained.root.parent
    trained.features.unlink()
    fit(trained, trained.embedding("net"), overwrite=True)
    options = PredictOptions(model=trained.model, output=root / "p.csv", images=root / "images", jobs=1)
    assert predict(options).fresh
    assert not predict(options).fresh
    write_sample(root / "images", "p000", size=(32, 32), seed=99)
    before = options.output.read_text()
    assert predict(options).fresh
    assert options.output.read_text() != before


@pytest.mark.parametrize("card", ["[1]", '{"extraction": {"segmenter": "../x"}}', '{"extraction": 1}'])
def test_a_card_of_something_else_is_told_in_one_line(tmp_path: Path, card: str) -> None:
    (tmp_path / "manifest.json").touch()
    (tmp_path / "card.json").write_text(card)
    options = PredictOptions(model=tmp_path, output=tmp_path / "p.csv", images=tmp_path)
    with pytest.raises(PipelineError, match=r"card.json: .*copy the model again, or train it again"):
        predict(options)


def test_an_embedder_is_not_named_by_a_path() -> None:
    preprocessing = {"side": 32, "mean": (0.0,) * 4, "std": (1.0,) * 4}
    given = {"network": "n", "weights": Path("w"), "sha256": "0", "preprocessing": preprocessing}
    with pytest.raises(ValidationError, match="should match pattern"):
        Embedder(name="../../outside", **given)


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


@pytest.fixture(scope="module")
def of_tables(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Train on a ready table of four named columns alone, of which `embed` left out a constant one."""
    work = make_workfolder(tmp_path_factory.mktemp("tables"), PICTURES)
    work.features.unlink()
    root = work.root.parent
    write_embedding(root / "net.csv", PICTURES)
    pd.read_csv(root / "net.csv").assign(same=1).to_csv(root / "net.csv", index=False)
    execute(Embed(), EmbedOptions(work=work.root, table=root / "net.csv"), SilentProgress())
    settings = {"trials": 0, "folds": 3, "jobs": 1, "boosters": ("linear",)}
    given = {"labels": root / "labels.csv", "embeddings": (work.embedding("net"),)}
    execute(Train(), TrainOptions(work=work.root, **given, **settings), SilentProgress())
    return work


def by_table(work: Workspace, folder: Path, table: pd.DataFrame, name: str = "net.csv") -> pd.DataFrame:
    folder.mkdir(exist_ok=True)
    table.to_csv(folder / name, index=False)
    options = PredictOptions(model=work.model, output=folder / "p.csv", embeddings=(folder / name,))
    execute(Predict(), options, SilentProgress())
    return pd.read_csv(folder / "p.csv").set_index("Id")


def test_columns_of_a_table_are_matched_by_name(of_tables: Workspace, tmp_path: Path) -> None:
    table = pd.read_csv(of_tables.root.parent / "net.csv")
    expected = by_table(of_tables, tmp_path / "same", table)
    assert expected.filter(like="Cytosol").nunique().item() > 1
    other = table[["d", "same", "b", "Id", "a", "c"]].rename(columns={"a": " A"}).iloc[::-1]
    pd.testing.assert_frame_equal(by_table(of_tables, tmp_path / "other", other), expected)
    without = by_table(of_tables, tmp_path / "without", table.drop(columns="same"))  # what no model needs
    pd.testing.assert_frame_equal(without, expected)
    twin = tmp_path / "twin"
    other.to_csv(tmp_path / "net.csv", index=False)
    execute(Embed(), EmbedOptions(work=twin, table=tmp_path / "net.csv"), SilentProgress())
    options = PredictOptions(
        model=of_tables.model, output=tmp_path / "p.csv", embeddings=(Workspace(twin).embedding("net"),)
    )
    execute(Predict(), options, SilentProgress())
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "p.csv").set_index("Id"), expected)


@pytest.mark.parametrize("name", ["p.xlsx", "p.XLS", "p.parquet", "p.json", "p.tsv"])
def test_an_output_whose_name_says_that_it_is_no_csv_is_refused_at_once(tmp_path, command_line, name) -> None:
    ended = command_line("predict", "--images", tmp_path, "--output", tmp_path / name)
    assert ended.status == 2
    assert f"{name}: is written as csv, which .{name.partition('.')[2]} is not; call it p.csv" in ended.errors
    for allowed in ("p.csv", "p.txt", "p", "p.of.2024"):
        assert PredictOptions(output=allowed).output == Path(allowed)


@pytest.mark.parametrize(
    ("change", "name", "message"),
    [
        ({"b": "bb"}, "net.csv", r"'b' is missing.*, 'bb' is unknown"),
        ({"b": "c"}, "net.csv", "two columns are called 'c'"),
        ({"a": "0", "b": "1", "c": "2", "d": "3"}, "net.csv", "'a' is missing"),
        (
            {},
            "other.csv",
            r"was trained with --embeddings net, but given are other; .* under the name its file",
        ),
        ({"Id": "Id", "same": "more"}, "net.csv", r"net\.csv: .*'more' is unknown"),
    ],
)
def test_other_columns_and_tables_than_in_training_are_refused(
    of_tables: Workspace, tmp_path: Path, change: dict[str, str], name: str, message: str
) -> None:
    table = pd.read_csv(of_tables.root.parent / "net.csv")
    with pytest.raises(PipelineError, match=message):
        by_table(of_tables, tmp_path / "new", table.rename(columns=change), name)


def test_a_table_whose_columns_an_older_model_cannot_know_is_refused(
    of_tables: Workspace, tmp_path: Path
) -> None:
    model = load_model(of_tables.model)
    old = Model(model.stack, model.card | {"embeddings": {"net": None}})
    table = of_tables.root.parent / "net.csv"
    with pytest.raises(PipelineError, match=r"kept no names of the columns of net\.csv.*train again"):
        read_given(of_tables.model, old, [table], [])
    numbered = pd.read_csv(table).rename(columns={"a": "0", "b": "1", "c": "2", "d": "3", "same": "4"})
    numbered.to_csv(tmp_path / "net.csv", index=False)
    read = read_given(of_tables.model, old, [tmp_path / "net.csv"], [])[tmp_path / "net.csv"]
    assert list(read.columns)[:4] == list(model.columns)


def test_tables_are_looked_at_before_anything_is_measured(
    trained: Workspace, measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(*_: object) -> None:
        pytest.fail("measured")

    monkeypatch.setattr(stage, "execute", measure)
    table = pd.read_parquet(trained.embedding("net"))
    (measured / "wrong").mkdir()
    table.assign(Id=table["Id"] + ".png").to_parquet(measured / "wrong" / "net.parquet")
    with pytest.raises(PipelineError, match=r"none of its 24 ids is among the 4 pictures: .* 'p000\.png'"):
        run(measured, "o", embeddings=(measured / "wrong" / "net.parquet",))


def test_a_picture_without_a_row_is_left_out_and_listed(trained: Workspace, measured: Path) -> None:
    table = pd.read_parquet(trained.embedding("net"))
    (measured / "some").mkdir()
    table[table["Id"] != "p002"].to_parquet(measured / "some" / "net.parquet")
    done = run(measured, "o", embeddings=(measured / "some" / "net.parquet",))
    assert done.loc["p002", "status"] == "skipped"
    assert "net.parquet: no embedding" in done.loc["p002", "reason"]
    assert done["status"].ne("skipped").sum() == 3
    assert "predict,p002,net.parquet,no embedding" in (measured / "o" / "problems.csv").read_text()


@pytest.mark.parametrize(
    "beginning",
    [
        "Id,locations,cells\n",
        "Id,Predicted\n",
        "Id,label,locations\n",
        "ID,ImageWidth,ImageHeight\n",
        "group,pictures\n",
    ],
)
def test_a_table_of_predictions_without_a_record_may_be_replaced(tmp_path: Path, beginning: str) -> None:
    options = PredictOptions(model=tmp_path, output=tmp_path / "out.csv")
    options.output.write_text(beginning)
    Predict().check_replaced(options, None, {})
    options.output.write_text(f"my {beginning}")
    with pytest.raises(PipelineError, match=r"out\.csv: is there, but no table of predictions"):
        Predict().check_replaced(options, None, {})
