"""A saved model predicts alike, and is refused when it is not what was saved."""

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from models.bundle import FORMAT, load_model, save_model
from models.stack_model import STACK, TOP_TWO
from models.stacking import StackedLocations


@pytest.fixture
def folder(stack: StackedLocations, tmp_path: Path) -> Path:
    save_model(stack.model_, tmp_path / "model", {"pictures": 90})
    return tmp_path / "model"


def test_a_model_read_back_predicts_alike_to_the_bit(
    stack: StackedLocations, folder: Path, joined: pd.DataFrame
) -> None:
    model = load_model(folder)
    assert model.card == {"pictures": 90}
    assert model.locations == stack.model_.locations
    assert model.columns == stack.model_.columns
    for name in (STACK, TOP_TWO, "Cytosol"):
        ours, theirs = model.stack.predict(joined, name), stack.model_.predict(joined, name)
        assert ours.probability.equals(theirs.probability)
        assert ours.chosen.equals(theirs.chosen)
    assert model.predict(joined).probability.equals(stack.model_.predict(joined).probability)
    assert model.stack.contributions(joined, "Cytosol").equals(stack.model_.contributions(joined, "Cytosol"))


def test_nothing_in_it_is_pickled(folder: Path) -> None:
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".txt", ".npz"}


def test_the_same_model_is_written_as_the_same_bytes(
    stack: StackedLocations, folder: Path, tmp_path: Path
) -> None:
    save_model(stack.model_, tmp_path / "again", {"pictures": 90})
    assert (tmp_path / "again" / "manifest.json").read_bytes() == (folder / "manifest.json").read_bytes()


@pytest.mark.parametrize(
    "name", ["weights.npz", "model.json", "card.json", "learners/00_block0_lightgbm.txt"]
)
def test_a_changed_file_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: changed since it was saved"):
        load_model(folder)


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / "learners" / "01_block1_xgboost.json").unlink()
    with pytest.raises(ValueError, match=r"01_block1_xgboost.json: missing from the model"):
        load_model(folder)


def test_an_unknown_version_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(ValueError, match="model format 99 is not known"):
        load_model(folder)


def test_a_folder_without_a_model_is_refused(folder: Path) -> None:
    shutil.rmtree(folder)
    with pytest.raises(ValueError, match="no trained model here"):
        load_model(folder)


def sign(folder: Path, names: list[str]) -> None:
    """Write a manifest of these files as they are now."""
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / "manifest.json").write_text(json.dumps({"format": FORMAT, "sha256": digests}))


def test_a_manifest_that_lists_nothing_is_refused(folder: Path) -> None:
    sign(folder, [])
    with pytest.raises(ValueError, match=r"not a model \(KeyError: 'model.json'\)"):
        load_model(folder)


@pytest.mark.parametrize(
    ("name", "junk"),
    [
        ("model.json", b"[]"),
        ("model.json", b'{"blocks": 1}'),
        ("weights.npz", b"PK junk"),
        ("weights.npz", b""),
        ("learners/00_block0_lightgbm.txt", b"junk"),
        ("learners/00_block1_xgboost.json", b"{}"),
    ],
)
def test_junk_that_is_signed_is_refused(folder: Path, name: str, junk: bytes) -> None:
    names = list(json.loads((folder / "manifest.json").read_text())["sha256"])
    (folder / name).write_bytes(junk)
    sign(folder, names)
    with pytest.raises(ValueError, match=r"not a model .*train it again"):
        load_model(folder)


def test_a_broken_manifest_is_refused(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="not a model's manifest"):
        load_model(folder)
