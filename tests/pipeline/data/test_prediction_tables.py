"""Other networks' predictions become a block of the stack, with or without pictures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from models.bundle import load_model
from models.folds import stratified_group_folds
from models.stacking import StackedLocations
from pipeline.core.errors import PipelineError
from pipeline.core.progress import SilentProgress
from pipeline.data.locations import LOCATIONS
from pipeline.data.prediction_tables import read_outputs
from pipeline.stages.options import TrainOptions
from pipeline.stages.train import train
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
    assert np.allclose(
        1 / (1 + np.exp(6 - 12 * named)), table[list(LOCATIONS)].clip(0.0025, 0.9975), atol=1e-4
    )
    hard = read.filter(like="cnn__sets__output_")
    assert hard.iloc[0].to_numpy().nonzero()[0].tolist() == [0, 25]
    assert not hard.iloc[1].any()
    assert hard.iloc[58:].isna().all(axis=None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Id,a\nx,0.5\n", "1 columns beside Id; give one per location"),
        ("Id,Target\nx,31\n", "label '31' is not one of 0-27"),
        ("Name,Target\nx,3\n", "no column Id"),
        ("Id,Target\nx,3\nx,4\n", "Id 'x' occurs twice"),
        ("Id," + ",".join(LOCATIONS) + "\nx" + ",1.5" * 28 + "\n", "holds 1.5; give probabilities"),
        ("Id," + ",".join(LOCATIONS) + "\nx" + ",high" * 28 + "\n", "give numbers"),
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
    train(options, SilentProgress())
    model = load_model(work.model)
    assert list(model.stack.blocks) == ["features", "outputs"]
    assert {path.name for path in (work.model / "learners").glob("all_*")} == {
        "all_block1_label_powerset.safetensors",
        "all_block1_pooled_trees.json",
    }
    assert len(model.locations) == 4  # the fourth is too rare for learners of one location
    given = [word for path in paths for word in ("--outputs", str(path))]
    runner = CliRunner()
    ended = runner.invoke(app, ["importances", "Cytosol", "--work", str(work.root), *given])
    assert ended.exit_code == 0
    with pytest.raises(PipelineError, match="as --embeddings or --outputs"):
        raise runner.invoke(app, ["importances", "Cytosol", "--work", str(work.root)]).exception


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
