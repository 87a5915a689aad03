"""Answers per cell: tables of predict, colours, reasons, and the same in memory."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile

from features import parse
from models.bags import cell_columns
from models.base_learners.cell_network import CellNetwork
from models.cell_answers import cell_network
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.data import cell_tables
from pipeline.data.dataset import read_dataset
from pipeline.data.locations import open_list
from pipeline.data.masks import read_mask
from pipeline.data.pictures import read_picture
from pipeline.data.samples import find_samples
from pipeline.pages.evidence import cells_of
from pipeline.pages.report import Report
from pipeline.serving import Predictor
from pipeline.stages.answered_cells import _strings, answer_cells, shown_of
from pipeline.stages.cell_scores import _same
from pipeline.stages.evaluate import Evaluate, read_predictions
from pipeline.stages.explain import explain
from pipeline.stages.explain_options import ExplainOptions
from pipeline.stages.options import EvaluateOptions, OverlayOptions, PredictOptions, TrainOptions
from pipeline.stages.overlay import overlay
from pipeline.stages.predict import Predict
from pipeline.stages.report_options import ReportOptions
from pipeline.stages.train import Train
from pipeline.stages.trained_models import open_model
from tests.pipeline.workfolder import extract, simulate

NAMES = ["Nucleoplasm", "Cytosol"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train with --cells on small simulated pictures, and answer them per cell."""
    root = tmp_path_factory.mktemp("cells")
    simulate(root / "data", 24, 3, size=128, locations=NAMES, variation=0.5)
    extract(root / "data", root / "work", families=("granules", "intensity"))
    settings = {"work": root / "work", "labels": root / "data" / "labels.csv", "folds": 3, "trials": 0}
    execute(Train(), TrainOptions(**settings, boosters=("lightgbm",), cells=True, jobs=1), SilentProgress())
    predict(root)
    return root


def predict(root, **changes):
    asked = {"images": root / "data" / "images", "samples": root / "data" / "samples.csv", "jobs": 1}
    asked |= {"model": root / "work" / "model", "output": root / "out.csv", "per": "cell"} | changes
    return execute(Predict(), PredictOptions(**asked), SilentProgress())


def test_every_cell_has_a_row_and_agrees_with_its_picture(trained):
    cells = pd.read_csv(trained / "out.csv", keep_default_na=False)
    pictures = pd.read_csv(trained / "out_pictures.csv", keep_default_na=False).set_index("Id")
    assert list(cells.columns) == ["Id", "label", "locations", "probabilities", "status", *NAMES]
    assert (
        cells.groupby("Id").size().to_dict()
        == pictures["cells"][pictures["cells"] != ""].astype(int).to_dict()
    )
    for one, own in cells.groupby("Id"):
        shown = {name for text in own["locations"] for name in text.split("; ") if name}
        assert shown == {name for name in pictures.loc[one, "locations"].split("; ") if name}
        for name in NAMES:
            assert 0 <= own[name].min() <= own[name].max() <= float(pictures.loc[one, name]) + 1e-5


def test_granules_are_seen_alone(trained):
    """By trees of pictures, and by networks of cells; other networks of cells see all but them."""
    model = open_model(trained / "work" / "model")
    kinds = [kind for _, kind in model.stack.sources]
    assert kinds == ["lightgbm", "granules", "cytoplasm_granules", "cells", "cells_granules"]
    columns = model.stack.blocks["features"]
    trees = {columns[k] for one in model.stack.learners if one.source == 1 for k in one.selected}
    assert trees
    assert {parse(name).family for name in trees} == {"granules"}
    own = {columns[k] for one in model.stack.learners if one.source == 2 for k in one.selected}
    assert {(parse(name).family, parse(name).region) for name in own} == {("granules", "cytoplasm")}
    of_cells = cell_columns(model.stack.blocks["cells"])
    seen = [
        {parse(of_cells[k]).family for k in network.seen}
        for fitted in model.stack.learners
        if isinstance(network := fitted.learner, CellNetwork)
    ]
    assert seen == [{"intensity"}, {"granules"}]
    assert {parse(name).region for name in of_cells if parse(name).family == "granules"} == {"cytoplasm"}
    files = {path.name for path in (trained / "work" / "model" / "learners").iterdir()}
    assert {"00_block0_lightgbm.txt", "00_block0_granules.txt", "all_block1_cells.safetensors"} < files
    assert "all_block1_cells_granules.safetensors" in files  # each in its library's own format


