"""Experts scored as a model."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from models.annotators import compared
from pipeline.commands.looking import baseline as command
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.stages.baseline import BaselineOptions, baseline
from pipeline.stages.options import TrainOptions
from pipeline.stages.train import Train
from tests.pipeline.workfolder import make_workfolder

LABELS = "Id,Target\na,0\nb,0 25\nc,2\nd,25\n"
ANSWERS = """Id,Annotator,Target
a,Ann,0
b,Ann,0 25
c,Ann,2
d,Ann,0
a,Bob,0
b,Bob,25
c,Bob,25
"""


def write(folder: Path, labels: str = LABELS, answers: str = ANSWERS) -> BaselineOptions:
    (folder / "labels.csv").write_text(labels)
    (folder / "answers.csv").write_text(answers)
    return BaselineOptions(labels=folder / "labels.csv", answers=folder / "answers.csv")


def test_the_published_guesses_of_three_biologists_score_as_published(real: Path) -> None:
    folder = real / "labels"
    options = BaselineOptions(labels=folder / "kaggle2018_train.csv", answers=folder / "expert_guesses.csv")
    row = baseline(options).annotators.loc["experts"]
    assert (round(row["macro_f1"], 3), row["over"]) == (0.322, 27)
    assert round(row["macro_f1_all"], 3) == 0.311
    assert round(row["micro_f1"], 3) == 0.415
    assert round(row["exact"], 2) == 0.24


def test_every_annotator_the_vote_and_the_pool_are_scored(tmp_path: Path) -> None:
    found = baseline(write(tmp_path)).annotators
    assert list(found.index) == ["Ann", "Bob", "majority vote", "pooled"]
    assert found.loc["Ann", "macro_f1"] == pytest.approx((4 / 5 + 1 + 2 / 3) / 3)
    assert found.loc["Bob", "exact"] == pytest.approx(1 / 3)
    assert found.loc["pooled", "pictures"] == 7
    assert found.loc["majority vote", "pictures"] == 4


def test_agreement_is_1_where_all_say_the_same_and_undefined_where_nobody_answers(tmp_path: Path) -> None:
    same = "Id,Annotator,Target\na,Ann,0\nb,Ann,25\na,Bob,0\nb,Bob,25\n"
    locations = baseline(write(tmp_path, answers=same)).locations
    assert locations.loc["Nucleoplasm", "alpha_annotators"] == 1.0
    assert pd.isna(locations.loc["Peroxisomes", "alpha_annotators"])
    assert locations.loc["Nucleoplasm", "alpha_labels"] < 1.0  # the label of b has it, its answers do not
    assert locations.loc["Cytosol", "alpha_labels"] == 1.0


def test_answers_that_cannot_be_used_are_listed(tmp_path: Path) -> None:
    bad = ANSWERS + "z,Bob,1\nd,Bob,99\na,Ann,3\n"
    reasons = [problem.reason for problem in baseline(write(tmp_path, answers=bad)).problems]
    assert reasons == ["no label", "label '99' is not one of 0-27 of kaggle2018", "answered twice by Ann"]


def test_tables_without_answers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no column Target or Guess"):
        baseline(write(tmp_path, answers="Id,Annotator\na,Ann\n"))
    with pytest.raises(PipelineError, match="has both Target and Guess; leave only what the annotator says"):
        baseline(write(tmp_path, answers="Id,Target,Guess\na,0,1\n"))
    with pytest.raises(
        PipelineError, match=r"0 of the 1 id in answers\.csv are among the 4 pictures: it has 'z'"
    ):
        baseline(write(tmp_path, answers="Id,Guess\nz,1\n"))


def test_a_trained_model_is_compared_on_the_same_pictures(tmp_path: Path) -> None:
    work = make_workfolder(tmp_path)
    labels = tmp_path / "labels.csv"
    execute(Train(), TrainOptions(work=work.root, labels=labels, trials=0, folds=3, jobs=1), SilentProgress())
    guesses = pd.read_csv(labels, dtype=str).iloc[:40].rename(columns={"Target": "Guess"})
    guesses.to_csv(tmp_path / "answers.csv", index=False)
    found = baseline(BaselineOptions(labels=labels, answers=tmp_path / "answers.csv", work=work.root))
    assert found.comparison is not None
    assert (found.comparison.pictures, found.comparison.locations) == (40, 3)
    assert found.comparison.difference.high <= 0  # nobody beats answers copied from the labels
    assert not any("other labels" in line for line in found.said)
    others = pd.read_csv(labels, dtype=str)
    others.loc[:9, "Target"] = "2"
    others.to_csv(tmp_path / "others.csv", index=False)
    asked = {"answers": tmp_path / "answers.csv", "work": work.root}
    other = baseline(BaselineOptions(labels=tmp_path / "others.csv", **asked))
    assert any("of 40 pictures have other labels in others.csv than in the training" in s for s in other.said)
    assert other.comparison.difference.value > found.comparison.difference.value


def test_a_named_training_is_compared_and_a_folder_without_one_says_so(tmp_path: Path) -> None:
    work = make_workfolder(tmp_path)
    labels = tmp_path / "labels.csv"
    asked = TrainOptions(
        work=work.root, labels=labels, trials=0, folds=3, jobs=1, boosters=("linear",), name="own"
    )
    execute(Train(), asked, SilentProgress())
    guesses = pd.read_csv(labels, dtype=str).rename(columns={"Target": "Guess"})
    guesses.to_csv(tmp_path / "answers.csv", index=False)
    given = {"labels": labels, "answers": tmp_path / "answers.csv", "work": work.root}
    with pytest.raises(PipelineError, match=r"no trained model there; .* or give --name; there are: own"):
        baseline(BaselineOptions(**given))
    assert baseline(BaselineOptions(**given, name="own")).comparison.pictures == 60


def test_groups_are_drawn_not_pictures() -> None:
    rng = np.random.default_rng(0)
    truth = pd.DataFrame(rng.random((400, 3)) < 0.4, columns=list("ABC"))
    wrong = np.repeat(rng.random((40, 3)) < 0.3, 10, axis=0)  # alike in all pictures of a group
    ours, theirs = truth ^ wrong, truth ^ np.roll(wrong, 10, axis=0)
    groups, alone = pd.Series(np.repeat(range(40), 10)), pd.Series(range(400))
    spread = [np.std(compared(truth, ours, theirs, some, draws=300)[1]) for some in (groups, alone)]
    assert spread[0] > 2 * spread[1]


def test_a_side_that_names_less_that_is_wrong_is_not_the_worse_one() -> None:
    truth = pd.DataFrame({"A": [True, True, False, False], "B": [False, False, True, True], "C": [False] * 4})
    one = truth.assign(C=[True, False, False, False])
    other = truth.assign(A=[True, True, True, False], B=[True, False, True, True])
    alone = pd.Series(range(4))
    difference, _ = compared(truth, one, other, alone, draws=100)
    assert difference == pytest.approx((1 + 1 - 0.8 - 0.8) / 3)
    assert compared(truth, other, one, alone, draws=100)[0] == -difference


def test_the_command_prints_both_conventions(tmp_path: Path) -> None:
    options = write(tmp_path)
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, ["--labels", str(options.labels), "--answers", str(options.answers)])
    assert result.exit_code == 0
    assert "(undefined skipped)" in result.output
    assert "Nucleoplasm" in result.output
