"""The closest labelled pictures in the space of an embedding."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.weights import write_card
from pipeline.core.workspace import Workspace
from pipeline.networks.leak_guard import TableCard
from pipeline.stages.nearest import NearestOptions, nearest, similarities

IDS = list("abcdef")
DIRECTIONS = np.array([[1, 0], [1, 0.1], [0.9, 0], [-1, 0], [-1, 0.1], [0, -1]], float)


@pytest.fixture
def options(tmp_path: Path) -> NearestOptions:
    table = pd.DataFrame(DIRECTIONS * [1, 1000], columns=["x", "y"]).assign(Id=IDS)
    table.to_csv(tmp_path / "net.csv", index=False)
    labels = pd.DataFrame({"Id": IDS[:5], "Target": ["0", "0 2", "0", "25", "25"]})
    labels.to_csv(tmp_path / "labels.csv", index=False)
    work = Workspace(tmp_path / "work")
    work.root.mkdir()
    groups = ["g1", "g2", "g1", "g3", "g3", None]
    pd.DataFrame({"Id": IDS, "group": groups}).to_parquet(work.samples)
    return NearestOptions(id="a", embeddings=tmp_path / "net.csv", labels=tmp_path / "labels.csv")


def test_the_most_alike_come_first_whatever_the_units_of_a_column(options: NearestOptions) -> None:
    found = nearest(options.model_copy(update={"top": 2}))
    assert list(found.table["Id"]) == ["c", "b"]
    assert list(found.table["locations"]) == ["Nucleoplasm", "Nucleoplasm; Nucleoli"]
    assert found.table["similarity"].is_monotonic_decreasing
    assert found.votes["Nucleoplasm"] == pytest.approx(1.0)
    assert 0 < found.votes["Nucleoli"] < 1


def test_pictures_of_its_own_group_are_left_out_unless_asked_for(options: NearestOptions) -> None:
    with_groups = options.model_copy(update={"work": options.embeddings.parent / "work"})
    assert "c" not in set(nearest(with_groups).table["Id"])
    everyone = nearest(with_groups.model_copy(update={"same_group": True}))
    assert everyone.table.loc[everyone.table["Id"] == "c", "group"].item() == "g1"


def test_a_picture_without_labels_can_be_asked_about(options: NearestOptions) -> None:
    assert "f" not in set(nearest(options).table["Id"])
    assert len(nearest(options.model_copy(update={"id": "f"})).table) == 5


def test_a_new_picture_comes_from_a_table_of_its_own(options: NearestOptions, tmp_path: Path) -> None:
    new = tmp_path / "new" / "net.csv"
    new.parent.mkdir()
    pd.DataFrame({"Id": ["n"], "x": [-1.0], "y": [50.0]}).to_csv(new, index=False)
    found = nearest(options.model_copy(update={"id": "n", "query": new, "top": 1}))
    assert found.table["locations"].item() == "Cytosol"


def test_labels_of_other_ids_are_told(options: NearestOptions) -> None:
    options.labels.write_text("Id,Target\na.png,0\nb.png,0\n")
    with pytest.raises(PipelineError, match=r"labels\.csv: none of its 2 ids .* has 'a\.png', where .* 'a'"):
        nearest(options)


def test_a_picture_like_the_mean_of_all_is_like_none() -> None:
    rows = pd.DataFrame(DIRECTIONS, index=IDS, columns=["x", "y"])
    assert similarities(rows, rows.mean()).eq(0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "z"}, "no picture 'z'; it holds 6, such as a, b, c"),
        ({"query": Path("other.csv")}, "other columns than .*; embed both by one network"),
        ({"work": Path("nowhere")}, "samples.parquet: missing; run extract"),
    ],
)
def test_what_cannot_be_compared_is_told(
    options: NearestOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"Id": ["a"], "x": [1.0]}).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(PipelineError, match=message):
        nearest(options.model_copy(update=change))


def test_embeddings_of_different_networks_are_refused(options: NearestOptions) -> None:
    write_card(options.embeddings, TableCard(name="net", columns=2, aligned=False))
    with pytest.raises(PipelineError, match="networks whose numbers do not compare"):
        nearest(options)
