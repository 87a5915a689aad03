"""What is said of every picture, which pictures a query finds, and the order of the queue."""

import shutil

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress
from pipeline.core.workspace import Workspace
from pipeline.explorer.picture_index import gap, teaching_order, uncertainty
from pipeline.explorer.picture_queries import Query, found, inside
from pipeline.explorer.picture_space import placed
from pipeline.explorer.starting import opened
from pipeline.stages.explore_options import ExploreOptions


def ids(explorer, **asked):
    rows = found(explorer.index, Query(**asked), explorer.space)
    return [str(explorer.index.ids[row]) for row in rows]


def test_probabilities_and_choices_are_those_of_cross_validation(explorer, trained):
    table = pd.read_parquet(trained.out_of_fold)
    table = table[table["model"] == "stack"]
    for row in table.iloc[::17].itertuples():
        at = explorer.index.position(row.Id), explorer.index.locations.columns[row.location]
        assert explorer.index.probability[at] == pytest.approx(row.probability, rel=1e-6)
        assert explorer.index.chosen[at] == row.chosen
        assert explorer.index.given[at] == row.truth


def test_labels_without_a_model_are_shown_too(explorer):
    k = explorer.index.locations.columns["Microtubule ends"]
    assert np.isnan(explorer.index.probability[:, k]).all()
    assert explorer.index.given[:, k].any()
    assert ids(explorer, location="Microtubule ends", show="labelled")


def test_the_gap_is_to_the_label_that_is_farthest_from_its_probability():
    probability = np.array([[0.9, 0.2], [0.1, np.nan], [0.5, 0.5], [np.nan, np.nan]], np.float32)
    given = np.array([[True, True], [False, True], [True, True], [True, False]])
    found = gap(probability, given, np.array([True, True, False, True]))
    assert found == pytest.approx([0.8, 0.1, -1, -1])


def test_uncertainty_is_one_bit_at_one_half_and_none_where_it_is_certain():
    probability = np.array([[0.5, 0.01], [0.0, 1.0], [np.nan, np.nan], [0.11, np.nan]], np.float32)
    assert uncertainty(probability) == pytest.approx([1, 0, 0, 0.5], abs=2e-3)


def test_the_queue_takes_one_picture_of_a_group_at_a_time():
    worth = np.array([0.9, 0.8, 0.7, 0.0, 0.6, 0.95], np.float32)
    groups = np.array(["a", "a", "b", "a", "", ""], dtype=object)
    rank = teaching_order(worth, groups)
    assert np.argsort(rank).tolist() == [5, 0, 2, 4, 1, 3]


def test_filters_keep_what_they_say(explorer):
    index, k = explorer.index, explorer.index.locations.columns["Nucleoli"]
    missed = index.ids[index.given[:, k] & ~index.chosen[:, k]]
    assert sorted(ids(explorer, location="Nucleoli", show="missed")) == sorted(missed)
    sure = ids(explorer, location="Nucleoli", least=0.6, most=0.9, order="probability")
    values = [index.probability[index.position(one), k] for one in sure]
    assert values == sorted(values, reverse=True)
    assert values
    assert all(0.6 <= one <= 0.9 for one in values)
    assert sorted(ids(explorer, group="antibody 3")) == ["p006", "p007"]
    assert ids(explorer, text="P01", order="id") == [f"p{number:03}" for number in range(10, 20)]
    assert ids(explorer, quality="flagged") == []
    assert len(ids(explorer)) == len(ids(explorer, quality="clean")) == 60


def test_pictures_are_sorted_by_what_is_asked(explorer):
    gaps = [
        explorer.index.disagreement[explorer.index.position(one)]
        for one in ids(explorer, order="disagreement")
    ]
    assert gaps == sorted(gaps, reverse=True)
    wrong = [explorer.index.wrong[explorer.index.position(one)] for one in ids(explorer, order="wrong")]
    assert wrong == sorted(wrong, reverse=True)
    assert wrong[0] > 0
    assert ids(explorer, order="id", reverse="yes") == ids(explorer, order="id")[::-1]


def test_an_unknown_location_is_refused_with_what_is_known(explorer):
    with pytest.raises(PipelineError, match="unknown location 'Golgi'; known: Nucleoplasm"):
        found(explorer.index, Query(location="Golgi"), explorer.space)


