"""The command `explain`: exact contributions of one answer, grouped by meaning, and pictures alike."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.bundle import load_model
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.stages.column_meanings import meaning_of
from pipeline.stages.explain import Explanation, explain, shown
from pipeline.stages.explain_options import ExplainOptions
from pipeline.stages.options import TrainOptions
from pipeline.stages.train import Train
from tests.pipeline.workfolder import make_workfolder


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("explain")
    made = make_workfolder(folder)
    asked = {"labels": folder / "labels.csv", "trials": 0, "folds": 3, "jobs": 1}
    execute(Train(), TrainOptions(work=made.root, **asked), SilentProgress())
    return made


def asked(work: Workspace, **more: object) -> Explanation:
    return explain(ExplainOptions(**{"work": work.root, "id": "p007", "location": "Nucleoli"} | more))


def test_contributions_sum_to_the_log_odds_of_the_answer(work: Workspace) -> None:
    made = asked(work)
    row = pd.read_parquet(work.features).set_index("Id").loc[["p007"]]
    probability = load_model(work.model).predict(row).probability["Nucleoli"].iloc[0]
    whole = made.bias + sum(part.contribution for part in made.parts)
    assert whole == pytest.approx(np.log(probability / (1 - probability)), abs=1e-6)
    assert (made.log_odds, made.probability) == (pytest.approx(whole), probability)
    for top in (1, 3, 100):
        assert sum(value for _, value in shown(made, top)) == pytest.approx(made.log_odds)


def test_parts_are_of_one_meaning_each_with_the_largest_first(work: Workspace) -> None:
    made = asked(work)
    keys = [(part.family, part.region, part.channel, part.cells) for part in made.parts]
    assert len(keys) == len(set(keys)) > 3
    sizes = [abs(part.contribution) for part in made.parts]
    assert sizes == sorted(sizes, reverse=True)
    for part in made.parts:
        region, family, *_ = part.column.split("__")
        assert (region, family) == (part.region, part.family)
        assert part.words
        assert part.title == meaning_of(part.column).title


def test_the_leading_column_adds_or_takes_most_of_its_part(work: Workspace) -> None:
    model = load_model(work.model)
    row = pd.read_parquet(work.features).set_index("Id").loc[["p007"]]
    shares = model.stack.contributions(row, "Nucleoli").iloc[0].drop("bias")
    for part in asked(work).parts:
        alike = [column for column in shares.index if meaning_of(column).title == part.title]
        assert shares[alike].sum() == pytest.approx(part.contribution, abs=1e-12)
        assert abs(shares[part.column]) == shares[alike].abs().max()


def test_pictures_alike_are_of_other_groups_with_their_locations(work: Workspace) -> None:
    made = asked(work, alike=5)
    folds = pd.read_parquet(work.folds).set_index("Id")["group"]
    truth = pd.read_parquet(work.out_of_fold)
    truth = truth[(truth["model"] == "stack") & truth["truth"]]
    assert len(made.nearest) == 5
    assert folds["p007"] not in set(folds[[one.id for one in made.nearest]])
    for one in made.nearest:
        assert set(one.locations) == set(truth.loc[truth["Id"] == one.id, "location"])
    similarity = [one.similarity for one in made.nearest]
    assert similarity == sorted(similarity, reverse=True)


def test_without_a_location_the_most_probable_one_is_explained(work: Workspace) -> None:
    row = pd.read_parquet(work.features).set_index("Id").loc[["p007"]]
    assert (
        asked(work, location=None).location
        == load_model(work.model).predict(row).probability.iloc[0].idxmax()
    )


def test_a_picture_that_predict_would_not_answer_is_said_to_be_such_first(
    work: Workspace, tmp_path: Path, command_line
) -> None:
    why, model = "protein is black or flat; export the channel again", work.model
    shutil.copytree(work.root, tmp_path / "new", ignore=shutil.ignore_patterns("models", "model"))
    new = Workspace(tmp_path / "new")
    samples = pd.read_parquet(new.samples)
    samples.assign(doubt=samples["Id"].map({"p007": why}).fillna("")).to_parquet(new.samples, index=False)
    assert (asked(new, model=model).doubt, asked(new, model=model, id="p008").doubt) == (why, "")
    ended = command_line("explain", "--work", new.root, "--model", model, "--id", "p007")
    first, second = ended.output.splitlines()[:2]
    assert first.startswith(f"p007: predict gives no answer: {why}; ")
    assert "the threshold of" in second


def test_what_there_is_not_is_refused_naming_what_there_is(work: Workspace) -> None:
    with pytest.raises(PipelineError, match=r"no picture 'p999'; it holds 60, such as p000"):
        asked(work, id="p999")
    with pytest.raises(PipelineError, match=r"no model for .*'Golgi apparatus'; known: Nucleoplasm, "):
        asked(work, location="Golgi apparatus")


def test_the_command_prints_a_sum_and_writes_json_and_a_picture(
    work: Workspace, tmp_path: Path, command_line
) -> None:
    files = ("--output", tmp_path / "why.json", "--plot", tmp_path / "why.png")
    ended = command_line("explain", "--work", work.root, "--id", "p007", "--top", 3, *files)
    assert ended.status == 0
    assert "the sum of:" in ended.output
    assert "others" in ended.output
    assert "Training pictures that are most alike in what decides" in ended.output
    content = json.loads((tmp_path / "why.json").read_bytes())
    assert content["log_odds"] == pytest.approx(
        content["bias"] + sum(part["contribution"] for part in content["parts"])
    )
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
