"""The stack beside other projects' learners: on the same rows, in the same folds."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import peer_learners, stack_peers

PICTURES = 60


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Write labels of two locations and an embedding that shows them, in groups of two pictures."""
    rng = np.random.default_rng(0)
    truth = rng.random((PICTURES, 2)) < 0.4
    ids = [f"p{number:02}" for number in range(PICTURES)]
    sets = [" ".join(map(str, np.flatnonzero(row))) or "5" for row in truth]
    pd.DataFrame({"Id": ids, "Target": sets}).to_csv(tmp_path / "labels.csv", index=False)
    pd.DataFrame({"Id": ids, "group": np.arange(PICTURES) // 2}).to_csv(tmp_path / "groups.csv", index=False)
    values = rng.normal(size=(PICTURES, 6)).astype(np.float32)
    values[:, :2] += 3 * truth
    table = pd.DataFrame(values, columns=[f"e{number}" for number in range(6)])
    table.insert(0, "Id", ids)
    table.to_parquet(tmp_path / "small.parquet")
    paths = {name: str(tmp_path / name) for name in ("labels.csv", "groups.csv", "small.parquet", "kept")}
    given = ["--labels", paths["labels.csv"], "--groups", paths["groups.csv"], "--kept", paths["kept"]]
    return ["--work", str(tmp_path), *given, "--embeddings", paths["small.parquet"], "--folds", "3"]


def run(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr("sys.argv", ["stack_peers.py", *words])
    stack_peers.main()


def test_peers_are_scored_beside_the_stack_and_kept(monkeypatch, capsys, words):
    monkeypatch.setitem(peer_learners.PEERS, "catboost", ("no_such_package", peer_learners.catboost))
    asked = [*words, "--peers", "extra_trees", "catboost", "autogluon"]
    run(monkeypatch, asked)
    text = capsys.readouterr().out
    assert "catboost: left out; it is not installed: pip install no_such_package" in text
    assert "autogluon: left out; give --autogluon-python" in text
    assert f"{PICTURES} pictures, 30 groups, 3 folds, 3 of 3 locations" in text
    scores = dict(re.findall(r"^(\w+) +macro-F1 (\d\.\d+)", text, re.MULTILINE))
    assert list(scores) == ["stack", "extra_trees"]
    assert min(map(float, scores.values())) > 0.6
    monkeypatch.setitem(peer_learners.PEERS, "extra_trees", ("sklearn", None))
    run(monkeypatch, asked)
    again = capsys.readouterr().out
    assert re.findall(r"macro-F1.*?\)", again) == re.findall(r"macro-F1.*?\)", text)


def test_every_fold_is_predicted_without_its_rows(monkeypatch, words):
    seen = []

    def peer(task: peer_learners.Task) -> np.ndarray:
        seen.append(task)
        return np.full((len(task.asked), task.labels.shape[1]), 0.5)

    monkeypatch.setitem(peer_learners.PEERS, "extra_trees", ("sklearn", peer))
    run(monkeypatch, [*words, "--peers", "extra_trees", "--columns", "2"])
    assert [len(task.known) + len(task.asked) for task in seen] == [PICTURES] * 3
    assert sum(len(task.asked) for task in seen) == PICTURES
    for task in seen:
        assert task.known.shape[1] == 2
        assert not np.isin(task.asked[:, 0], task.known[:, 0]).any()


def test_peers_learn_every_so_many_locations_from_the_rarest_on(monkeypatch, capsys, words):
    widths = []

    def peer(task: peer_learners.Task) -> np.ndarray:
        widths.append(task.labels.shape[1])
        return np.full((len(task.asked), task.labels.shape[1]), 0.5)

    monkeypatch.setitem(peer_learners.PEERS, "extra_trees", ("sklearn", peer))
    run(monkeypatch, [*words, "--peers", "extra_trees", "--every", "2"])
    assert widths == [2] * 3
    assert "2 of 3 locations" in capsys.readouterr().out
    counts = pd.DataFrame({"b": [1, 1, 1], "a": [1, 0, 0], "c": [1, 1, 0]})
    assert stack_peers.every(counts, 2) == ["b", "a"]


def test_missing_values_are_imputed_by_what_is_learned_from():
    known = np.array([[1, np.nan], [3, np.nan]], np.float32)
    task = peer_learners.Task(known, np.ones((2, 1), bool), np.array([[np.nan, 5]], np.float32), 0, 1.0)
    filled, asked = task.imputed()
    assert filled.tolist() == [[1, 0], [3, 0]]
    assert asked.tolist() == [[2, 5]]


def test_a_location_that_cannot_be_learned_gets_its_share():
    labels = np.column_stack([np.arange(6) % 2 == 0, np.arange(6) == 0])
    task = peer_learners.Task(np.ones((6, 1), np.float32), labels, np.ones((2, 1), np.float32), 0, 1.0)
    found = peer_learners.one_by_one(task, lambda *given: np.full(len(given[2]), given[3]))
    np.testing.assert_allclose(found, [[0.5, 1 / 6]] * 2)


def test_extra_trees_know_one_sided_locations():
    labels = np.column_stack([np.arange(6) % 2 == 0, np.ones(6, bool), np.zeros(6, bool)])
    table = np.arange(6, dtype=np.float32)[:, None]
    found = peer_learners.extra_trees(peer_learners.Task(table, labels, table, 0, 1.0))
    assert found[:, 1].min() > 0.99
    assert found[:, 2].max() < 0.01
    np.testing.assert_array_equal(found[:, 0] > 0.5, labels[:, 0])
