"""Tables beside the pictures: matched by Id and by name, or one line that says what does not match."""

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.data.locations import LOCATIONS
from tests.acceptance.conftest import Simulated, quietly, refusal
from tests.acceptance.fields import read_table, write_table
from tests.conftest import CommandLine, Ended

TRAINING = ["--folds", 3, "--trials", 0, "--boosters", "lightgbm", "--jobs", 1]
SIMULATED = (0, 21, 23, 25)


@pytest.fixture
def work(simulated: Simulated, tmp_path) -> Path:
    """Return a copy of the measured work folder."""
    return Path(shutil.copytree(simulated.work, tmp_path / "work"))


@pytest.fixture
def train(command_line: CommandLine, simulated: Simulated, work: Path) -> Callable[..., Ended]:
    """Train on the simulated pictures, with tables beside them."""

    def call(*more: object, labels: Path = simulated.labels) -> Ended:
        return command_line("train", "--labels", labels, "--work", work, *TRAINING, *more)

    return call


def out_of_fold(work: Path) -> pd.DataFrame:
    return pd.read_parquet(work / "out_of_fold.parquet")


def same_answers(first: Path, second: Path) -> None:
    """Check that two files of predictions are the same, word for word."""
    assert first.read_text(encoding="utf-8") == second.read_text(encoding="utf-8")


def targets(simulated: Simulated) -> dict[str, list[int]]:
    """Return the class indices of every picture's locations."""
    return {row["Id"]: [int(k) for k in row["Target"].split()] for row in read_table(simulated.labels)}


@pytest.fixture
def ids(simulated: Simulated) -> list[str]:
    return list(targets(simulated))


@pytest.fixture
def groups(simulated: Simulated) -> dict[str, str]:
    return {row["Id"]: row["group"] for row in read_table(simulated.groups)}


# Groups


@pytest.mark.parametrize("ending", [".png", ".tif", "_green.png", "_green"])
def test_groups_of_no_picture_are_refused(train, work, tmp_path, groups, ending):
    table = write_table(tmp_path / "g.csv", ["Id", "group"], [[i + ending, g] for i, g in groups.items()])
    said = refusal(train("--groups", table))
    assert "g.csv" in said
    assert any(repr(i + ending) in said for i in groups)
    assert any(repr(i) in said for i in groups)
    assert not (work / "model").exists()


def test_pictures_without_a_group_are_told_and_no_score_is_called_grouped(
    train, command_line, work, tmp_path, groups
):
    rows = [[i if k < 10 else f"{i}.png", group] for k, (i, group) in enumerate(groups.items())]
    ended = train("--groups", write_table(tmp_path / "g.csv", ["Id", "group"], rows))
    assert ended.status == 0
    assert "10 of 48" in ended.output + ended.errors
    listed = {row["sample"] for row in read_table(work / "problems.csv") if "group" in row["reason"]}
    assert listed == set(list(groups)[10:])
    scored = command_line("evaluate", "--work", work, "--draws", 100)
    assert scored.status == 0
    assert not re.search(r"^\(B\).*\d\.\d{3}", scored.output, flags=re.MULTILINE)
    assert "Protocol: 3-fold cross-validation of 48 pictures, (B)" not in scored.output


def test_groups_of_all_pictures_are_called_so(train, command_line, simulated, work):
    assert "27 groups" in train("--groups", simulated.groups).output
    assert re.search(
        r"^\(B\) 27 groups .*0\.\d{3}", command_line("evaluate", "--work", work).output, flags=re.MULTILINE
    )


