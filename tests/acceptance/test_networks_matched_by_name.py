"""Embeddings and predictions of networks: matched by name, or one line that says what does not match."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.data.locations import LOCATIONS
from tests.acceptance.conftest import TRAINING, Simulated, out_of_fold, quietly, refusal, targets
from tests.acceptance.fields import read_table, write_table
from tests.conftest import CommandLine, Ended

SIMULATED = (0, 21, 23, 25)
"""Class indices of the locations that are simulated."""


def same_answers(first: Path, second: Path) -> None:
    """Check that two files of predictions are the same, word for word."""
    assert first.read_text(encoding="utf-8") == second.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def embedded(simulated: Simulated, tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """Return a model of the pictures and of eight named numbers of each, and these numbers.

    Four of them tell the picture's locations. The model's own pictures are predicted into `expected.csv`.
    """
    root = tmp_path_factory.mktemp("embedded")
    known = targets(simulated)
    rng = np.random.default_rng(0)
    truth = np.array([[k in listed for k in SIMULATED] for listed in known.values()], float)
    values = np.hstack([2 * truth + rng.normal(0, 0.3, truth.shape), rng.normal(size=truth.shape)])
    table = pd.DataFrame(values, columns=["a", "b", "c", "d", "n1", "n2", "n3", "n4"])
    table.insert(0, "Id", list(known))
    table.to_csv(root / "net.csv", index=False)
    shutil.copytree(simulated.work, root / "work")
    given = ["--embeddings", root / "net.csv"]
    quietly("train", "--labels", simulated.labels, "--work", root / "work", *TRAINING, *given)
    pictures = ["--images", simulated.images, "--samples", simulated.samples, "--jobs", 1]
    output = ["--output", root / "expected.csv", "--work", root / "new"]
    quietly("predict", "--model", root / "work" / "model", *pictures, *output, *given)
    return root, table


@pytest.fixture
def embedding(embedded: tuple[Path, pd.DataFrame]) -> pd.DataFrame:
    return embedded[1].copy()


@pytest.fixture
def expected(embedded: tuple[Path, pd.DataFrame]) -> Path:
    return embedded[0] / "expected.csv"


@pytest.fixture
def predict(command_line: CommandLine, simulated: Simulated, embedded, tmp_path) -> Callable[..., Ended]:
    """Predict the simulated pictures, measured already, by the model of the embedding or another."""

    def call(name: str, *more: object, model: Path = embedded[0] / "work" / "model") -> Ended:
        pictures = ["--images", simulated.images, "--samples", simulated.samples, "--jobs", 1]
        output = ["--output", tmp_path / name, "--work", embedded[0] / "new"]
        return command_line("predict", "--model", model, *pictures, *output, *more)

    return call


ORDER = ["n4", "d", "n3", "c", "Id", "n2", "b", "n1", "a"]


@pytest.mark.parametrize("form", ["csv", "parquet", "rows", "index", "unnamed", "semicolons"])
def test_columns_of_embeddings_are_matched_by_name(expected, predict, embedding, tmp_path, form):
    (tmp_path / "new").mkdir()
    table = tmp_path / "new" / f"net.{'parquet' if form == 'parquet' else 'csv'}"
    if form == "parquet":
        embedding[ORDER].to_parquet(table, index=False)
    elif form == "rows":
        embedding[::-1].to_csv(table, index=False)
    elif form == "index":
        embedding[ORDER].reset_index(names="Unnamed: 0").to_csv(table, index=False)
    elif form == "unnamed":
        embedding[ORDER].to_csv(table)
    elif form == "semicolons":
        embedding[ORDER].to_csv(table, index=False, sep=";", decimal=",")
    else:
        embedding[ORDER].to_csv(table, index=False)
    ended = predict("other.csv", "--embeddings", table)
    assert ended.status == 0
    same_answers(expected, tmp_path / "other.csv")


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        (["Id", "b", "a", "c", "d", "n1", "n2", "n3"], "n4"),
        (["Id", "a", "b", "c", "d", "n1", "n2", "n3", "n4", "more"], "more"),
        (["Id", "a", "b", "c", "d", "n1", "n2", "n3", "n04"], "n04"),
        (["Id", "a", "b", "c", "d", "n1", "n2", "n3", "n4", "n4"], "n4"),
    ],
    ids=["missing", "additional", "misspelt", "doubled"],
)
def test_other_columns_of_embeddings_are_named(predict, embedding, tmp_path, columns, named):
    values = embedding.assign(more=0.0, n04=0.0)[columns]
    table = write_table(tmp_path / "new" / "net.csv", columns, values.to_numpy().tolist())
    said = refusal(predict("other.csv", "--embeddings", table))
    assert "net.csv" in said
    assert repr(named) in said or named in re.split(r"[\s,;:()]+", said)
    assert not (tmp_path / "other.csv").exists()


def test_numbers_as_names_of_columns_are_matched_as_numbers(train, predict, embedding, work, tmp_path):
    """Twelve columns 0 to 11, and again as another program sorts their names: 0, 1, 10, 11, 2."""
    wide = pd.concat([embedding, embedding[["a", "b", "c", "d"]] ** 2], axis=1)
    wide.columns = pd.Index(["Id", *map(str, range(12))])
    table = tmp_path / "net.csv"
    wide.to_csv(table, index=False)
    assert train("--embeddings", table).status == 0
    assert predict("expected.csv", "--embeddings", table, model=work / "model").status == 0
    wide[["Id", *sorted(map(str, range(12)))]].to_csv(table, index=False)
    assert predict("other.csv", "--embeddings", table, model=work / "model").status == 0
    same_answers(tmp_path / "expected.csv", tmp_path / "other.csv")


def test_a_row_twice_counts_once_and_two_rows_of_one_picture_are_refused(
    expected, predict, embedding, tmp_path
):
    table = tmp_path / "net.csv"
    pd.concat([embedding, embedding[5:9]]).to_csv(table, index=False)
    assert predict("other.csv", "--embeddings", table).status == 0
    same_answers(expected, tmp_path / "other.csv")
    embedding.assign(Id=embedding["Id"].replace(embedding.loc[5, "Id"], embedding.loc[6, "Id"])).to_csv(
        table, index=False
    )
    assert embedding.loc[6, "Id"] in refusal(predict("none.csv", "--embeddings", table))


def test_pictures_without_an_embedding_are_told(embedded, predict, embedding, tmp_path):
    embedding[:40].to_csv(tmp_path / "net.csv", index=False)
    ended = predict("other.csv", "--embeddings", tmp_path / "net.csv")
    if ended.status == 0:
        listed = {row["sample"] for row in read_table(embedded[0] / "new" / "problems.csv")}
        assert "40 of 48" in ended.output + ended.errors
        assert set(embedding["Id"][40:]) <= listed
    else:
        assert "net.csv" in refusal(ended)


def test_networks_are_matched_by_their_names(train, predict, work, embedding, tmp_path):
    names = [["Id", "a", "b", "n1", "n2"], ["Id", "c", "d", "n3", "n4"]]
    tables = [tmp_path / "first.csv", tmp_path / "second.csv"]
    for path, columns in zip(tables, names, strict=True):
        embedding[columns].set_axis(["Id", "w", "x", "y", "z"], axis=1).to_csv(path, index=False)
    given = [["--embeddings", path] for path in tables]
    assert train(*given[0], *given[1]).status == 0
    assert predict("expected.csv", *given[0], *given[1], model=work / "model").status == 0
    assert predict("other.csv", *given[1], *given[0], model=work / "model").status == 0
    same_answers(tmp_path / "expected.csv", tmp_path / "other.csv")
    third = ["--embeddings", shutil.copy(tables[1], tmp_path / "third.csv")]
    assert "second" in refusal(predict("none.csv", *given[0], model=work / "model"))
    assert "third" in refusal(predict("none.csv", *given[0], *third, model=work / "model"))


def test_a_table_that_is_not_there_is_told_before_anything_is_measured(
    command_line, simulated, embedded, tmp_path
):
    pictures = ["--images", simulated.images, "--output", tmp_path / "o.csv", "--work", tmp_path / "new"]
    model = ["--model", embedded[0] / "work" / "model", "--embeddings", tmp_path / "gone" / "net.csv"]
    assert "net.csv" in refusal(command_line("predict", *pictures, *model))
    assert not (tmp_path / "new" / "masks").exists()


@pytest.mark.parametrize("rows", [43, 49], ids=["short", "long"])
def test_arrays_of_another_length_than_the_ids_are_refused(train, embedding, tmp_path, rows):
    values = np.resize(embedding.drop(columns="Id").to_numpy(np.float32), (rows, 8))
    np.savez(tmp_path / "net.npz", ids=embedding["Id"].to_numpy(str), emb=values)
    said = refusal(train("--embeddings", tmp_path / "net.npz"))
    assert "net.npz" in said
    assert "48" in said
    assert str(rows) in said


def test_a_scalar_beside_the_arrays_changes_nothing(train, simulated, work, embedding, tmp_path):
    arrays = {"ids": embedding["Id"].to_numpy(str), "emb": embedding.drop(columns="Id").to_numpy(np.float32)}
    np.savez(tmp_path / "net.npz", **arrays)
    assert train("--embeddings", tmp_path / "net.npz").status == 0
    expected = out_of_fold(work)
    shutil.rmtree(work)
    shutil.copytree(simulated.work, work)
    np.savez(tmp_path / "net.npz", epoch=12, **arrays)
    assert train("--embeddings", tmp_path / "net.npz").status == 0
    pd.testing.assert_frame_equal(out_of_fold(work), expected, check_exact=True)


def test_ids_as_objects_say_how_to_write_them(train, embedding, tmp_path):
    values = embedding.drop(columns="Id").to_numpy(np.float32)
    np.savez(tmp_path / "net.npz", ids=embedding["Id"].to_numpy(object), emb=values)
    said = refusal(train("--embeddings", tmp_path / "net.npz"))
    assert "net.npz" in said
    assert "astype(str)" in said


@pytest.mark.parametrize("value", ["inf", "-inf", "1e300", "nan", "-3.5e38"])
@pytest.mark.parametrize("command", ["train", "embed"])
@pytest.mark.parametrize("ending", ["csv", "parquet", "npz"])
def test_numbers_beyond_all_bounds_are_named(
    train, command_line, embedding, work, tmp_path, command, value, ending
):
    values = embedding.copy()
    values.loc[3, "b"] = float(value)
    path = tmp_path / f"net.{ending}"
    if ending == "npz":
        np.savez(path, ids=values["Id"].to_numpy(str), emb=values.drop(columns="Id").to_numpy())
    else:
        (values.to_csv if ending == "csv" else values.to_parquet)(path, index=False)
    call = {
        "train": lambda: train("--embeddings", path),
        "embed": lambda: command_line("embed", "--table", path, "--work", work),
    }[command]
    said = refusal(call())
    assert path.name in said
    assert values.loc[3, "Id"] in said
    assert ending == "npz" or "'b'" in said or " b" in said


def test_words_in_embeddings_are_named(train, embedding, tmp_path):
    embedding.astype(object).replace({embedding.loc[3, "b"]: "n.d."}).to_csv(tmp_path / "n.csv", index=False)
    said = refusal(train("--embeddings", tmp_path / "n.csv"))
    assert "n.csv" in said
    assert "'n.d.'" in said


@pytest.mark.parametrize(("ending", "listed", "count"), [(".png", 48, 0), ("", 48, 48), ("", 5, 5)])
def test_the_leak_guard_says_how_many_ids_are_among_the_pictures(
    train, command_line, embedding, work, tmp_path, ids, ending, listed, count
):
    embedding.to_csv(tmp_path / "net.csv", index=False)
    seen = write_table(tmp_path / "seen.csv", ["Id"], [[name + ending] for name in ids[:listed]])
    ended = command_line("embed", "--table", tmp_path / "net.csv", "--work", work, "--trained-on", seen)
    said = ended.output + ended.errors
    assert ended.status == 0
    assert re.search(rf"\b{count} of the {listed} ids", said)
    if not count:
        assert any(repr(name + ending) in said for name in ids)
        assert any(repr(name) in said for name in ids)
    trained = train("--embeddings", work / "embeddings" / "net.parquet")
    if count:
        assert "leak" in refusal(trained)
    else:
        assert re.search(rf"\b0 of the {listed} ids", trained.output + trained.errors)


@pytest.fixture(scope="session")
def stacked(simulated: Simulated, tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """Return a model of one network's predictions, and these: a probability per location and picture."""
    root = tmp_path_factory.mktemp("stacked")
    known = targets(simulated)
    truth = np.array([[k in listed for k in range(28)] for listed in known.values()], float)
    values = np.clip(0.8 * truth + 0.1 + np.random.default_rng(0).normal(0, 0.05, truth.shape), 0, 1)
    table = pd.DataFrame(values, columns=list(LOCATIONS))
    table.insert(0, "Id", list(known))
    table.to_csv(root / "net.csv", index=False)
    given = ["--outputs", root / "net.csv", "--jobs", 1]
    options = ["--labels", simulated.labels, "--work", root / "work", "--folds", 3, "--trials", 0]
    quietly("train", *options, *given)
    quietly("predict", "--model", root / "work" / "model", "--output", root / "expected.csv", *given)
    return root, table