def test_cells_without_nuclei_show_granules_of_whole_cells(trained, monkeypatch):
    work = Workspace(trained / "work")
    cells = pd.read_parquet(work.cells).set_index("Id")
    cells.loc[:, cells.columns.str.startswith("cytoplasm__")] = np.nan
    some = cells[[name for name in cells if name.count("__") > 1]]
    monkeypatch.setattr(cell_tables, "_some_cells", lambda _: some)
    monkeypatch.setattr(cell_tables, "read_cells", lambda _, columns, __: cells[["label", *columns]])
    bags = cell_tables.training_bags(work, cells.index.unique(), None)
    kept = [parse(name) for name in cell_columns(list(bags))]
    assert {one.region for one in kept if one.family == "granules"} == {"cell", "nucleus"}


def test_pictures_without_cytoplasm_have_no_learners_of_it(trained):
    options = TrainOptions(work=trained / "work", labels=trained / "data" / "labels.csv", folds=3)
    data = read_dataset(options, lambda _: None)
    table = data.blocks["features"]
    assert data.alone["cytoplasm_granules"]
    empty = dict.fromkeys(table.columns[table.columns.str.startswith("cytoplasm__")], np.nan)
    bare = replace(data, blocks={**data.blocks, "features": table.assign(**empty)}).alone
    assert bare["granules"]
    assert bare["cytoplasm_granules"] == ()


def test_shares_count_cells(trained):
    cells = pd.read_csv(trained / "out.csv", keep_default_na=False)
    shares = pd.read_csv(trained / "out_shares.csv").set_index("Id")
    for name in NAMES:
        share = cells["locations"].str.contains(name).groupby(cells["Id"]).mean()
        np.testing.assert_allclose(shares[name], share.loc[shares.index], atol=1e-4)


def test_masks_of_the_competition_are_those_of_the_cells(trained):
    coco = pytest.importorskip("pycocotools.mask")
    import base64
    import zlib

    predict(trained, format="kaggle2021", output=trained / "kaggle.csv", work=trained / "out.csv.work")
    table = pd.read_csv(trained / "kaggle.csv", keep_default_na=False)
    assert list(table.columns) == ["ID", "ImageWidth", "ImageHeight", "PredictionString"]
    row = table[table["PredictionString"] != ""].iloc[0]
    number, probability, code = row["PredictionString"].split(" ")[:3]
    assert int(number) in {0, 16, 18}
    assert 0 <= float(probability) <= 1
    size = [int(row["ImageHeight"]), int(row["ImageWidth"])]
    mask = coco.decode({"size": size, "counts": zlib.decompress(base64.b64decode(code))})
    labels = read_mask(Workspace(trained / "out.csv.work").mask(row["ID"])).cells
    assert any(np.array_equal(mask, labels == label) for label in np.unique(labels)[1:])


def test_the_predictor_says_the_same(trained):
    cells = pd.read_csv(trained / "out.csv", keep_default_na=False)
    predictor = Predictor.load(trained / "work" / "model", warm=False)
    samples, _ = find_samples(trained / "data" / "images", trained / "data" / "samples.csv")
    answer = predictor.answer(read_picture(samples[0]), samples[0].id, per_cell=True)
    assert len(answer.per_cell) == answer.cells
    named = set(answer.chosen)
    assert {name for cell in answer.per_cell for name in cell.locations} == named
    if answer.locations:
        assert answer.explain("Cytosol").cells[0].share <= 1
    assert set(cells["Id"]) <= {one.id for one in samples}


def test_a_reason_names_the_cells_that_speak_for_it(trained):
    cells = pd.read_csv(trained / "work" / "../out.csv", keep_default_na=False)
    made = explain(ExplainOptions(work=trained / "work", id=cells["Id"].iloc[0], location="Cytosol"))
    number = (cells["Id"] == made.id).sum()
    assert len(made.cells) == min(5, number)
    assert sum(cell.share for cell in made.cells) <= 1 + 1e-6
    labels = read_mask(Workspace(trained / "work").mask(made.id)).cells
    rows, columns = np.nonzero(labels == made.cells[0].label)
    assert (made.cells[0].x, made.cells[0].y) == (round(columns.mean(), 1), round(rows.mean(), 1))
    total = made.bias + sum(part.contribution for part in made.parts)
    assert total == pytest.approx(made.log_odds)
    assert any(part.title == "Single cells, by their own networks" for part in made.parts)


def test_cells_are_coloured_by_what_they_show(trained):
    asked = {"images": trained / "data" / "images", "samples": trained / "data" / "samples.csv"}
    given = {"work": trained / "out.csv.work", "by": "location", "answers": trained / "out.csv"}
    one = pd.read_csv(trained / "out.csv")["Id"].iloc[0]
    (path,) = overlay(OverlayOptions(**asked, **given, ids=(one,)), SilentProgress())
    assert path.is_file()
    with pytest.raises(PipelineError, match="give both"):
        overlay(OverlayOptions(**asked, work=given["work"], by="location"), SilentProgress())


