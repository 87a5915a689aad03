"""Other networks' predictions become a block of the stack, with or without pictures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from typer.testing import CliRunner

from models.bundle import load_model
from models.folds import stratified_group_folds
from models.stacking import StackedLocations
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.data.locations import LOCATIONS
from pipeline.data.prediction_tables import read_outputs
from pipeline.stages.options import TrainOptions
from pipeline.stages.train import Train
from run import app
from tests.pipeline.workfolder import make_workfolder

IDS = [f"p{number:03}" for number in range(60)]


def probabilities(seed: int) -> pd.DataFrame:
    values = np.random.default_rng(seed).random((60, 28)).astype(np.float32)
    return pd.DataFrame(values, columns=list(LOCATIONS)).assign(Id=IDS)[["Id", *LOCATIONS]]


def test_probabilities_label_sets_and_columns_in_another_order_are_read(tmp_path: Path) -> None:
    table = probabilities(0)
    table[["Id", *LOCATIONS[::-1]]].to_csv(tmp_path / "By name.csv", index=False)
    table.set_axis(["Id", *range(28)], axis=1).astype({"Id": str}).rename(columns=str).to_parquet(
        tmp_path / "in_order.parquet"
    )
    sets = pd.DataFrame({"Id": IDS[:58], "Predicted": ["0 25", "", *["3"] * 56]})
    sets.to_csv(tmp_path / "sets.csv", index=False)
    read = read_outputs([tmp_path / name for name in ("By name.csv", "in_order.parquet", "sets.csv")])
    assert read.shape == (60, 3 * 28)
    named = read.filter(like="cnn__by_name__output_").to_numpy()
    assert np.array_equal(named, read.filter(like="cnn__in_order__output_").to_numpy())
    assert np.allclose(1 / (1 + np.exp(6 - 12 * named)), table[list(LOCATIONS)], atol=1e-4)
    hard = read.filter(like="cnn__sets__output_").gt(0.5)
    assert hard.iloc[0].to_numpy().nonzero()[0].tolist() == [0, 25]
    assert not hard.iloc[1].any()
    hard = read.filter(like="cnn__sets__output_")
    assert hard.iloc[58:].isna().all(axis=None)


@pytest.mark.parametrize("nothing", ["NA", "", "nan"])
def test_missing_probabilities_are_missing_and_ids_stay_text(tmp_path: Path, nothing: str) -> None:
    table = probabilities(0).iloc[:4].assign(Id=["NA", "None", "007", " 1e5 "])
    lines = table.to_csv(index=False).splitlines()
    lines[2] = f"None{f',{nothing}' * 28}"
    (tmp_path / "net.csv").write_text("\n".join(lines) + "\n")
    read = read_outputs([tmp_path / "net.csv"])
    assert read.index.tolist() == ["007", "1e5", "NA", "None"]
    assert read.loc["None"].isna().all()
    assert read.loc[["1e5", "NA", "007"]].notna().all(axis=None)


@pytest.mark.parametrize("nothing", ["NA", "", "nan"])
def test_one_missing_probability_is_an_error_with_its_picture_and_location(
    tmp_path: Path, nothing: str
) -> None:
    lines = probabilities(0).iloc[:4].assign(Id=list("abcd")).to_csv(index=False).splitlines()
    lines[3] = ",".join([*lines[3].split(",")[:-1], nothing])
    (tmp_path / "net.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(PipelineError, match=r"net\.csv: Id 'c' has no number in column 'Rods & rings'"):
        read_outputs([tmp_path / "net.csv"])


def test_missing_probabilities_of_a_table_of_text_are_missing(tmp_path: Path) -> None:
    probabilities(0).astype(str).assign(**{LOCATIONS[0]: ""}).to_parquet(tmp_path / "net.parquet")
    read = read_outputs([tmp_path / "net.parquet"])
    assert read.isna().sum().tolist() == [60] + [0] * 27


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Id,a\nx,0.5\n", "'a' is no location nor a class index; did you mean a column Target"),
        (
            "Id,fold," + ",".join(map(str, range(28))) + "\nx" + ",0" * 29 + "\n",
            r"'fold' is no location nor a class index; leave that column out\.",
        ),
        (
            "Id,5.0," + ",".join(map(str, [*range(5), *range(6, 28)])) + "\nx" + ",0" * 28 + "\n",
            r"'5\.0' is no location nor a class index; did you mean Nuclear bodies\?",
        ),
        ("Id,Target\nx,31\n", "label '31' is not one of 0-27"),
        ("Name,Target\nx,3\n", "no column Id"),
        ("Id,Target\nx,3\nx,4\n", "Id 'x' occurs twice"),
        ("Id,Target,Predicted\nx,3,4\n", r"net\.csv: holds Target and Predicted; leave only what"),
        ("Id,Target,Cytosol\nx,3,0.5\n", "holds Target and columns of locations; leave only what"),
        ("Id," + ",".join(LOCATIONS) + "\nx" + ",1.5" * 28 + "\n", "'x' has 1.5 for Nucleoplasm"),
        ("Id," + ",".join(LOCATIONS) + "\nx" + ",high" * 28 + "\n", "Id 'x' has 'high', which is no number"),
    ],
)
def test_what_is_no_table_of_predictions_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "net.csv").write_text(content)
    with pytest.raises(PipelineError, match=message):
        read_outputs([tmp_path / "net.csv"])


def test_two_networks_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for folder in (tmp_path, tmp_path / "other"):
        probabilities(0).to_csv(folder / "net.csv", index=False)
    with pytest.raises(PipelineError, match="another network has the same file name"):
        read_outputs([tmp_path / "net.csv", tmp_path / "other" / "net.csv"])


def test_outputs_are_one_more_block_that_predict_and_importances_read(tmp_path: Path) -> None:
    work = make_workfolder(tmp_path)
    paths = []
    for seed in (0, 1):
        paths.append(tmp_path / f"net{seed}.csv")
        probabilities(seed).to_csv(paths[-1], index=False)
    options = TrainOptions(
        work=work.root, labels=tmp_path / "labels.csv", outputs=tuple(paths), trials=0, folds=3, jobs=1,
        boosters=("linear",),
    )  # fmt: skip
    execute(Train(), options, SilentProgress())
    model = load_model(work.model)
    assert list(model.stack.blocks) == ["features", "outputs"]
    assert {path.name for path in (work.model / "learners").glob("all_*")} == {
        "all_block1_label_powerset.safetensors",
        "all_block1_pooled_trees.json",
        "all_block1_network_weights.json",
    }
    assert len(model.locations) == 4  # the fourth is too rare for learners of one location
    given = [word for path in paths for word in ("--outputs", str(path))]
    runner = CliRunner()
    ended = runner.invoke(app, ["importances", "Cytosol", "--work", str(work.root), *given])
    assert ended.exit_code == 0
    alone = runner.invoke(app, ["importances", "Cytosol", "--work", str(work.root)])
    assert alone.exit_code == 0, "the tables of the training are known"
    with pytest.raises(PipelineError, match="trained with --outputs net0, net1, but given are net0"):
        raise runner.invoke(app, ["importances", "Cytosol", "--work", str(work.root), *given[:2]]).exception


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write labels of four locations, one with two pictures only, and what two networks see of them."""
    root = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    truth = np.zeros((60, 28), dtype=bool)
    truth[:, [0, 2, 25]] = rng.random((60, 3)) < [0.5, 0.4, 0.4]
    truth[:2, 15] = truth[~truth.any(axis=1), 0] = True
    sets = [" ".join(map(str, np.flatnonzero(row))) for row in truth]
    pd.DataFrame({"Id": IDS, "Target": sets}).to_csv(root / "labels.csv", index=False)
    for name in ("one", "two"):
        values = expit(5 * truth - 2.5 + rng.normal(0, 1.2, truth.shape))
        table = pd.DataFrame(values, columns=list(LOCATIONS)).assign(Id=IDS)
        table.to_parquet(root / f"{name}.parquet", index=False)
    return root