@pytest.fixture
def outputs(stacked: tuple[Path, pd.DataFrame]) -> pd.DataFrame:
    return stacked[1].copy()


@pytest.fixture
def predict_outputs(command_line: CommandLine, stacked, tmp_path) -> Callable[..., Ended]:
    """Predict by the model of the network's predictions."""

    def call(table: Path) -> Ended:
        output = ["--output", tmp_path / "other.csv", "--jobs", 1]
        return command_line("predict", "--model", stacked[0] / "work" / "model", "--outputs", table, *output)

    return call


@pytest.mark.parametrize(
    "form", ["alphabetical", "numbers", "numbers as words", "capitals", "semicolons", "index", "parquet"]
)
def test_columns_of_outputs_are_matched_by_name(stacked, predict_outputs, outputs, tmp_path, form):
    names = list(outputs.columns[1:])
    ordered = outputs[["Id", *sorted(names)]]
    path = tmp_path / f"net.{'parquet' if form == 'parquet' else 'csv'}"
    if form.startswith("numbers"):
        numbered = outputs.set_axis(["Id", *map(str, range(28))], axis=1)
        order = sorted(map(str, range(28)), key=str if "words" in form else int)
        numbered[["Id", *order]].to_csv(path, index=False)
    elif form == "capitals":
        ordered.rename(columns=lambda name: f" {name.upper()} ").to_csv(path, index=False)
    elif form == "semicolons":
        ordered.to_csv(path, index=False, sep=";", decimal=",")
    elif form == "index":
        ordered.to_csv(path)
    elif form == "parquet":
        ordered.to_parquet(path, index=False)
    else:
        ordered.to_csv(path, index=False)
    assert predict_outputs(path).status == 0
    same_answers(stacked[0] / "expected.csv", tmp_path / "other.csv")