def test_the_report_shows_which_cells_of_an_error_show_what(trained):
    work = Workspace(trained / "work")
    stack = read_predictions(work)["stack"]
    cells = cells_of(work, stack, stack.truth.index)
    for one, table in cells.items():
        shown = {name for text in table["locations"] for name in text.split("; ") if name}
        assert shown == set(stack.chosen.columns[stack.chosen.loc[one]])
    labels = read_mask(work.mask(one)).cells
    assert set(table["label"]) == set(np.unique(labels)) - {0}
    page = trained / "report.html"
    execute(Report(), ReportOptions(work=work.root, output=page, errors=3, pictures=3), SilentProgress())
    errors = (stack.chosen != stack.truth).any(axis=1).sum()
    assert page.read_text().count("Which cells show what?") == min(3, errors) > 0
    assert cells_of(Workspace(trained / "data"), stack, stack.truth.index) == {}


def test_a_model_that_knows_no_cells_says_so(trained):
    settings = {"work": trained / "work", "labels": trained / "data" / "labels.csv", "folds": 3, "trials": 0}
    execute(Train(), TrainOptions(**settings, boosters=("linear",), name="plain", jobs=1), SilentProgress())
    plain = trained / "work" / "models" / "plain" / "model"
    with pytest.raises(PipelineError, match="trained without --cells"):
        predict(trained, model=plain, output=trained / "plain.csv")
    with pytest.raises(PipelineError, match="trained without --cells"):
        Predictor.load(plain, warm=False).predict(
            np.random.default_rng(0).integers(0, 255, (4, 64, 64), dtype=np.uint8), per_cell=True
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fast": True}, "--fast"),
    ],
)
def test_what_single_cells_cannot_be_trained_with_is_refused(trained, change, message):
    settings = {"work": trained / "work", "labels": trained / "data" / "labels.csv", "folds": 3, "trials": 0}
    with pytest.raises(PipelineError, match=message):
        execute(Train(), TrainOptions(**settings, cells=True, name="no", **change), SilentProgress())


def test_the_simulator_says_what_every_cell_shows(trained):
    truth = pd.read_csv(trained / "data" / "cells.csv", dtype=str, keep_default_na=False)
    labels = pd.read_csv(trained / "data" / "labels.csv", dtype=str).set_index("Id")["Target"]
    empty = 0
    for one, own in truth.groupby("Id"):
        here = {word for text in own["Target"] for word in text.split()}
        assert here <= set(labels[one].split())
        empty += (own["Target"] == "").sum()
    assert 0 < empty < len(truth) / 2


def test_answers_of_cells_are_scored_beside_the_pictures(trained):
    asked = {"work": trained / "work", "draws": 100, "per": "cell"}
    cells = execute(
        Evaluate(), EvaluateOptions(**asked, truth=trained / "data" / "cells.csv"), SilentProgress()
    ).cells
    truth = pd.read_csv(trained / "data" / "cells.csv")
    assert cells.cells == len(truth)
    assert 0.5 * cells.cells < cells.found <= cells.cells
    assert set(cells.locations) == set(NAMES)
    assert cells.gain.low <= cells.gain.value <= cells.gain.high
    assert 0 < cells.average_precision <= 1
    with pytest.raises(PipelineError, match="needs --truth"):
        execute(Evaluate(), EvaluateOptions(**asked), SilentProgress())


def test_truth_that_is_the_answer_scores_one(trained):
    """Cells numbered as ours are matched by label; what the answers themselves say is right."""
    cells = pd.read_parquet(Workspace(trained / "work").cells_out_of_fold)
    everything = pd.DataFrame({"Id": cells["Id"], "label": cells["label"], "Target": "0 25"})
    (trained / "other").mkdir(exist_ok=True)
    everything.to_csv(trained / "other" / "all.csv", index=False)
    given = {"work": trained / "work", "draws": 100, "per": "cell", "truth": trained / "other" / "all.csv"}
    scores = execute(Evaluate(), EvaluateOptions(**given), SilentProgress()).cells
    assert (scores.cells, scores.found) == (len(cells), len(cells))
    assert scores.average_precision == pytest.approx(1)
    broken = everything.assign(Target="Nucleus")
    broken.to_csv(trained / "other" / "broken.csv", index=False)
    wrong = EvaluateOptions(**given | {"truth": trained / "other" / "broken.csv"})
    with pytest.raises(PipelineError, match=r"broken.csv: Id '.*', label '\d+'"):
        execute(Evaluate(), wrong, SilentProgress())


def scored(trained, truth, **more):
    """Score cells by rows of Id, label and Target, which lie where no true masks are."""
    (trained / "some").mkdir(exist_ok=True)
    truth.to_csv(trained / "some" / "cells.csv", index=False)
    given = {"work": trained / "work", "draws": 100, "per": "cell", "truth": trained / "some" / "cells.csv"}
    return execute(Evaluate(), EvaluateOptions(**given | more), SilentProgress()).cells


