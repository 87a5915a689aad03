"""How far predictions can be relied on: the risk of wrong names, from training to the table."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from models.bundle import load_model
from models.risk import level_of
from pipeline.commands.console import RichProgress
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.stages.options import PredictOptions, TrainOptions
from pipeline.stages.predict import Predict
from pipeline.stages.reliance import judged
from pipeline.stages.train import Train
from tests.pipeline.workfolder import make_workfolder

PICTURES = 80


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on features given as a table, so that no picture has to be measured to predict."""
    folder = tmp_path_factory.mktemp("reliance")
    work = make_workfolder(folder, PICTURES)
    pd.read_parquet(work.features).to_csv(folder / "numbers.csv", index=False)
    work.features.unlink()
    tables = {"labels": folder / "labels.csv", "embeddings": (folder / "numbers.csv",)}
    asked = TrainOptions(work=work.root, trials=0, folds=3, jobs=1, risk=0.14, **tables)
    execute(Train(), asked, SilentProgress())
    return folder


def write_new(root: Path) -> Path:
    """Write the training pictures and some between the locations; the file has the training table's name."""
    numbers = pd.read_csv(root / "numbers.csv").set_index("Id")
    between = (numbers.head(30) * 0.3).rename(index=lambda name: f"between {name}")
    path = root / "new" / "numbers.csv"
    path.parent.mkdir(exist_ok=True)
    pd.concat([numbers, between]).to_csv(path)
    return path


def card_of(root: Path) -> dict:
    return json.loads((root / "work" / "model" / "card.json").read_bytes())


def predict(root: Path, name: str, table: Path | None = None, **more: object) -> pd.DataFrame:
    given = {"model": root / "work" / "model", "embeddings": (table or root / "numbers.csv",)} | more
    options = PredictOptions(output=root / f"{name}.csv", work=root / name, jobs=1, **given)
    execute(Predict(), options, RichProgress())
    return pd.read_csv(options.output).set_index("Id")


def pairs(table: pd.DataFrame) -> set[tuple[str, str]]:
    said = table["locations"].fillna("").to_dict()
    return {(sample, name) for sample, names in said.items() for name in names.split("; ") if name}


def test_the_risk_of_the_training_is_used_and_another_calibrated_one_may_be_chosen(root: Path) -> None:
    card = card_of(root)
    assert [level["risk"] for level in card["risk"]["levels"]] == [0.05, 0.1, 0.14, 0.15, 0.2, 0.3, 0.4]
    table = write_new(root)
    at_training, looser = predict(root, "plain", table), predict(root, "looser", table, risk=0.4)
    for table, risk in ((at_training, None), (looser, 0.4)):
        cut = level_of(card["risk"], risk).cut
        assert all(table.loc[sample, name] >= cut - 1e-6 for sample, name in pairs(table))
    assert pairs(at_training) < pairs(looser)
    unsure = at_training[at_training["status"] == "not_sure"]
    assert len(unsure)
    assert unsure["reason"].str.contains("as a risk of 0.14 needs").all()
    assert unsure["locations"].isna().all()


def test_a_risk_that_was_not_calibrated_is_refused_naming_those_that_are(root: Path) -> None:
    with pytest.raises(PipelineError, match=r"risk 0.07 was not calibrated; calibrated: 0.05, .*as --risk"):
        predict(root, "unknown", risk=0.07)


def test_pictures_unlike_those_of_the_training_say_what_is_off_and_keep_their_names(root: Path) -> None:
    numbers = pd.read_csv(root / "numbers.csv").set_index("Id")
    column = numbers.columns[5]
    table = root / "far" / "numbers.csv"
    table.parent.mkdir()
    numbers.iloc[:20] *= 5
    numbers.loc["p003", column] = -1000.0
    numbers.to_csv(table)
    found = predict(root, "far_out", table)
    far = found["status"] == "unlike_training"
    assert far.iloc[:20].mean() > 0.8
    assert far.iloc[20:].mean() <= 0.05
    assert found.loc["p003", "reason"].startswith("unlike the training pictures (score ")
    assert "most by numbers: " in found.loc["p003", "reason"]
    assert "standard deviations below their median" in found.loc["p003", "reason"]
    assert found.loc[far, list(card_of(root)["locations"])].notna().all(axis=None)
    assert found.loc[far, "locations"].notna().any()


def test_a_batch_that_drifts_is_told(root: Path) -> None:
    model = load_model(root / "work" / "model")
    numbers = pd.read_csv(root / "numbers.csv").set_index("Id")
    numbers.columns = model.columns
    plates = pd.Series("plate 1", numbers.index)
    none = pd.Series(dtype=object)
    assert judged(model, numbers, none, plates).told == []
    plates.iloc[40:] = "plate 2"
    numbers.iloc[40:] *= 2
    (line,) = judged(model, numbers, none, plates).told
    assert line.startswith("plate 2: 40 pictures together are less like the training pictures than those are")


def test_a_model_of_an_older_version_names_as_before_and_says_that_it_knows_no_risk(
    root: Path, capsys
) -> None:
    old = root / "old"
    shutil.copytree(root / "work" / "model", old)
    card = card_of(root)
    card.pop("risk")
    write_card(old, card)
    (old / "unlikeness.npz").unlink()
    named = predict(root, "before", model=old)
    assert capsys.readouterr().err.count("the model is of an older version: train again to be told of") == 1
    assert pairs(named) >= pairs(predict(root, "plain"))
    with pytest.raises(PipelineError, match=r"--risk 0.1: .*old was trained by a version that calibrated no"):
        predict(root, "old_risk", model=old, risk=0.1)


def write_card(model: Path, card: dict) -> None:
    """Write a card of an older version, and its digest into the manifest."""
    from hashlib import sha256

    content = json.dumps(card).encode()
    (model / "card.json").write_bytes(content)
    manifest = json.loads((model / "manifest.json").read_bytes())
    manifest["sha256"]["card.json"] = sha256(content).hexdigest()
    manifest["sha256"].pop("unlikeness.npz")
    (model / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