@pytest.mark.parametrize(
    ("old", "new"),
    [("Rods & rings", "Rods and rings"), ("Nucleoplasm", "Nucleoplasma"), ("Cytosol", "Cytosol.1")],
)
def test_a_misspelt_location_is_named(predict_outputs, outputs, tmp_path, old, new):
    ordered = outputs[["Id", *sorted(outputs.columns[1:])]].rename(columns={old: new})
    ordered.to_csv(tmp_path / "net.csv", index=False)
    said = refusal(predict_outputs(tmp_path / "net.csv"))
    assert "net.csv" in said
    assert new in said
    assert old in said


def test_a_missing_location_is_named(predict_outputs, outputs, tmp_path):
    outputs.drop(columns="Cytosol").to_csv(tmp_path / "net.csv", index=False)
    said = refusal(predict_outputs(tmp_path / "net.csv"))
    assert "Cytosol" in said


@pytest.mark.parametrize("value", [1.5, -0.01, np.inf])
def test_probabilities_that_are_none_are_named(predict_outputs, outputs, tmp_path, value):
    outputs.loc[3, "Cytosol"] = value
    outputs.to_csv(tmp_path / "net.csv", index=False)
    said = refusal(predict_outputs(tmp_path / "net.csv"))
    assert "net.csv" in said
    assert outputs.loc[3, "Id"] in said
    assert "Cytosol" in said


def test_outputs_of_other_pictures_quote_both_sides(command_line, simulated, work, outputs, tmp_path, ids):
    outputs["Id"] += ".png"
    outputs.to_csv(tmp_path / "net.csv", index=False)
    options = ["--labels", simulated.labels, "--work", work, "--outputs", tmp_path / "net.csv"]
    said = refusal(command_line("train", *options, *TRAINING))
    assert "net.csv" in said
    assert any(repr(f"{name}.png") in said for name in ids)
    assert any(repr(name) in said for name in ids)
