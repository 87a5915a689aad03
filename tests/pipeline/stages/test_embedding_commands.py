"""The commands of networks and embeddings, as a person types them."""

import re
from pathlib import Path

import imagecodecs
import pandas as pd
import pytest

from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.stages.explain_options import ImportancesOptions
from pipeline.stages.importances import Importances, grouped, read_shares
from tests.pipeline.onnx_net import write_onnx
from tests.pipeline.workfolder import make_workfolder

PICTURES = 24


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Hold what the commands of this module make."""
    return make_workfolder(tmp_path_factory.mktemp("commands"), PICTURES)


@pytest.fixture
def root(work: Workspace, write_sample) -> Path:
    root = work.root.parent
    if not (root / "images").exists():
        for number in range(PICTURES):
            write_sample(root / "images", f"p{number:03}", size=(32, 32), seed=number)
        write_onnx(root / "net.onnx")
    return root


def embed(command_line, root: Path):
    words = ["--images", root / "images", "--work", root / "work", "--onnx", root / "net.onnx", "--jobs", 1]
    return command_line("embed", *words, "--trained-on", "none")


def test_embed_says_what_it_wrote_and_what_comes_next(command_line, root: Path) -> None:
    ended = embed(command_line, root)
    assert ended.status == 0
    assert f"{PICTURES} pictures, 6 columns" in ended.output
    assert "stated by the user: on none of these pictures" in ended.output
    assert "python run.py train --labels" in ended.output


def test_a_second_embed_is_up_to_date(command_line, root: Path) -> None:
    embed(command_line, root)
    table = root / "work" / "embeddings" / "net.parquet"
    before = table.stat().st_mtime_ns
    ended = embed(command_line, root)
    assert f"{PICTURES} pictures, 6 columns (up to date)" in ended.output
    assert table.stat().st_mtime_ns == before


def test_embed_without_a_source_is_told_in_one_line(command_line, root: Path) -> None:
    ended = command_line("embed", "--images", root / "images", "--work", root / "work")
    assert ended.status == 2
    assert "give --network builtin, --checkpoint, --onnx or --table" in ended.errors


def states(command_line, root: Path) -> dict[str, str]:
    lines = command_line("status", "--work", root / "work").output.splitlines()[1:]
    return {words[0]: " ".join(words[1:]) for words in map(str.split, lines) if words}


def test_status_knows_the_networks_that_have_run(command_line, root: Path) -> None:
    embed(command_line, root)
    assert states(command_line, root)["embed-net"] == "done"
    kept = (root / "net.toml").read_text()
    (root / "net.toml").write_text(kept + "\n")
    assert states(command_line, root)["embed-net"] == "stale net.toml changed"
    (root / "net.toml").write_text(kept)


def test_nearest_draws_the_picture_and_those_like_it(command_line, root: Path) -> None:
    embed(command_line, root)
    table, sheet = root / "work" / "embeddings" / "net.parquet", root / "sheet.png"
    words = ["--id", "p003", "--embeddings", table, "--labels", root / "labels.csv", "--top", 4]
    refused = command_line("nearest", *words, "--sheet", sheet)
    assert refused.status == 2
    assert "give the folder of the labelled pictures as --images" in refused.errors
    drawn = command_line("nearest", *words, "--sheet", sheet, "--images", root / "images")
    assert drawn.status == 0
    assert imagecodecs.png_decode(sheet.read_bytes()).shape == (2 * 32 + 4, 3 * 32 + 8, 3)


def test_nearest_shows_pictures_with_their_locations(command_line, root: Path) -> None:
    embed(command_line, root)
    table = root / "work" / "embeddings" / "net.parquet"
    words = ["--id", "p003", "--embeddings", table, "--labels", root / "labels.csv"]
    ended = command_line("nearest", *words, "--work", root / "work", "--top", 3)
    assert ended.status == 0
    assert "antibody" in ended.output
    assert not re.search(r"antibody 1\b", ended.output), "its own group"
    assert "Share of the similarity" in ended.output


def test_networks_trained_here_are_stacked_and_their_part_is_told(command_line, root: Path) -> None:
    base = ["--labels", root / "labels.csv", "--work", root / "work", "--folds", 3, "--jobs", 1]
    tiny = ["--network", "compact", "--side", 32, "--crop", 32, "--epochs", 1, "--batch", 8, "--name", "own"]
    ended = command_line("train-cnn", "--images", root / "images", *base, *tiny)
    assert ended.status == 0, ended.errors
    again = command_line("train-cnn", "--images", root / "images", *base, *tiny)
    assert "(up to date)" in again.output
    table = root / "work" / "embeddings" / "own.parquet"
    assert str(table) in ended.output.replace("\n", "")
    assert command_line("train", *base, "--trials", 0, "--embeddings", table).status == 0
    asked = ImportancesOptions(work=root / "work", embeddings=(table,))
    execute(Importances(), asked, SilentProgress())
    shares = read_shares(Workspace(root / "work"))
    families = grouped(shares, "family")
    assert "own" in families.index
    pd.testing.assert_series_equal(families.sum(), pd.Series(1.0, index=families.columns), check_names=False)
    blocks = grouped(shares, "block")
    assert set(blocks.index) == {"own", "handcrafted"}
    pd.testing.assert_series_equal(blocks.loc["own"], families.loc["own"])
    by_feature = ["--work", root / "work", "--by", "feature", "--top", 100]  # with the table of its training
    told = command_line("importances", "Nucleoplasm", *by_feature)
    assert told.status == 0
    assert "What decides Nucleoplasm" in told.output
    assert states(command_line, root)["train-cnn-own"] == "done"
    other = [*base, "--trials", 0, "--seed", 5, "--embeddings", table]
    refused = command_line("train", *other)
    assert refused.status == 2
    assert "model: was trained with seed 0; give --name NAME to train another one" in refused.errors
    moved = command_line("train", *other, "--overwrite")
    assert moved.status == 2
    assert "in other folds than the stack's" in moved.errors
