"""Another list of locations through labels, training, scores, predictions and explanations."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.bundle import Model
from models.stack_model import StackModel
from pipeline.commands.command_line import options_of
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.data.locations import open_list
from pipeline.networks.leak_guard import read_given
from pipeline.stages.baseline import baseline
from pipeline.stages.evaluate import Evaluate, of_parents, read_predictions
from pipeline.stages.explain_options import ImportancesOptions
from pipeline.stages.importances import Importances, read_shares
from pipeline.stages.options import BaselineOptions, EvaluateOptions, PredictOptions, TrainOptions
from pipeline.stages.predict import Predict
from pipeline.stages.train import Train
from pipeline.stages.trained_models import read_card

IDS = [f"p{number:02}" for number in range(60)]
OWN = "name,merge_into,parent\nRim,,Nucleus\nDots inside,Rim,\nBlobs,,Nucleus\nOutside,,Cell\n"


class Heard(SilentProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def write_tables(root: Path, classes: tuple[int, ...]) -> Path:
    """Write embeddings of a network, and labels that they predict, by class index."""
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(60, len(classes)))
    values = latent + rng.normal(size=latent.shape) / 3
    pd.DataFrame(values, IDS, list("abcdefg")[: len(classes)]).to_csv(root / "net.csv", index_label="Id")
    rows = [" ".join(str(k) for k, one in zip(classes, row, strict=True) if one > 0.3) for row in latent]
    pd.DataFrame({"Id": IDS, "Target": rows}).to_csv(root / "labels.csv", index=False)
    return root


def train(root: Path, progress: SilentProgress, **given: object) -> Workspace:
    asked = {"work": root / "work", "labels": root / "labels.csv", "embeddings": (root / "net.csv",)}
    small = {"trials": 0, "folds": 3, "jobs": 1, "boosters": ("linear",)}
    execute(Train(), options_of(TrainOptions, asked | small | given), progress)
    return Workspace(root / "work")


def predict(root: Path, form: str) -> pd.DataFrame:
    asked = {"model": root / "work" / "model", "output": root / f"{form}.csv", "format": form}
    execute(
        Predict(),
        PredictOptions.model_validate(asked | {"embeddings": (root / "net.csv",)}),
        SilentProgress(),
    )
    return pd.read_csv(root / f"{form}.csv", dtype=str, keep_default_na=False).set_index("Id")


def shares(work: Workspace) -> pd.DataFrame:
    asked = ImportancesOptions(work=work.root, embeddings=(work.root.parent / "net.csv",))
    execute(Importances(), asked, SilentProgress())
    return read_shares(work)


def test_a_model_of_the_19_learns_from_labels_of_the_28(tmp_path: Path) -> None:
    heard = Heard()
    work = train(
        write_tables(tmp_path, (0, 25, 8, 10, 27)), heard, locations="hpa2021", labels_as="kaggle2018"
    )
    assert any("no counterpart in hpa2021 are left out: Rods & rings (2" in line for line in heard.notes)
    card = read_card(work.model)
    trained = ["Nucleoplasm", "Cytosol", "Vesicles and punctate cytosolic patterns"]
    assert list(card["locations"]) == trained
    assert card["labels"]["without_counterpart"]["Rods & rings"] > 20
    scores = execute(Evaluate(), EvaluateOptions(work=work.root, draws=100), SilentProgress())
    assert list(scores.table.index) == trained
    assert scores.top_two is not None, "the list has both"
    assert "macro-F1 over all 19 (undefined 0), missing ones 0" in scores.totals
    assert list(shares(work).columns) == trained
    named, submitted = predict(tmp_path, "csv"), predict(tmp_path, "kaggle")
    assert list(named.columns[-3:]) == trained
    numbers = {"Nucleoplasm": "0", "Cytosol": "16", trained[2]: "17"}
    answered = named[named["status"] == "answered"]
    assert len(answered) > 30
    for sample, locations in answered["locations"].items():
        assert submitted.loc[sample, "Predicted"] == " ".join(numbers[one] for one in locations.split("; "))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = write_tables(tmp_path_factory.mktemp("own"), (0, 1, 2, 3))
    (root / "own.csv").write_text(OWN)
    return train(root, SilentProgress(), locations=str(root / "own.csv"))


def test_a_list_of_ones_own_names_everything(own: Workspace) -> None:
    root = own.root.parent
    trained = ["Rim", "Blobs", "Outside"]
    scores = execute(Evaluate(), EvaluateOptions(work=own.root, draws=100), SilentProgress())
    assert list(scores.table.index) == list(shares(own).columns) == trained
    assert scores.top_two is None
    assert list(predict(root, "csv").columns[-3:]) == trained
    words = {word for row in predict(root, "kaggle")["Predicted"] for word in row.split()}
    assert words == {"0", "2", "3"}, "the rows of the list, of which 1 is trained as 0"
    written = pd.read_csv(root / "labels.csv", dtype=str, keep_default_na=False)["Target"].str.split()
    truth = pd.read_parquet(own.out_of_fold).query("model == 'stack' and location == 'Rim'")["truth"]
    assert truth.tolist() == [bool({"0", "1"} & set(row)) for row in written]


def test_outputs_of_networks_are_read_by_the_list_of_the_model(tmp_path: Path) -> None:
    """The list is not asked for again, and its columns are found by class index."""
    (tmp_path / "own.csv").write_text(OWN)
    columns = [f"cnn__net__output_{name}" for name in ("rim", "blobs", "outside")]
    card = {"blocks": {}, "location_list": open_list(str(tmp_path / "own.csv")).as_card()}
    model = Model(StackModel((), {"outputs": tuple(columns)}, (), [], {}), card)
    (tmp_path / "net.csv").write_text("Id,3,2,0\na,0,0,1\n")
    table = read_given(tmp_path, model, (), [tmp_path / "net.csv"])[tmp_path / "net.csv"]
    assert table.loc["a", columns].tolist() == [1.5, -0.5, -0.5]


def test_parents_are_scored_where_the_list_gives_them(own: Workspace) -> None:
    stack = read_predictions(own)["stack"]
    together = of_parents(stack, {"Rim": "Nucleus", "Blobs": "Nucleus", "Outside": "Cell"})
    assert together is not None
    assert together.truth["Nucleus"].equals(stack.truth["Rim"] | stack.truth["Blobs"])
    assert together.probability["Nucleus"].equals(stack.probability[["Rim", "Blobs"]].max(axis=1))
    scores = execute(Evaluate(), EvaluateOptions(work=own.root, draws=100), SilentProgress())
    assert scores.of_parents is not None
    assert scores.of_parents.loc["Nucleus", "support"] == together.truth["Nucleus"].sum()
    assert scores.of_parents.loc["Cell", "f1"] == scores.table.loc["Outside", "f1"]
    assert of_parents(stack, {"Elsewhere": "Cell"}) is None


def test_a_changed_list_makes_the_training_stale_and_another_one_is_not_replaced(own: Workspace) -> None:
    root = own.root.parent
    path, tables = root / "own.csv", {"labels": root / "labels.csv", "embeddings": (root / "net.csv",)}
    options = TrainOptions(work=own.root, locations=str(path), **tables)
    before = Train().inputs(options)
    path.write_text(OWN.replace("Dots inside,Rim", "Dots inside,Blobs"))
    try:
        changed = {name for name, digest in Train().inputs(options).items() if before[name] != digest}
    finally:
        path.write_text(OWN)
    assert changed == {"locations own.csv"}
    with pytest.raises(PipelineError, match=r"was trained with the locations of own\.csv; give --name"):
        train(own.root.parent, SilentProgress(), locations="hpa2021", labels_as="kaggle2018")


def test_annotators_are_compared_in_the_list_of_the_model(own: Workspace, tmp_path: Path) -> None:
    labels = own.root.parent / "labels.csv"
    answers = pd.read_csv(labels, dtype=str).rename(columns={"Target": "Guess"})
    answers.to_csv(tmp_path / "answers.csv", index=False)
    asked = {"labels": labels, "answers": tmp_path / "answers.csv", "work": own.root, "draws": 100}
    found = baseline(BaselineOptions.model_validate(asked))
    assert list(found.locations.index) == ["Rim", "Blobs", "Outside"]
    assert found.comparison is not None
    with pytest.raises(PipelineError, match=r"tells apart own\.csv, not subcell; leave out --locations"):
        baseline(BaselineOptions.model_validate(asked | {"locations": "subcell"}))


def test_a_location_of_the_list_is_explained_by_name_or_index(own: Workspace, command_line) -> None:
    shares(own)
    asked = ("--work", own.root, "--embeddings", own.root.parent / "net.csv")
    assert "What decides Outside" in command_line("importances", "3", *asked).output
    refused = command_line("importances", "Cytosol", *asked)
    assert (refused.status, refused.output) == (2, "")
    assert "unknown location 'Cytosol'; known: Rim, Blobs, Outside" in refused.errors


def test_a_row_of_no_use_is_listed_once_and_pictures_with_no_other_are_refused(tmp_path: Path) -> None:
    write_tables(tmp_path, (0, 1, 2, 3))
    table = pd.read_csv(tmp_path / "labels.csv", dtype=str, keep_default_na=False).set_index("Id")
    table.loc["p07", "Target"] = "Rods, rings"
    table.to_csv(tmp_path / "labels.csv")
    heard = Heard()
    work = train(tmp_path, heard)
    assert "60 of 60 pictures found in labels.csv" in heard.notes
    problems = pd.read_csv(work.problems)
    assert problems.loc[problems["sample"] == "p07", "reason"].str.startswith(
        "label 'Rods' is no name"
    ).tolist() == [True]
    table.assign(Target="somewhere").to_csv(tmp_path / "labels.csv")
    with (tmp_path / "labels.csv").open("a") as stream:
        stream.write("another,3\n")
    with pytest.raises(
        PipelineError, match=r"no picture has a label of use: 'p00': label 'somewhere' is no name"
    ):
        train(tmp_path, SilentProgress(), overwrite=True)