def test_tables_alone_train_score_explain_and_predict_without_pictures(
    tables: Path, command_line, tmp_path: Path
) -> None:
    networks = [word for name in ("one", "two") for word in ("--outputs", tables / f"{name}.parquet")]
    given = ["--labels", tables / "labels.csv", "--work", tables / "work", *networks]
    trained = command_line("train", *given, "--folds", 3, "--jobs", 1)
    assert trained.status == 0
    assert "no groups given" in trained.output.lower()
    model = load_model(tables / "work" / "model")
    assert model.locations == ("Nucleoplasm", "Nucleoli", "Microtubule ends", "Cytosol")
    assert model.card["extraction"] is None
    assert "up to date" in command_line("train", *given, "--folds", 3).output.lower()
    scored = command_line("evaluate", "--work", tables / "work", "--draws", 100, "--ablation")
    assert scored.status == 0
    assert "base learners label_powerset alone" in scored.output
    explained = command_line("importances", "--by", "block", "--work", tables / "work", *networks)
    assert explained.status == 0
    assert "100%" in explained.output
    assert command_line("status", "--work", tables / "work").status == 0
    predicted = command_line(
        "predict", "--model", tables / "work" / "model", "--output", tmp_path / "p.csv", *networks
    )
    assert predicted.status == 0
    table = pd.read_csv(tmp_path / "p.csv").set_index("Id")
    assert list(table.index) == IDS
    assert table["Cytosol"].corr(pd.read_parquet(tables / "one.parquet")["Cytosol"].set_axis(IDS)) > 0.5


