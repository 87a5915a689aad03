"""Reading label tables."""

import pytest

from pipeline.core.errors import PipelineError
from pipeline.data.labels import read_labels
from pipeline.data.locations import KAGGLE2018, LOCATIONS


def write(path, *rows, header="Id,Target"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_targets_become_a_table_of_locations(tmp_path):
    targets = read_labels(write(tmp_path / "l.csv", "b,16 0", "a,25")).targets
    assert list(targets.index) == ["a", "b"]
    assert list(targets.columns) == list(LOCATIONS)
    assert targets.loc["b"][targets.loc["b"]].index.tolist() == ["Nucleoplasm", "Cytokinetic bridge"]
    assert targets.loc["a", "Cytosol"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x,28", "'28' is not one of 0-27"),
        ("x,-1", "'-1'"),
        ("x,0 two", "'two'"),
        ("x,1.5", "'1.5'"),
        ("x,cytosoll", "'cytosoll' is no name or index of kaggle2018; Cytosol"),
        ("x,Golgi", "'Golgi' is no name or index of kaggle2018; Golgi apparatus?"),
    ],
)
def test_a_wrong_label_is_a_problem_of_its_row(tmp_path, row, reason):
    labels = read_labels(write(tmp_path / "l.csv", "good,3", row))
    assert list(labels.targets.index) == ["good"]
    assert reason in labels.problems[0].reason
    assert labels.problems[0].file == "l.csv"


def test_a_repeated_id_is_left_out(tmp_path):
    labels = read_labels(write(tmp_path / "l.csv", "a,1", "a,2", "b,3"))
    assert list(labels.targets.index) == ["b"]
    assert {problem.reason for problem in labels.problems} == {"duplicate id"}


def test_an_unusable_table_is_one_clear_error(tmp_path):
    with pytest.raises(PipelineError, match="no such file"):
        read_labels(tmp_path / "absent.csv")
    with pytest.raises(PipelineError, match=r"no column Target \(found: Id, Labels\)"):
        read_labels(write(tmp_path / "l.csv", "a,1", header="Id,Labels"))
    with pytest.raises(PipelineError, match="1 of 1 row: 'a': label '99'"):
        read_labels(write(tmp_path / "l.csv", "a,99"))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01" * 50)
    with pytest.raises(PipelineError, match=r"no column Id \(found: "):
        read_labels(tmp_path / "binary.csv")


def test_a_location_is_found_by_name_in_any_case_or_by_index():
    assert KAGGLE2018.find("golgi APPARATUS") == "Golgi apparatus"
    assert KAGGLE2018.find("25") == "Cytosol"
    with pytest.raises(PipelineError, match="unknown location 'nucleolus'; known: Nucleoplasm, "):
        KAGGLE2018.find("nucleolus")


def test_the_real_label_table_has_the_published_counts(real):
    counts = read_labels(real / "labels" / "kaggle2018_train.csv").targets.sum()
    assert (counts["Nucleoplasm"], counts["Cytosol"], counts["Rods & rings"]) == (12885, 8228, 11)


@pytest.mark.parametrize(
    "target",
    ["0|21", "0;21", '"0,21"', "0 21.0", "21 00", "Nucleoplasm|plasma MEMBRANE", "Plasma membrane; 0"],
)
def test_several_labels_are_separated_in_any_of_the_usual_ways(tmp_path, target):
    labels = read_labels(write(tmp_path / "l.csv", f"a,{target}", "b,23.0"))
    assert labels.targets.loc["a"][labels.targets.loc["a"]].index.tolist() == [
        "Nucleoplasm",
        "Plasma membrane",
    ]
    assert labels.targets.loc["b", "Mitochondria"]
    assert labels.problems == []


def test_a_row_that_is_there_twice_counts_once(tmp_path):
    labels = read_labels(write(tmp_path / "l.csv", "a,1", "a ,1", "b,3"))
    assert list(labels.targets.index) == ["a", "b"]
    assert labels.problems == []


def test_a_table_is_refused_where_no_row_of_several_labels_can_be_read(tmp_path):
    path = write(tmp_path / "l.csv", "a,0/21", "b,3", "c,1/2")
    with pytest.raises(PipelineError, match=r"l\.csv: 2 of 3 rows: 'a': label '0/21' is not one of 0-27"):
        read_labels(path)


def test_labels_of_the_competition_of_2021_are_refused(tmp_path):
    with pytest.raises(PipelineError, match=r"Label is of the competition of 2021, whose 19 classes"):
        read_labels(write(tmp_path / "l.csv", "a,0|16", header="ID,Label"))