@pytest.mark.parametrize("space", [" ", "\t", "\N{NO-BREAK SPACE}"])
def test_spaces_around_groups_and_ids_change_nothing(train, simulated, work, tmp_path, groups, space):
    train("--groups", simulated.groups)
    expected = out_of_fold(work)
    shutil.rmtree(work)
    shutil.copytree(simulated.work, work)
    rows = [[i + space * (k % 2), g + space * (k // 2 % 2)] for k, (i, g) in enumerate(groups.items())]
    assert "27 groups" in train("--groups", write_table(tmp_path / "g.csv", ["Id", "group"], rows)).output
    pd.testing.assert_frame_equal(out_of_fold(work), expected, check_exact=True)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_groups_of_a_spreadsheet_are_read(train, tmp_path, groups, encoding):
    table = write_table(tmp_path / "g.csv", ["ID", "Group"], groups.items(), ";")
    table.write_bytes(table.read_bytes().decode().replace("\n", "\r\n").encode(encoding))
    assert "27 groups" in train("--groups", table).output


def test_two_groups_of_one_picture_are_told(train, tmp_path, groups, ids):
    rows = [*groups.items(), (ids[5], "another")]
    ended = train("--groups", write_table(tmp_path / "g.csv", ["Id", "group"], rows))
    assert ids[5] in ended.errors + ended.output


# Labels


def spelt(simulated: Simulated, spell: Callable[[Sequence[int]], str]) -> list[list[str]]:
    return [[name, spell(known)] for name, known in targets(simulated).items()]


@pytest.fixture
def score(command_line: CommandLine, simulated: Simulated) -> Callable[[Path], str]:
    """Score one annotator's answers, the truth but for the first picture, against labels."""

    def call(labels: Path) -> str:
        answers = spelt(simulated, lambda known: " ".join(map(str, known)))
        answers[0][1] = "7"
        table = write_table(labels.parent / "answers.csv", ["Id", "Guess"], answers)
        ended = command_line("baseline", "--labels", labels, "--answers", table, "--draws", 100)
        assert (ended.status, ended.errors) == (0, "")
        return ended.output.replace(str(labels), "LABELS")

    return call


SPELLINGS: dict[str, Callable[[Sequence[int]], str]] = {
    "bars": lambda known: "|".join(map(str, known)),
    "commas": lambda known: ", ".join(map(str, known)),
    "semicolons": lambda known: ";".join(map(str, known)),
    "floats": lambda known: " ".join(f"{k}.0" for k in known),
    "names": lambda known: "|".join(LOCATIONS[k] for k in known),
    "many spaces": lambda known: "  ".join(["", *map(str, known), "\N{NO-BREAK SPACE}"]),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_labels_in_another_spelling_are_the_same(score, simulated, tmp_path, spelling):
    table = write_table(tmp_path / "l.csv", ["Id", "Target"], spelt(simulated, SPELLINGS[spelling]))
    assert score(table) == score(simulated.labels)


@pytest.mark.parametrize(
    "form", ["twice", "comma", "index", "bom", "utf-16", "semicolons", "tabs", "reversed", "capitals"]
)
def test_labels_in_another_table_are_the_same(score, simulated, tmp_path, form):
    rows = spelt(simulated, lambda known: " ".join(map(str, known)))
    header, separator = ["Id", "Target"], {"semicolons": ";", "tabs": "\t"}.get(form, ",")
    if form == "twice":
        rows = [*rows, *rows[:6]]
    elif form == "comma":
        rows = [[*row, ""] for row in rows]
    elif form == "index":
        header, rows = ["", *header], [[str(k), *row] for k, row in enumerate(rows)]
    elif form == "reversed":
        rows = rows[::-1]
    elif form == "capitals":
        header = ["ID ", " TARGET"]
    table = write_table(tmp_path / "l.csv", header, rows, separator)
    encoding = {"bom": "utf-8-sig", "utf-16": "utf-16"}.get(form, "utf-8")
    table.write_bytes(table.read_bytes().decode().encode(encoding))
    assert score(table) == score(simulated.labels)


@pytest.mark.parametrize("spelling", ["bars", "floats"])
def test_a_model_does_not_depend_on_how_labels_are_spelt(train, simulated, work, tmp_path, spelling):
    train()
    expected = out_of_fold(work)
    shutil.rmtree(work)
    shutil.copytree(simulated.work, work)
    table = write_table(tmp_path / "l.csv", ["Id", "Target"], spelt(simulated, SPELLINGS[spelling]))
    assert train(labels=table).status == 0
    pd.testing.assert_frame_equal(out_of_fold(work), expected, check_exact=True)


def test_labels_that_fail_wherever_there_are_several_are_refused(train, simulated, tmp_path):
    several = sum(len(known) > 1 for known in targets(simulated).values())
    rows = spelt(simulated, lambda known: "/".join(map(str, known)))
    said = refusal(train(labels=write_table(tmp_path / "l.csv", ["Id", "Target"], rows)))
    assert "l.csv" in said
    assert f"{several} of 48" in said


def test_classes_of_the_competition_of_2021_are_not_taken_for_these(train, simulated, tmp_path):
    rows = spelt(simulated, lambda known: "|".join(str(k % 19) for k in known))
    said = refusal(train(labels=write_table(tmp_path / "l.csv", ["ID", "Label"], rows)))
    assert "l.csv" in said
    assert "2021" in said


@pytest.mark.parametrize("ending", [".png", "_green.png"])
def test_labels_of_other_pictures_quote_both_sides(train, simulated, tmp_path, ids, ending):
    rows = [[name + ending, target] for name, target in spelt(simulated, SPELLINGS["bars"])]
    said = refusal(train(labels=write_table(tmp_path / "l.csv", ["Id", "Target"], rows)))
    assert "l.csv" in said
    assert any(repr(name + ending) in said for name in ids)
    assert any(repr(name) in said for name in ids)


# Embeddings


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
    assert not (tmp_path / "new").exists()


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


# Leaks


@pytest.mark.parametrize(("ending", "listed", "count"), [(".png", 48, 0), ("", 48, 48), ("", 5, 5)])
def test_the_leak_guard_says_how_many_ids_are_among_the_pictures(
    train, command_line, embedding, work, tmp_path, ids, ending, listed, count
):
    embedding.to_csv(tmp_path / "net.csv", index=False)
    seen = write_table(tmp_path / "seen.csv", ["Id"], [[name + ending] for name in ids[:listed]])
    ended = command_line("embed", "--table", tmp_path / "net.csv", "--work", work, "--trained-on", seen)
    said = ended.output + ended.errors
    assert ended.status == 0
    assert f"{count} of {listed}" in said
    if not count:
        assert any(repr(name + ending) in said for name in ids)
        assert any(repr(name) in said for name in ids)
    trained = train("--embeddings", work / "embeddings" / "net.parquet")
    if count:
        assert "leak" in refusal(trained)
    else:
        assert f"{count} of {listed}" in trained.output + trained.errors


# Other networks' predictions


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


@pytest.mark.parametrize("value", [1.5, -0.01, np.nan, np.inf])
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
