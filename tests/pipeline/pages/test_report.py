"""The page that `report` makes: what it says is what the tables say, and it opens alone."""

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import pytest

from models.bundle import load_model
from pipeline.core.errors import PipelineError
from pipeline.core.files import write_text
from pipeline.core.stage import Record, SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.data.masks import Segmentation, write_mask
from pipeline.pages import evidence, plots, verdicts
from pipeline.pages.history import command_of, history
from pipeline.pages.report import Report, ReportSummary
from pipeline.pages.templating import figure, render
from pipeline.pages.thumbnails import pictures_of
from pipeline.stages.comparisons import OutOfFold
from pipeline.stages.evaluate import read_predictions
from pipeline.stages.options import EmbedOptions, EvaluateOptions, SimulateOptions, TrainOptions
from pipeline.stages.report_options import ReportOptions
from pipeline.stages.train import Train
from tests.browsing import NARROW, WIDE, Browsing
from tests.pipeline.workfolder import make_workfolder

SECTIONS = ("trained", "scores", "fail", "curves", "confusion", "parts", "decides", "errors", "labels")
SECTIONS += ("answers", "quality", "repeat")
READABLE = (Path(__file__).parents[1] / "explorer" / "readable.js").read_text()


def made(work: Workspace, **asked: object) -> ReportSummary:
    return execute(Report(), ReportOptions(work=work.root, **asked), SilentProgress())


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Train on a table; put tiny pictures, one with cells, beside it as if they had been measured."""
    folder = tmp_path_factory.mktemp("report")
    work = make_workfolder(folder)
    images, rng = folder / "images", np.random.default_rng(0)
    images.mkdir()
    for one in pd.read_parquet(work.features)["Id"]:
        for colour in ("red", "green", "blue", "yellow"):
            plane = rng.integers(0, 255, (24, 24)).astype(np.uint8)
            (images / f"{one}_{colour}.png").write_bytes(imagecodecs.png_encode(plane))
    cells = np.zeros((24, 24), np.uint16)
    cells[4:20, 4:20] = 1
    work.masks.mkdir()
    write_mask(work.mask("p000"), Segmentation(cells=cells, nuclei=np.where(cells, 0, cells)))
    options = {"images": str(images), "work": str(work.root)}
    write_text(work.record("extract"), Record(stage="extract", options=options, inputs={}).model_dump_json())
    asked = {"labels": folder / "labels.csv", "trials": 0, "folds": 3, "jobs": 1}
    execute(Train(), TrainOptions(work=work.root, **asked), SilentProgress())
    made(work)
    return work


@pytest.fixture(scope="module")
def page(work: Workspace) -> str:
    return work.report.read_text()


@pytest.fixture(scope="module")
def predicted(work: Workspace) -> OutOfFold:
    return read_predictions(work)["stack"]


def test_it_has_every_section_and_asks_for_nothing(page: str) -> None:
    assert [name for name in SECTIONS if f'<h2 id="{name}">' not in page] == []
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page) == []
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert len(page) < 15e6


def test_made_again_it_is_the_same_to_the_last_byte(
    work: Workspace, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not made(work).fresh
    work.report.unlink()
    monkeypatch.chdir(work.root)
    assert made(Workspace(Path())).fresh, "from another folder, too"
    assert work.report.read_text() == page


def test_ids_of_the_page_are_unique_and_links_lead_somewhere(page: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_its_scores_are_those_of_evaluate(work: Workspace, page: str) -> None:
    scores = json.loads(work.metrics.read_bytes())
    for name, row in scores["locations"].items():
        assert re.search(rf">{re.escape(name)}</a></th><td class=\"n\">{row['f1']:.3f}</td>", page)
    assert scores["ablation"], "what each part adds is measured for the page"
    assert html.escape(scores["ablation"][-1]["name"]) in page


def test_pictures_are_drawn_once_and_described(page: str) -> None:
    drawn = re.findall(r'<symbol id="pic-(\w+)"', page)
    assert len(drawn) == len(set(drawn)) > 10
    assert page.count("data:image/webp") == len(drawn)
    for shown in re.findall(r'<svg class="thumb"[^>]*>', page):
        assert re.search(r'role="img" aria-label="Picture p\d+', shown)


def test_answers_are_those_out_of_fold_with_the_worst_errors_first(predicted: OutOfFold) -> None:
    found = verdicts.verdicts(predicted)
    assert [one.badness for one in found] == sorted((one.badness for one in found), reverse=True)
    for one in found:
        assert set(one.named) == set(predicted.chosen.columns[predicted.chosen.loc[one.id]])
        assert set(one.wrong) == set(one.named) - set(one.labels)
        assert set(one.missed) == set(one.labels) - set(one.named)
        assert (one.badness > 0) == bool(one.wrong or one.missed)


def test_confusion_has_recall_on_the_diagonal_and_wrong_names_beside_it() -> None:
    truth = pd.DataFrame({"A": [1, 1, 0, 0], "B": [0, 1, 1, 0]}, list("wxyz")).astype(bool)
    chosen = pd.DataFrame({"A": [1, 0, 1, 0], "B": [1, 1, 0, 0]}, list("wxyz")).astype(bool)
    groups = pd.Series(list("wxyz"), truth.index)
    predicted = OutOfFold(truth, chosen * 0.9, chosen, groups, pd.Series(0, truth.index))
    table = verdicts.confusion(predicted)
    assert table.to_numpy().tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert verdicts.together(predicted).to_numpy().tolist() == [[2, 1], [1, 2]]
    scores = {name: {"f1": 0.5, "average_precision": 0.9, "precision": 0.4, "recall": 0.8} for name in "AB"}
    said = " ".join(verdicts.reasons_to_fail(predicted, scores)["A"])
    assert "Few examples: 2 pictures in 2 groups." in said
    assert "Missed in 1 of 2 pictures." in said
    assert "Named wrongly 1 time, labelled B 1×." in said
    assert "threshold" not in said  # none is better


@pytest.mark.parametrize(("order", "is_ranked"), [(1, True), (-1, False)])
def test_a_threshold_is_blamed_where_another_would_help(order: int, is_ranked: bool) -> None:
    ids = [f"p{number}" for number in range(40)]
    truth = pd.DataFrame({"A": [number < 10 for number in range(40)]}, ids)
    probability = pd.DataFrame({"A": np.linspace(0.4, 0.1, 40)[::order]}, ids)
    groups, fold = pd.Series(ids, ids), pd.Series(0, ids)
    predicted = OutOfFold(truth, probability, probability > 0.5, groups, fold)
    scores = {"A": {"f1": 0.0, "average_precision": 0.9 if is_ranked else 0.22, "precision": 0, "recall": 0}}
    said = " ".join(verdicts.reasons_to_fail(predicted, scores)["A"])
    assert ("its threshold lies too high: the best one would give F1 1.00" in said) == is_ranked
    assert ("The features do not tell it apart" in said) != is_ranked


def test_a_label_that_everything_contradicts_is_to_be_checked(predicted: OutOfFold) -> None:
    truth = predicted.truth.copy()
    sure = predicted.probability["Nucleoli"].sort_values().index
    truth.loc[sure[0], "Nucleoli"] = True
    truth.loc[sure[-1], "Nucleoli"] = False
    found = verdicts.suspects(replace(predicted, truth=truth))
    both = {(one.id, one.labelled) for one in found if one.location == "Nucleoli"}
    assert {(sure[0], True), (sure[-1], False)} <= both


def test_parts_of_a_reason_and_where_it_starts_sum_to_its_log_odds(work: Workspace) -> None:
    model = load_model(work.model)
    table = pd.read_parquet(work.features).set_index("Id")[model.columns]
    told: list[int] = []
    found = evidence.reasons(
        work.model, model, table, {"p007": ["Nucleoli"], "p003": ["Cytosol"]}, told.append
    )
    for one, location in (("p007", "Nucleoli"), ("p003", "Cytosol")):
        reason = found[one][location]
        parts = sum(part.contribution for part in reason.parts)
        assert parts + reason.rest + reason.bias == pytest.approx(reason.log_odds)
        probability = model.predict(table.loc[[one]]).probability[location].iloc[0]
        assert reason.probability == pytest.approx(probability)
    assert sum(told) == 2


def test_both_ends_of_a_feature_are_of_different_groups(work: Workspace, predicted: OutOfFold) -> None:
    table = pd.read_parquet(work.features).set_index("Id")
    column = table.columns[0]
    cause = evidence.Cause(name="x", share=1, column=column, words="x", direction=0.9)
    unknown = evidence.Cause(name="x", share=1, column=column, words="x", direction=None)
    found = evidence.ends(table, [unknown, cause], predicted.groups)
    assert found is not None
    assert found.least[0][1] == pytest.approx(table[column].min())
    assert found.most[0][1] == pytest.approx(table[column].max())
    assert len({predicted.groups[one] for one, _ in found.least}) == len(found.least)
    assert evidence.ends(table, [unknown], predicted.groups) is None


def test_experts_stand_beside_the_model(work: Workspace, tmp_path: Path) -> None:
    answers = tmp_path / "experts.csv"
    answers.write_text("Id,Annotator,Target\np000,Ann,0\np001,Ann,25\np000,Bo,0\np001,Bo,2\n")
    made(work, answers=answers, output=tmp_path / "with.html")
    page = (tmp_path / "with.html").read_text()
    assert '<th scope="row">Ann</th>' in page
    assert "On the same 2 pictures" in page


def test_without_its_pictures_the_page_says_so(work: Workspace, tmp_path: Path) -> None:
    images = work.root.parent / "images"
    images.rename(tmp_path / "elsewhere")
    try:
        done = made(work, output=tmp_path / "bare.html")
    finally:
        (tmp_path / "elsewhere").rename(images)
    assert done.pictures == 0
    assert "images: no such folder" in done.without
    assert f"No pictures are shown: {done.without}" in (tmp_path / "bare.html").read_text()


def test_pictures_that_a_network_alone_has_seen_are_found(work: Workspace, tmp_path: Path) -> None:
    fast = Workspace(tmp_path / "work")
    images = work.root.parent / "images"
    options = EmbedOptions(images=images, work=fast.root, network="builtin").model_dump(mode="json")
    record = Record(stage="embed", options=options, inputs={})
    with pytest.raises(PipelineError, match="neither extract nor embed has left a record"):
        pictures_of(fast)
    write_text(fast.record("embed-builtin"), record.model_dump_json())
    assert len(pictures_of(fast)) == 60


def test_without_a_training_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no trained model there; run train with --work"):
        made(Workspace(tmp_path))


def test_commands_are_repeated_from_the_records(work: Workspace) -> None:
    commands = [step.command for step in history(work)]
    assert commands[1].startswith("python run.py train --labels ")
    assert commands[1].endswith(f"--work {work.root} --folds 3 --trials 0")
    options = SimulateOptions(out=Path("a b"), pictures=7)
    assert command_of("simulate", options) == "python run.py simulate 'a b' --pictures 7"
    again = EvaluateOptions(work=Path("w"), ablation=True)
    assert command_of("evaluate", again) == "python run.py evaluate --work w --ablation"


def test_what_users_wrote_is_escaped(page: str) -> None:
    assert figure(float("nan")) == "–"
    words = plots.svg(
        plots.scores_figure({"<b>": dict.fromkeys(("f1", "low", "high", "support"), 0.5)}), '"x"'
    )
    assert "<b>" not in words
    assert 'aria-label="&#34;x&#34;"' in words
    assert "&lt;" not in page.split("<main")[0]
    assert "{{" not in page
    assert render("base.html")


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_it_is_readable_in_a_browser(work: Workspace, browser: Browsing, size: tuple[int, int]) -> None:
    opened = browser.open(f"file://{work.report}", size)
    opened.fill("#find", "p007")
    listed = "[...document.querySelectorAll('#all > details')].filter(one => !one.hidden).map(one => one.id)"
    assert opened.evaluate(listed) == ["picture-p007"]
    opened.evaluate("location.hash = '#picture-p003'")
    opened.wait_for_function("document.getElementById('picture-p003').open")
    opened.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert opened.evaluate(READABLE) == []