def test_a_picture_that_one_network_lacks_is_listed(tables: Path, command_line, tmp_path: Path) -> None:
    pd.read_parquet(tables / "two.parquet")[1:].to_parquet(tmp_path / "two.parquet", index=False)
    given = [
        "--outputs",
        tables / "one.parquet",
        "--outputs",
        tmp_path / "two.parquet",
        "--work",
        tmp_path / "w",
    ]
    model = ["--model", tables / "work" / "model", "--output", tmp_path / "p.csv"]
    assert command_line("predict", *model, *given).status == 0
    listed = pd.read_csv(tmp_path / "w" / "problems.csv")[["sample", "file", "reason"]]
    assert listed.to_numpy().tolist() == [["p000", "two.parquet", "no prediction"]]
    assert len(pd.read_csv(tmp_path / "p.csv")) == 60


def test_a_model_of_tables_alone_asks_for_its_tables(tables: Path, command_line, tmp_path: Path) -> None:
    model = ["--model", tables / "work" / "model", "--output", tmp_path / "p.csv"]
    ended = command_line("predict", *model, "--outputs", tables / "one.parquet")
    assert ended.status != 0
    assert "--outputs" in ended.errors


def test_contributions_add_up_for_every_location_on_published_label_sets(real: Path) -> None:
    table = pd.read_parquet(real / "cnn_oof" / "out_of_fold_labels.parquet")
    kaggle = pd.read_csv(real / "labels" / "kaggle2018_train.csv")["Id"]
    table = table[table["Id"].isin(kaggle)]
    bits = [name for name in table.columns if name.endswith("_bits") and "ensemble" not in name]
    truth = unpacked(table["target_bits"])
    each = [np.flatnonzero(known)[:10] for known in truth.T]
    some = np.unique(np.concatenate([*each, np.arange(0, len(table), 200)]))
    values = {
        f"{name}{location:02}": unpacked(table[name])[some, location].astype(np.float32)
        for name in bits[:3]
        if name != "target_bits"
        for location in range(28)
    }
    X = pd.DataFrame(values)
    Y = pd.DataFrame(truth[some], columns=list(LOCATIONS))
    fold = stratified_group_folds(Y.to_numpy(), pd.Series(np.arange(len(Y))), 3)
    stack = StackedLocations(of_networks=("nets",)).fit({"nets": X}, Y, fold)
    model, asked = stack.model_, X.iloc[::50]
    log_odds = model.meta_learners["stack"].log_odds(model.base_log_odds(asked))
    for column, location in enumerate(LOCATIONS):
        parts = model.contributions(asked, location)
        assert np.abs(parts.sum(axis=1) - log_odds[:, column]).max() < 1e-6


def unpacked(bits: pd.Series) -> np.ndarray:
    return (bits.to_numpy()[:, None] >> np.arange(28, dtype=np.uint32) & 1).astype(bool)
