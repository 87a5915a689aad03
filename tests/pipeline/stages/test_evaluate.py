"""The stages `evaluate` and `importances`, and their commands, on a small trained work folder."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from sklearn.metrics import f1_score
from typer.testing import CliRunner

from models.bundle import load_model
from models.risk import Realised
from pipeline.commands.evaluate import _risk
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.stages.column_meanings import in_words
from pipeline.stages.evaluate import Evaluate, Scores
from pipeline.stages.explain_options import ImportancesOptions
from pipeline.stages.figures import bars
from pipeline.stages.importances import (
    Cause,
    Importances,
    causes,
    grouped,
    of_location,
    read_directions,
    read_shares,
)
from pipeline.stages.options import EvaluateOptions, TrainOptions
from pipeline.stages.train import Train
from run import app
from tests.pipeline.workfolder import make_workfolder


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("evaluate")
    made = make_workfolder(folder)
    execute(
        Train(),
        TrainOptions(work=made.root, labels=folder / "labels.csv", trials=0, folds=3, jobs=1),
        SilentProgress(),
    )
    return made


def evaluate(options: EvaluateOptions) -> Scores:
    return execute(Evaluate(), options, SilentProgress())


def importances(options: ImportancesOptions) -> pd.DataFrame:
    execute(Importances(), options, SilentProgress())
    return read_shares(Workspace(options.work))


@pytest.mark.parametrize("name", ["truth", "truth_masks"])
def test_what_cells_show_is_refused_where_cells_are_not_scored(work: Workspace, name: str) -> None:
    with pytest.raises(PipelineError, match=f"^--{name.replace('_', '-')}: needs --per cell; give that too"):
        evaluate(EvaluateOptions(work=work.root, **{name: work.features}))


def test_scores_are_those_of_the_out_of_fold_answers(work: Workspace) -> None:
    scores = evaluate(EvaluateOptions(work=work.root, draws=200))
    table = pd.read_parquet(work.out_of_fold)
    for name in scores.table.index:
        stack = table[(table["model"] == "stack") & (table["location"] == name)]
        binary = table[table["model"] == name]
        assert scores.table.loc[name, "f1"] == pytest.approx(f1_score(stack["truth"], stack["chosen"]))
        assert scores.table.loc[name, "binary_f1"] == pytest.approx(
            f1_score(binary["truth"], binary["chosen"])
        )
    macro, of_occurring, of_all, _, *naming, of_groups = scores.totals.values()
    unsure = (~table[table["model"] == "stack"].groupby("Id")["chosen"].any()).sum()
    told = [name for name in scores.totals if f"one of {unsure} pictures that are not sure" in name]
    assert len(told) == len(naming) == bool(unsure)
    assert macro.value == pytest.approx(scores.table["f1"].mean())
    assert of_occurring.value == pytest.approx(scores.table["f1"].sum() / 4)  # Microtubule ends, too
    assert of_all.value == pytest.approx(scores.table["f1"].sum() / 28)
    assert macro.low < macro.value < macro.high
    assert of_groups == scores.groups.macro_f1
    assert list(scores.top_two.index) == ["Nucleoplasm", "Cytosol"]
    assert "3-fold cross-validation of 60 pictures, (B) in 30 groups" in scores.protocol


def test_a_second_run_does_nothing_and_says_the_same(work: Workspace) -> None:
    options = EvaluateOptions(work=work.root, draws=300)
    first = evaluate(options)
    stamp = work.metrics.stat().st_mtime_ns
    again = evaluate(options)
    assert (first.fresh, again.fresh) == (True, False)
    assert work.metrics.stat().st_mtime_ns == stamp
    pd.testing.assert_frame_equal(first.table, again.table)
    assert first.totals == again.totals
    assert evaluate(options.model_copy(update={"seed": 1})).fresh


def test_metrics_are_written_without_what_json_does_not_know(work: Workspace) -> None:
    evaluate(EvaluateOptions(work=work.root, draws=200))
    written = json.loads(work.metrics.read_text(), parse_constant=pytest.fail)
    assert len(written["left_out"]) == 25
    assert written["locations"]["Cytosol"]["support"] > 0
    assert len(written["baseline_macro_f1"]) == 3
    assert written["selection"] is None
    assert written["ablation"] == []


def test_the_four_protocols_stand_side_by_side_with_what_knowing_nothing_scores(work: Workspace) -> None:
    scores = evaluate(EvaluateOptions(work=work.root, draws=200, kaggle_score=0.5))
    a, b, c, d = scores.protocols
    assert "".join(protocol.letter for protocol in scores.protocols) == "ABCD"
    assert a.score.value == 0.5
    assert b.score.value == pytest.approx(scores.table["f1"].mean())
    assert b.beside == pytest.approx(next(iter(scores.baselines.values())))
    assert c.score is None
    assert "train --random-split" in c.about
    assert d.beside == pytest.approx(2 / 3)
    assert 0.5 < d.score.low < d.score.value < d.score.high <= 1
    not_given = evaluate(EvaluateOptions(work=work.root, draws=200)).protocols[0]
    assert not_given.score is None


def test_ablations_are_scored_on_the_same_groups_as_the_stack(work: Workspace) -> None:
    scores = evaluate(EvaluateOptions(work=work.root, draws=200, ablation=True))
    whole, *others = scores.ablation
    macro = next(iter(scores.totals.values()))
    assert (whole.macro_f1, whole.low, whole.high) == pytest.approx((macro.value, macro.low, macro.high))
    assert (whole.difference, whole.worst, whole.most) == (0, 0, 0)
    assert {"base learners linear alone", "thresholds by f1", "thresholds of 0.5"} < {
        row.name for row in others
    }
    for row in others:
        assert row.worst <= row.difference <= row.most


def test_a_model_of_an_older_version_is_refused(work: Workspace, tmp_path: Path) -> None:
    for path in (work.out_of_fold, work.model / "card.json", work.model / "manifest.json"):
        copy = tmp_path / path.relative_to(work.root)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    card = json.loads((tmp_path / "model" / "card.json").read_text())
    del card["positives"]
    (tmp_path / "model" / "card.json").write_text(json.dumps(card))
    with pytest.raises(PipelineError, match="was trained by an older version; run train again"):
        evaluate(EvaluateOptions(work=tmp_path))


def test_evaluate_needs_a_model(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no trained model there; run train"):
        evaluate(EvaluateOptions(work=tmp_path))


def test_shares_sum_to_1_and_are_read_back_without_computing(work: Workspace) -> None:
    first = importances(ImportancesOptions(work=work.root))
    assert np.allclose(first.sum(), 1)
    assert list(first.index) == load_model(work.model).columns
    work.importances.touch()
    stamp = work.importances.stat().st_mtime_ns
    again = importances(ImportancesOptions(work=work.root))
    assert work.importances.stat().st_mtime_ns == stamp
    pd.testing.assert_frame_equal(first, again)


def test_shares_are_summed_by_what_columns_have_in_common() -> None:
    shares = pd.DataFrame(
        {"Cytosol": [0.1, 0.2, 0.3, 0.4]},
        index=["cell__a__x__er__mean", "cell__b__x__er__protein__mean", "field__a__x__er", "cnn__net__e0001"],
    )
    assert grouped(shares, "family")["Cytosol"].to_dict() == pytest.approx({"a": 0.4, "net": 0.4, "b": 0.2})
    assert grouped(shares, "region")["Cytosol"].to_dict() == pytest.approx(
        {"cnn": 0.4, "cell": 0.3, "field": 0.3}
    )
    channels = grouped(shares, "channel")["Cytosol"]
    assert channels.to_dict() == pytest.approx(
        {"er": 0.4, "network (all channels)": 0.4, "er and protein": 0.2}
    )
    assert grouped(shares, "statistic")["Cytosol"].to_dict() == pytest.approx(
        {"no statistic": 0.7, "mean": 0.3}
    )
    assert of_location(shares, "25", "feature", 2).to_dict() == {
        "cnn__net": 0.4,
        "field__a__x__er": 0.3,
    }


def test_an_embedding_is_one_feature_and_log_odds_of_a_network_are_their_own() -> None:
    names = ["cnn__net__e0001", "cnn__net__e0002_top3", "cnn__net__e0003__mean", "cnn__net__logit_cytosol"]
    shares = pd.DataFrame({"Cytosol": [0.1, 0.2, 0.3, 0.4]}, index=names)
    assert grouped(shares, "feature")["Cytosol"].to_dict() == pytest.approx(
        {"cnn__net": 0.6, "cnn__net__logit_cytosol": 0.4}
    )


def test_columns_are_one_cause_where_they_mean_the_same_and_a_network_is_one() -> None:
    shares = pd.DataFrame(
        {"Cytosol": [0.05, 0.15, 0.1, 0.2, 0.1, 0.3, 0.1]},
        index=[
            "nucleus__haralick__contrast_1__protein__mean",
            "nucleus__haralick__entropy_1__protein__p90",
            "nucleus__haralick__entropy_1__protein__max",
            "cell__colocalization__pearson__protein__er__std",
            "cell__morphology__area__mean",
            "cnn__net__e0001",
            "cnn__net__logit_cytosol",
        ],
    )
    assert grouped(shares, "meaning")["Cytosol"].to_dict() == pytest.approx(
        {
            "Network net": 0.4,
            "Texture (Haralick) of protein in the nucleus, typical cell": 0.2,
            "Colocalization of protein and ER in the cell, differences between cells": 0.2,
            "Texture (Haralick) of protein in the nucleus, the most extreme cells": 0.1,
            "Size and shape of the cell, typical cell": 0.1,
        }
    )
    directions = pd.DataFrame({"Cytosol": [0.9, -0.8, 0.9, 0.1, np.nan, 0.7, 0.9]}, index=shares.index)
    found = causes(shares, directions, grouped(shares, "meaning")["Cytosol"], "meaning")
    told = {cause.column: cause.says for cause in found}
    assert told["nucleus__haralick__entropy_1__protein__p90"] == "more of it speaks against"
    assert told["cell__colocalization__pearson__protein__er__std"] == "works both ways"
    assert told["cell__morphology__area__mean"] == ""
    assert told["cnn__net__e0001"] == "", "a dimension of a network means nothing by itself"


def test_labels_of_plots_have_two_lines_at_most_and_do_not_overlap() -> None:
    words = "magnitude of the Zernike moment (6, 6) of the shape of the nucleus, median over cells " * 2
    shown = [Cause(name=f"{n} {words}", share=0.1, column="c", words=words, direction=0.5) for n in range(15)]
    figure = bars(shown, "Golgi apparatus", named=True)
    FigureCanvasAgg(figure).draw()
    labels = figure.axes[0].get_yticklabels()
    assert all(label.get_text().count("\n") == 1 for label in labels)
    boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.y0)
    assert all(below.y1 < above.y0 for below, above in pairwise(boxes))


def test_directions_say_whether_more_of_a_feature_speaks_for_a_location(work: Workspace) -> None:
    importances(ImportancesOptions(work=work.root))
    model = load_model(work.model)
    table = pd.read_parquet(work.features).set_index("Id")[model.columns]
    shares, directions = read_shares(work), read_directions(work)
    parts = model.stack.contributions(table, "Nucleoli")
    for column in shares["Nucleoli"].nlargest(5).index:
        expected = table[column].rank().corr(parts[column])
        assert directions.loc[column, "Nucleoli"] == pytest.approx(expected, abs=1e-6)
    constant = parts.columns[:-1][parts.iloc[:, :-1].std() == 0]
    assert directions.loc[constant, "Nucleoli"].isna().all()


def test_an_unknown_grouping_or_location_lists_the_known_ones() -> None:
    shares = pd.DataFrame({"Cytosol": [1.0]}, index=["field__a__x__er"])
    with pytest.raises(PipelineError, match="unknown grouping 'colour'; known: meaning, feature, column"):
        grouped(shares, "colour")
    with pytest.raises(PipelineError, match=r"unknown location 'Cytosl'; known: .*; did you mean Cytosol\?"):
        of_location(shares, "Cytosl", "family", 3)
    with pytest.raises(PipelineError, match=r"no model for Nucleoli \(no picture with it\).*: Cytosol"):
        of_location(shares, "Nucleoli", "family", 3, {"Nucleoli": "no picture with it"})


def test_the_commands_print_scores_and_shares_and_draw_them(work: Workspace, tmp_path: Path) -> None:
    runner = CliRunner()
    result = runner.invoke(app, ["evaluate", "--work", str(work.root), "--draws", "100", "--ablation"])
    assert "macro-F1 over 3 trained locations" in result.output
    assert "(B) 30 groups that no fold splits: 0." in result.output
    assert "mean of base learners" in result.output
    drawn = ["--draws", "100", "--plot", str(tmp_path / "scores.png")]
    assert (
        f"Written: {tmp_path / 'scores.png'}"
        in runner.invoke(app, ["evaluate", "--work", str(work.root), *drawn]).output
    )
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")
    assert result.exit_code == 0
    for arguments in (["Cytosol"], ["Cytosol", "--by", "family"], ["Cytosol", "--detail"], []):
        plot = tmp_path / "plot.png"
        result = runner.invoke(
            app, ["importances", *arguments, "--work", str(work.root), "--plot", str(plot)]
        )
        assert result.exit_code == 0
        assert "%" in result.output
        assert plot.read_bytes().startswith(b"\x89PNG")
        plot.unlink()


def test_columns_of_an_older_version_are_named_all_the_same() -> None:
    assert "not measured" not in in_words("cnn__net__e0001")
    assert in_words("cnn__net") == "the embedding of the network net, all its numbers"
    assert "granules of single cells" in in_words("cnn__cells__cells_granules")
    assert in_words("cell__gone__x__er__mean") == "not measured by this version; extract again"


def test_every_risk_is_told_with_what_it_becomes_on_held_out_folds(work: Workspace, command_line) -> None:
    scores = evaluate(EvaluateOptions(work=work.root, draws=200))
    assert [one.risk for one in scores.risks] == [0.05, 0.1, 0.15, 0.2, 0.3, 0.4]
    coverage = [one.coverage for one in scores.risks]
    assert coverage == sorted(coverage)
    assert 0 < scores.risks[-1].coverage < 1
    assert all(0 <= one.wrong <= one.risk + 0.15 for one in scores.risks)
    written = json.loads(work.metrics.read_bytes())["risks"]
    assert [one["coverage"] for one in written] == coverage
    said = command_line("evaluate", "--work", work.root, "--draws", "200").output
    assert all(one.coverage for one in scores.risks) == ("–" not in said)
    assert _risk(Realised(0.05, 0.0, 0.0, 0.0, 0.0)) == ("0.05", "–", "0.0%", "0.0%", "–")
    assert "Risk: of all locations that are named, the share that is wrong" in said