def test_a_lasso_keeps_what_lies_inside(explorer):
    x, y = explorer.space.places.T
    marks = inside(explorer.space, "0,0,500,0,500,500,0,500")
    clear = (np.abs(x - 500) > 2) & (np.abs(y - 500) > 2)
    assert (marks == ((x < 500) & (y < 500)))[clear].all()
    assert 0 < marks.sum() < len(marks)


@pytest.mark.parametrize(
    "lasso", ["1,2,3,4", "1,2,3,4,5,nan", "1,2,a,4,5,6", "1,2,3,4,5", ",".join("1" * 402)]
)
def test_what_is_no_polygon_is_refused(explorer, lasso):
    with pytest.raises(PipelineError, match="give 3 to 200 corners"):
        inside(explorer.space, lasso)


def test_alike_are_pictures_of_other_groups_in_the_same_direction():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(40, 5)))
    rows.iloc[7] = rows.iloc[3] + 0.01
    rows.iloc[8] = rows.iloc[3]
    rows.iloc[9] = np.nan
    groups = np.array([f"g{number}" for number in range(40)], dtype=object)
    groups[8] = groups[3]
    space = placed("numbers", rows)
    nearest = space.nearest(3, groups, 39)
    assert nearest[0] == (7, pytest.approx(1, abs=1e-3))
    assert {3, 8, 9}.isdisjoint({row for row, _ in nearest})


def test_experts_and_labels_are_compared_where_both_are(trained, tmp_path):
    labels = pd.read_csv(trained.root.parent / "labels.csv", dtype=str)
    answers = labels.head(3).rename(columns={"Target": "Guess"})
    answers.loc[1, "Guess"] = "6"
    answers.to_csv(tmp_path / "experts.csv", index=False)
    asked = ExploreOptions(work=trained.root, experts=tmp_path / "experts.csv")
    with opened(asked, SilentProgress()) as one:
        assert ids(one, experts="differ") == [labels["Id"][1]]


@pytest.mark.usefixtures("explorer")
def test_only_one_explore_corrects_a_work_folder(trained):
    with (
        pytest.raises(PipelineError, match="is explored already; stop the other explore first"),
        opened(ExploreOptions(work=trained.root), SilentProgress()),
    ):
        pass


class Noted(SilentProgress):
    """Keeps what is told."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def test_a_named_training_shows_the_pictures_of_the_work_folder(pictures):
    told = Noted()
    with opened(ExploreOptions(work=pictures / "work", name="other"), told) as one:
        assert set(one.channels) == {"microtubules", "protein", "nucleus", "er"}
    assert told.notes[0] == "No answers: nothing was trained there; run train"
    assert any(said.startswith("No map: no embedding and no answers") for said in told.notes)


def test_pictures_that_were_moved_are_found_where_they_are_now(pictures, tmp_path):
    shutil.copytree(pictures / "work", tmp_path / "work")
    shutil.copytree(pictures / "data", tmp_path / "data")
    (tmp_path / "data" / "images").rename(tmp_path / "moved")
    work, told = tmp_path / "work", Noted()
    record = work / "records" / "extract.json"
    record.write_text(record.read_text().replace(str(pictures / "data"), str(tmp_path / "data")))
    with opened(ExploreOptions(work=work), told) as one:
        assert one.channels == ()
    assert "give their folder as --images" in told.notes[-2]
    with opened(ExploreOptions(work=work, images=tmp_path / "moved"), told) as one:
        assert len(one.channels) == 4


def test_pictures_of_a_training_without_cells_are_those_of_its_folds(trained, tmp_path):
    shutil.copytree(trained.root, tmp_path / "work")
    work = Workspace(tmp_path / "work")
    for path in (work.samples, work.features):
        path.unlink()
    with opened(ExploreOptions(work=work.root), SilentProgress()) as one:
        assert len(one.index.ids) == 60
        assert one.index.about.loc["p006", "group"] == "antibody 3"
    work.folds.unlink()
    with (
        pytest.raises(PipelineError, match=r"samples\.parquet: missing; run extract"),
        opened(ExploreOptions(work=work.root), SilentProgress()),
    ):
        pass
