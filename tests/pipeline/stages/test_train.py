"""The stage `train`, on a small work folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.bundle import load_model
from models.metrics import count
from pipeline.core.errors import PipelineError, Problem
from pipeline.core.files import file_digest
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import read_dataset
from pipeline.stages.evaluate import Evaluate, count_ungrouped, read_predictions
from pipeline.stages.fast_training import check_fast
from pipeline.stages.options import EvaluateOptions, TrainOptions
from pipeline.stages.train import Train, begin_studies
from tests.pipeline.workfolder import make_workfolder, write_embedding

TABLES = ("folds.parquet", "out_of_fold.parquet", "model/manifest.json")
TRAINED = ["Nucleoplasm", "Nucleoli", "Cytosol"]


def options(work: Workspace, **given: object) -> TrainOptions:
    settings = {"trials": 0, "folds": 3, "jobs": 1} | given
    return TrainOptions(work=work.root, labels=work.root.parent / "labels.csv", **settings)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    work = make_workfolder(tmp_path_factory.mktemp("train"))
    execute(Train(), options(work, trials=1), SilentProgress())
    return work


def content(work: Workspace) -> list[bytes]:
    return [(work.root / name).read_bytes() for name in TABLES]


def test_every_artefact_is_there_and_nothing_unfinished_is_left(trained: Workspace) -> None:
    for path in (trained.folds, trained.out_of_fold, trained.tuning, trained.model, trained.record("train")):
        assert path.exists()
    assert not trained.learners.exists()
    assert not list(trained.root.glob(".*"))


def test_locations_that_cannot_be_cross_validated_are_named_with_the_reason(trained: Workspace) -> None:
    card = load_model(trained.model).card
    assert list(card["locations"]) == TRAINED
    assert len(card["left_out"]) == 25
    assert card["left_out"]["Golgi apparatus"] == "no picture with it"
    assert card["left_out"]["Microtubule ends"].endswith("in 2 groups; 3 folds need 3 groups")
    assert card["extraction"] == {"segmenter": "watershed", "families": {"intensity": 1}}


def test_no_group_straddles_folds(trained: Workspace) -> None:
    folds = pd.read_parquet(trained.folds)
    assert folds.groupby("group")["fold"].nunique().max() == 1
    assert folds["group"].nunique() == 30


def test_out_of_fold_answers_are_those_of_every_model_for_every_picture(trained: Workspace) -> None:
    table = pd.read_parquet(trained.out_of_fold)
    counts = table["model"].value_counts().to_dict()
    views = dict.fromkeys(["without er", "without microtubules", "without microtubules and er"], 180)
    assert counts == {"stack": 180, "top two": 120, "Nucleoplasm": 60, "Nucleoli": 60, "Cytosol": 60} | views
    card = json.loads((trained.model / "card.json").read_bytes())
    assert list(card["channels"]) == ["all", *views]
    assert all(0 <= score <= 1 for score in card["channels"].values())
    assert table["probability"].between(0, 1).all()


def test_run_again_without_changes_it_does_nothing_and_says_so(trained: Workspace) -> None:
    before = content(trained)
    assert not execute(Train(), options(trained, trials=1, jobs=2), SilentProgress()).fresh
    assert content(trained) == before


def test_its_inputs_name_what_the_user_can_change(trained: Workspace) -> None:
    names = Train().inputs(options(trained)).keys()
    assert {"features", "labels labels.csv", "groups and copies of the samples"} < set(names)
    assert {name.removeprefix("option ") for name in names if name.startswith("option ")} == {
        "boosters", "rule", "always", "trials", "tune_by", "timeout", "folds", "seed", "random_split",
        "agree_with", "reliability", "select_confident", "accept_leak", "folds_by", "normalise_by",
        "normalise_method", "normalise_minimum", "controls", "channel_dropout", "select_unflagged", "risk",
    }  # fmt: skip


def test_killed_and_run_again_it_ends_with_the_same_bytes(trained: Workspace, tmp_path: Path) -> None:
    work = make_workfolder(tmp_path)
    script = (
        "import sys; from pathlib import Path; from pipeline.core.stage import SilentProgress;"
        "from pipeline.core.stage import execute; from pipeline.stages.options import TrainOptions;"
        "from pipeline.stages.train import Train;"
        "given = {'work': Path(sys.argv[1]), 'labels': Path(sys.argv[2])};"
        "execute(Train(), TrainOptions(**given, trials=1, folds=3, jobs=2), SilentProgress())"
    )
    command = [sys.executable, "-c", script, str(work.root), str(tmp_path / "labels.csv")]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(Path.cwd())})
    deadline = time.monotonic() + 400  # a busy machine takes its time to start
    while (
        len(list(work.learners.glob("*/*"))) < 15 and process.poll() is None and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not work.model.exists()
    assert list(work.learners.glob("*/*"))
    assert execute(Train(), options(work, trials=1), SilentProgress()).fresh
    assert content(work) == content(trained)


def test_embeddings_are_one_more_block(tmp_path: Path) -> None:
    work = make_workfolder(tmp_path)
    write_embedding(tmp_path / "My net.csv", pictures=58)
    summary = execute(Train(), options(work, embeddings=(tmp_path / "My net.csv",)), SilentProgress())
    model = load_model(work.model)
    assert list(model.stack.blocks) == ["features", "my_net"]
    assert model.columns[-4:] == [f"cnn__my_net__e000{place}" for place in range(4)]
    assert summary.problems == 2
    assert "p059,My net.csv,no embedding" in work.problems.read_text()


def test_pictures_without_label_or_features_are_listed_and_left_out(tmp_path: Path) -> None:
    work = make_workfolder(tmp_path)
    labels = pd.read_csv(tmp_path / "labels.csv", dtype=str)
    labels["Id"] = labels["Id"].replace("p007", "elsewhere")
    labels.loc[8, "Target"] = "99"
    labels.to_csv(tmp_path / "labels.csv", index=False)
    assert execute(Train(), options(work), SilentProgress()).pictures == 58
    problems = work.problems.read_text()
    assert "p007,features.parquet,no label" in problems
    assert "elsewhere,labels.csv,no features" in problems
    assert "p008,labels.csv,label '99'" in problems


def test_pictures_that_predict_would_not_answer_are_listed_and_left_out(tmp_path: Path) -> None:
    work, why = make_workfolder(tmp_path), "protein is black or flat; export the channel again"
    samples = pd.read_parquet(work.samples)
    samples.assign(doubt=["", why, *[""] * 58]).to_parquet(work.samples, index=False)
    said: list[str] = []
    data = read_dataset(options(work), said.append)
    assert "p001" not in data.targets.index
    assert len(data.targets) == len(data.blocks["features"]) == 59
    assert f"Warning: 1 of 60 pictures with a label doubtful, such as p001 ({why}): left out, as" in said[1]
    assert data.problems == [Problem("p001", "samples.parquet", *why.split("; "))]
    samples.assign(doubt=why).to_parquet(work.samples, index=False)
    with pytest.raises(PipelineError, match=r"60 of 60 pictures .* doubtful.*; there is none to learn from"):
        read_dataset(options(work), said.append)


def test_groups_of_a_file_replace_those_of_the_samples(tmp_path: Path) -> None:
    work = make_workfolder(tmp_path)
    ids = [f"p{number:03}" for number in range(50)]
    groups = pd.DataFrame({"Id": ids, "group": [number // 5 for number in range(50)]})
    groups.to_csv(tmp_path / "groups.csv", index=False)
    assert execute(Train(), options(work, groups=tmp_path / "groups.csv"), SilentProgress()).groups == 20
    assert "train,p050,groups.csv,no group" in work.problems.read_text()
    protocol = execute(Evaluate(), EvaluateOptions(work=work.root, draws=100), SilentProgress())
    assert "(C) in 20 groups, but the group of 10 pictures was not found" in protocol.protocol
    stack = read_predictions(work)["stack"]
    assert (
        count_ungrouped(stack, {"grouped": True}) == 10
    )  # of a version that said only whether any was given
    spaces = replace(stack, groups=stack.groups.where(np.arange(60) > 2, stack.groups + " "))
    assert count_ungrouped(spaces, {"grouped": True}) == 13
    assert count_ungrouped(stack, {"grouped": False}) is None


def test_labels_of_other_pictures_are_refused(tmp_path: Path) -> None:
    work = make_workfolder(tmp_path)
    (tmp_path / "labels.csv").write_text("Id,Target\nx,0\n")
    with pytest.raises(PipelineError, match="none of its 1 id is among the 60 pictures"):
        execute(Train(), options(work), SilentProgress())


def test_too_few_groups_are_refused(tmp_path: Path) -> None:
    work = make_workfolder(tmp_path, pictures=4)
    with pytest.raises(
        PipelineError, match="no location has pictures with and without it in 3 different groups"
    ):
        execute(Train(), options(work), SilentProgress())


@pytest.mark.parametrize(
    ("pictures", "target", "lack"),
    [
        (4, "0", "there are only 2 groups; label more"),
        (12, "0 25", "all pictures show Nucleoplasm and Cytosol, none is without; label more"),
        (12, "", "no picture shows any; label more"),
    ],
)
def test_what_labels_lack_is_said(tmp_path: Path, pictures: int, target: str, lack: str) -> None:
    work, table = make_workfolder(tmp_path, pictures=pictures), tmp_path / "labels.csv"
    labels = pd.read_csv(table).assign(Target=target)
    if not target:
        labels.loc[0, "Target"] = "3"
        samples = pd.read_parquet(work.samples).assign(doubt="")
        samples.loc[0, "doubt"] = "too dark; export it again"
        samples.to_parquet(work.samples, index=False)
    labels.to_csv(table, index=False)
    with pytest.raises(PipelineError, match=f"in 3 different groups: {lack}"):
        execute(Train(), options(work), SilentProgress())


def test_filters_that_need_more_folds_say_how_many(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"needs 4 folds, there are 3; give --folds 4 \("):
        execute(Train(), options(make_workfolder(tmp_path), select_confident=True), SilentProgress())


def test_without_features_the_table_with_other_ids_is_blamed_and_not_the_labels(tmp_path: Path) -> None:
    table, labels = tmp_path / "net.csv", tmp_path / "labels.csv"
    pd.DataFrame({"Id": ["a.png", "b.png"], "Target": ["25", "0"]}).to_csv(table, index=False)
    labels.write_text("Id,Target\na,25\nb,0\n")
    asked = TrainOptions(work=tmp_path / "work", labels=labels, outputs=(table,))
    with pytest.raises(PipelineError, match=r"net\.csv: none of its 2 ids .* it has 'a\.png', where the pic"):
        read_dataset(asked, lambda _: None)


def test_without_features_it_says_to_extract(tmp_path: Path) -> None:
    work = make_workfolder(tmp_path)
    work.features.unlink()
    with pytest.raises(PipelineError, match=r"features.parquet: no such file; run extract first"):
        execute(Train(), options(work), SilentProgress())


def test_a_model_is_not_stale_when_only_the_number_of_jobs_differs(trained: Workspace) -> None:
    record = json.loads(trained.record("train").read_text())
    assert "option jobs" not in record["inputs"]


def test_a_named_model_stands_beside_the_first_which_is_not_replaced_unasked(tmp_path: Path) -> None:
    work = make_workfolder(tmp_path)
    execute(Train(), options(work), SilentProgress())
    before = content(work)
    with pytest.raises(
        PipelineError, match=r"model: was trained with seed 0; give --name NAME .*--overwrite"
    ):
        execute(Train(), options(work, seed=1), SilentProgress())
    assert content(work) == before
    assert execute(Train(), options(work, seed=1, name="other"), SilentProgress()).fresh
    assert content(work) == before
    other = content(Workspace(work.root / "models" / "other"))
    assert other != before
    assert execute(Train(), options(work, seed=1, overwrite=True), SilentProgress()).fresh
    assert content(work) == other


def test_a_named_model_has_studies_of_its_own(tmp_path: Path) -> None:
    work = make_workfolder(tmp_path)
    work.tuning.write_bytes(b"studies of the first")
    execute(Train(), options(work, trials=1, name="other", boosters=("linear",)), SilentProgress())
    assert work.tuning.read_bytes() == b"studies of the first"
    assert Workspace(work.root, "other").tuning.is_file()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"agree_with": "annotators"}, "--agree-with: needs --select-agreement;"),
        ({"reliability": "Enhanced"}, "--reliability: needs --select-reliability;"),
        ({"genes": Path("genes.csv")}, "--genes: needs --select-reliability;"),
        ({"controls": "Metadata_Treatment=DMSO"}, "--controls: needs --normalise-by;"),
        ({"normalise_method": "sphering"}, "--normalise-method: needs --normalise-by;"),
        ({"normalise_minimum": 3}, "--normalise-minimum: needs --normalise-by;"),
        ({"fast": True}, "--fast learns from embeddings alone; give --embeddings"),
    ],
)
def test_options_that_would_change_nothing_without_another_are_refused(
    trained: Workspace, given: dict[str, object], said: str
) -> None:
    with pytest.raises(PipelineError, match=f"^{said}"):
        execute(Train(), options(trained, name="other", **given), SilentProgress())


def test_a_fast_model_needs_no_cells_and_says_what_that_costs(tmp_path: Path, trained: Workspace) -> None:
    work = Workspace(tmp_path / "work")
    shutil.copytree(trained.root, work.root)
    shutil.copy(trained.root.parent / "labels.csv", tmp_path)
    table, told = tmp_path / "net.csv", Told()
    write_embedding(table)
    execute(Train(), options(work, embeddings=(table,), fast=True, name="fast"), told)
    card = load_model(Workspace(work.root, "fast").model).card
    assert card["extraction"] is None
    assert list(card["blocks"]) == [table.stem]
    whole, fast = (stack_scores(Workspace(work.root, name)) for name in ("", "fast"))
    assert card["fast"]["fast"] == pytest.approx(fast)
    assert card["fast"]["whole"] == pytest.approx(whole)
    assert any(f"{fast:.3f}" in line and f"{whole - fast:+.3f}" in line for line in told.lines)
    for wrong, why in (({}, "give --embeddings"), ({"start": "shipped", "embeddings": (table,)}, "16 times")):
        with pytest.raises(PipelineError, match=why):
            check_fast(options(work, fast=True, **wrong), {table: None})


class Told(SilentProgress):
    """Keeps what was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def stack_scores(work: Workspace) -> float:
    found = read_predictions(work)["stack"]
    return float(count(found.truth.to_numpy(), found.chosen.to_numpy()).macro_f1())


@pytest.mark.parametrize("kept", [True, False])
def test_studies_are_kept_where_they_are_as_a_finished_training_left_them(tmp_path: Path, kept: bool) -> None:
    work = Workspace(tmp_path)
    work.tuning.write_bytes(b"studies")
    work.tuning_digest.write_text(file_digest(work.tuning))
    if not kept:
        work.tuning.write_bytes(b"studiez")
    begin_studies(work)
    assert work.tuning.exists() == kept
    assert not work.tuning_digest.exists(), "until this training has finished"