def test_a_cell_that_is_known_twice_otherwise_is_refused(trained):
    truth = pd.read_csv(trained / "data" / "cells.csv", dtype=str, keep_default_na=False)
    row = truth.iloc[[0]]
    assert scored(trained, pd.concat([truth, row])).cells == len(truth)
    other = row.assign(Target="" if row["Target"].iloc[0] else "0")
    with pytest.raises(PipelineError, match="is there twice with other locations"):
        scored(trained, pd.concat([truth, other]))
    with pytest.raises(PipelineError, match="none of its 24 ids is among"):
        scored(trained, truth.assign(Id=truth["Id"] + ".png"))


def test_true_masks_are_those_that_are_named_and_an_input(trained):
    truth = pd.read_csv(trained / "data" / "cells.csv", dtype=str, keep_default_na=False)
    with pytest.raises(PipelineError, match=r"--truth-masks .*nowhere: no such folder"):
        scored(trained, truth, truth_masks=trained / "nowhere")
    masks = trained / "masks"
    shutil.copytree(trained / "data" / "truth", masks, dirs_exist_ok=True)
    found = scored(trained, truth, truth_masks=masks).found
    for path in masks.glob("*.tif"):
        pages = tifffile.imread(path)
        tifffile.imwrite(path, np.roll(pages, 64, axis=-1))
    assert scored(trained, truth, truth_masks=masks).found < found / 2
    next(masks.glob("*.tif")).unlink()
    with pytest.raises(PipelineError, match="no such mask; give that of every picture"):
        scored(trained, truth, truth_masks=masks)


def test_a_refused_score_leaves_the_record_of_the_one_before(trained):
    options = EvaluateOptions(work=trained / "work", draws=100)
    execute(Evaluate(), options, SilentProgress())
    with pytest.raises(PipelineError, match="needs --truth"):
        execute(Evaluate(), EvaluateOptions(**options.model_dump() | {"per": "cell"}), SilentProgress())
    assert not execute(Evaluate(), options, SilentProgress()).fresh


def test_cells_that_were_measured_again_are_not_those_that_were_learned_from(trained):
    work = Workspace(trained / "again")
    shutil.copytree(trained / "work", work.root)
    truth = pd.read_csv(trained / "data" / "cells.csv", dtype=str, keep_default_na=False)
    assert scored(trained, truth, work=work.root).cells == len(truth)
    extract(trained / "data", work.root, families=("granules",), overwrite=True)
    with pytest.raises(PipelineError, match="was made again since"):
        scored(trained, truth, work=work.root)


def test_two_halves_of_a_cell_are_not_that_cell(trained):
    work = Workspace(trained / "halves")
    halves = np.zeros((8, 8), np.uint16)
    halves[2:6, 2:4], halves[2:6, 4:6] = 1, 2
    work.masks.mkdir(parents=True)
    tifffile.imwrite(work.mask("a"), np.stack([halves, halves]))
    (trained / "whole").mkdir()
    tifffile.imwrite(trained / "whole" / "a.tif", np.stack([halves > 0] * 2).astype(np.uint16))
    assert _same(work, "a", trained / "whole", np.array([1, 2]), [1]) == {}


def test_a_location_beyond_those_of_the_network_is_of_all_cells(trained):
    model = open_model(trained / "work" / "model")
    network, shown = cell_network(model.stack), shown_of(model)
    cells = np.zeros((3, len(cell_columns(model.stack.blocks["cells"]))), np.float32)
    answers = answer_cells(network, shown, cells, (np.array([0.2, 0.3, 0.9]), np.array([True, False, True])))
    assert answers.chosen[:, 2].all()
    assert (answers.probability[:, 2] == 0.9).all()
    np.testing.assert_allclose(answers.share.sum(axis=0), 1)


@pytest.mark.parametrize(
    ("locations", "cell", "said"),
    [
        ("", {"Cytosol": 0.3}, ["18 0.700000"]),
        ("", {"Negative": 0.45, "Cytosol": 0.03}, ["18 0.450000"]),
        ("Rods & rings", {"Rods & rings": 0.97, "Cytosol": 0.02}, []),
        ("Cytosol; Rods & rings", {"Rods & rings": 0.97, "Cytosol": 0.6}, ["16 0.600000"]),
    ],
)
def test_only_a_cell_without_any_location_is_negative(locations, cell, said):
    coding = pytest.importorskip("pycocotools.mask")
    classes = {"Cytosol": 16} | ({"Negative": 18} if "Negative" in cell else {})
    row = pd.DataFrame([{"label": 1, "locations": locations, **cell}])
    parts = _strings(row, np.ones((2, 2), int), classes, open_list("hpa2021"), coding)
    assert [part.rsplit(" ", 1)[0] for part in parts] == said
