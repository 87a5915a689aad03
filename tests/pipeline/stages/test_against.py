"""Two trainings beside each other, and what a training leaves to look at."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from models.bundle import load_model
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.stages.against import compare
from pipeline.stages.comparisons import OutOfFold
from pipeline.stages.evaluate import Evaluate, read_predictions
from pipeline.stages.options import EvaluateOptions, TrainOptions
from pipeline.stages.train import Train
from tests.pipeline.workfolder import make_workfolder

NAMES = ["Nucleoplasm", "Nucleoli", "Cytosol"]
OPTIONS = EvaluateOptions(work="here", against="there", draws=200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Train twice on the same pictures, in other folds."""
    root = tmp_path_factory.mktemp("against")
    work = make_workfolder(root)
    asked = {"work": work.root, "labels": root / "labels.csv", "trials": 0, "jobs": 1}
    asked |= {"boosters": ("linear",)}
    execute(Train(), TrainOptions(**asked, folds=3), SilentProgress())
    execute(Train(), TrainOptions(**asked, folds=4, name="four", rule="nested"), SilentProgress())
    return root


def predictions(wrong: float, names=NAMES, rows=120, seed=0) -> dict[str, OutOfFold]:
    """Predict random labels of pairs of pictures, some of them wrongly, by all models alike."""
    index = pd.Index([f"p{number:03}" for number in range(rows)], name="Id")
    rng = np.random.default_rng(5)
    truth = pd.DataFrame(rng.random((rows, len(NAMES))) < 0.4, index, NAMES)[list(names)]
    flipped = np.random.default_rng(seed).random(truth.shape) < wrong
    chosen = truth ^ flipped
    groups = pd.Series([f"g{number // 2}" for number in range(rows)], index)
    fold = pd.Series(np.arange(rows) // 2 % 3, index)
    return of_stack(OutOfFold(truth, chosen.astype(float), chosen, groups, fold))


def of_stack(stack: OutOfFold) -> dict[str, OutOfFold]:
    return {"stack": stack} | {name: stack.of(stack.truth.index, [name]) for name in stack.truth.columns}


def changed(models: dict[str, OutOfFold], **parts: object) -> dict[str, OutOfFold]:
    return of_stack(replace(models["stack"], **parts))


def test_differences_are_paired_by_picture_and_over_the_locations_of_both():
    here, there = predictions(0.05), predictions(0.3, ["Cytosol", "Nucleoli"], seed=1)
    other = {name: one.of(one.truth.index[20:][::-1], one.truth.columns) for name, one in there.items()}
    found = compare(here, other, OPTIONS)
    assert (found.pictures, found.only_here, found.only_there) == (100, 20, 0)
    assert found.left_out == {"Nucleoplasm": "here"}
    assert list(found.locations) == ["Nucleoli", "Cytosol"]
    truth = here["stack"].truth.iloc[20:]
    for name, one in found.locations.items():
        values = [f1_score(truth[name], side["stack"].chosen[name].iloc[20:]) for side in (here, there)]
        assert (one.f1, one.other) == pytest.approx(values)
        assert one.low < one.difference < one.high
        assert found.support[name] == truth[name].sum()
    whole = found.heads["stack"]
    assert whole.difference == pytest.approx(np.mean([one.difference for one in found.locations.values()]))
    assert whole.beyond_chance
    assert found.heads["binary"] == whole
    assert found.folds == ""


def test_a_training_against_one_that_says_the_same_differs_by_nothing():
    found = compare(predictions(0.2), predictions(0.2), OPTIONS)
    assert {(one.difference, one.low, one.high) for one in found.locations.values()} == {(0, 0, 0)}
    assert not found.heads["stack"].beyond_chance


def test_pairs_have_narrower_intervals_than_scores_apart():
    here, there = predictions(0.2), predictions(0.2)
    better = there["stack"].chosen.copy()
    better.iloc[:6] = there["stack"].truth.iloc[:6]
    found = compare(here, changed(there, chosen=better), OPTIONS)
    whole = found.heads["stack"]
    assert whole.difference < 0
    assert whole.high - whole.low < 0.06


def test_other_folds_are_told_and_other_names_of_groups_do_not_matter():
    here, there = predictions(0.1), predictions(0.1)
    stack = there["stack"]
    six = pd.Series(np.arange(120) // 2 % 6, stack.fold.index)
    assert "Folds differ (3 here, 6 there)" in compare(here, changed(there, fold=six), OPTIONS).folds
    renamed = changed(there, groups="protein " + stack.groups, fold=2 - stack.fold)
    assert compare(here, renamed, OPTIONS).folds == ""


def test_what_is_not_comparable_is_refused_with_both_sides():
    here, there = predictions(0.1), predictions(0.1)
    stack, names = there["stack"], np.array(NAMES)
    other = stack.truth.copy()
    other.loc["p007"] = ~other.loc["p007"]
    one, two = ("; ".join(names[side.loc["p007"].to_numpy(bool)]) for side in (stack.truth, other))
    with pytest.raises(PipelineError, match=f"1 picture of 120 with .*: '{one}' here, '{two}' there"):
        compare(here, changed(there, truth=other), OPTIONS)
    joined = stack.groups.replace({"g1": "g0"})
    wrong = r"4 pictures of 120 .* 'p000': group 'g0' of 2 pictures here, group 'g0' of 4 pictures there"
    with pytest.raises(PipelineError, match=wrong):
        compare(here, changed(there, groups=joined), OPTIONS)
    renamed = {
        name: OutOfFold(
            *(table.rename(index=str.upper) for table in (one.truth, one.probability, one.chosen)),
            *(one.groups.rename(index=str.upper), one.fold.rename(index=str.upper)),
        )
        for name, one in there.items()
    }
    with pytest.raises(PipelineError, match="has no picture of here: 'P000' there, 'p000' here"):
        compare(here, renamed, OPTIONS)
    with pytest.raises(PipelineError, match="has no location of here: 'Cytosol' there, 'Nucleoli' here"):
        compare(predictions(0.1, ["Nucleoli"]), predictions(0.1, ["Cytosol"]), OPTIONS)


def test_the_command_takes_a_work_folder_a_named_training_or_a_model(folder, command_line):
    work, four = folder / "work", folder / "work" / "models" / "four"
    plot = folder / "differences.png"
    said = command_line("evaluate", "--work", work, "--against", four, "--draws", "100", "--plot", plot)
    assert said.status == 0
    assert f"Against {four}: 60 pictures of both\n" in said.output
    assert "Folds differ (3 here, 4 there)" in said.output
    assert "macro-F1 (two-locations): " in said.output
    assert plot.read_bytes().startswith(b"\x89PNG")
    written = json.loads((work / "metrics.json").read_bytes())["against"]
    assert set(written["locations"]) == set(NAMES)
    asked = {"work": work, "draws": 100}
    difference = written["heads"]["stack"]["difference"]
    for more, sign in (({"against": four / "model"}, 1), ({"name": "four", "against": work}, -1)):
        made = execute(Evaluate(), EvaluateOptions(**asked, **more), SilentProgress()).against
        assert made.heads["stack"].difference == pytest.approx(sign * difference)
    with pytest.raises(PipelineError, match="is the training that is scored; give another one"):
        execute(Evaluate(), EvaluateOptions(**asked, against=work / "model"), SilentProgress())
    with pytest.raises(PipelineError, match=r"no out-of-fold predictions there; give the work folder"):
        execute(Evaluate(), EvaluateOptions(**asked, against=folder), SilentProgress())


def test_trainings_of_other_locations_are_compared_on_those_of_both(folder, tmp_path):
    other = Workspace(tmp_path / "work")
    shutil.copytree(folder / "work" / "models" / "four", other.root)
    table = pd.read_parquet(other.out_of_fold)
    some = table[~table["location"].isin(NAMES[:1])]
    some.assign(location=some["location"].cat.remove_unused_categories()).to_parquet(other.out_of_fold)
    made = compare(read_predictions(Workspace(folder / "work")), read_predictions(other), OPTIONS)
    assert made.left_out == {NAMES[0]: "here"}
    assert set(made.locations) == set(NAMES[1:])


@pytest.mark.parametrize("name", ["", "four"])
def test_tables_to_look_at_are_those_of_the_model(folder, name):
    work = Workspace(folder / "work", name)
    thresholds = pd.read_csv(work.thresholds).set_index(["model", "location"])
    model = load_model(work.model).stack
    for one, fitted in model.meta_learners.items():
        own = thresholds.loc[one, "threshold"]
        assert own.to_dict() == pytest.approx(
            dict(zip([model.locations[k] for k in fitted.meta.locations], fitted.thresholds, strict=True))
        )
    everything = pd.read_parquet(work.out_of_fold)
    known = everything["model"].isin(list(model.meta_learners))
    for key, part in everything[known].groupby(["model", "location"], observed=True):
        cuts = thresholds.loc[[key]].to_numpy()[0][1 + part["fold"].to_numpy()]
        assert ((part["probability"] >= cuts) == part["chosen"]).all()
    table = pd.read_csv(work.out_of_fold_csv, keep_default_na=False).set_index("Id")
    for name, part in everything[everything["model"] == "stack"].groupby("location", observed=True):
        np.testing.assert_allclose(table[name], part["probability"], atol=1e-6)
        assert [name in some.split("; ") for some in table["labels"]] == list(part["truth"])
    assert table["fold"].tolist() == pd.read_parquet(work.folds)["fold"].tolist()
    settings = json.loads(work.settings.read_bytes())
    assert settings["options"]["rule"] == ("nested" if work.name else "half_f1")
    assert not settings["options"].keys() & {"work", "jobs", "overwrite"}, "the same, wherever it is trained"
    assert settings["options"]["labels"] == str(folder / "labels.csv")
    chosen = settings["hyperparameters"]
    assert {one["base_learner"] for one in chosen} == {"linear"}
    assert sorted(name for one in chosen for name in one["locations"]) == sorted(NAMES)
    assert list(chosen[0]["folds"]) == [str(number) for number in range(4 if work.name else 3)]
