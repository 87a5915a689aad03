"""Lists of locations that ship with the project, lists of one's own, and labels written in them."""

from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.data.dataset_options import READY_LISTS, LocationOptions
from pipeline.data.labels import read_labels
from pipeline.data.locations import KAGGLE2018, LocationList, list_inputs, of_card, open_list
from pipeline.data.prediction_tables import read_outputs

HPA2021, SUBCELL = open_list("hpa2021"), open_list("subcell")


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def own(folder: Path, *lines: str, name: str = "own.csv") -> LocationList:
    return open_list(str(write(folder / name, *lines)))


def labels(path: Path, *rows: str, header: str = "Id,Target") -> Path:
    return write(path / "l.csv", header, *rows)


def test_the_shipped_lists_are_those_that_were_published() -> None:
    lists = {name: open_list(name) for name in READY_LISTS}
    assert {name: len(one.names) for name, one in lists.items()} == {
        "kaggle2018": 28, "hpa2021": 19, "subcell": 31,
    }  # fmt: skip
    for one in lists.values():
        assert [one.indices[name] for name in one.names] == list(range(len(one.names)))
    assert [HPA2021.names[k] for k in (0, 8, 12, 16, 18)] == [
        "Nucleoplasm", "Intermediate filaments", "Centrosome", "Cytosol", "Negative",
    ]  # fmt: skip
    assert [SUBCELL.names[k] for k in (0, 7, 15, 26, 30)] == [
        "Actin filaments", "Cytosol", "Microtubules", "Nucleoplasm", "Negative",
    ]  # fmt: skip
    assert KAGGLE2018.names[27] == "Rods & rings"


def test_one_name_has_one_term_of_the_gene_ontology_in_all_shipped_lists(real: Path) -> None:
    """And it is the one in HPA's own table of locations, where that has the location."""
    table = (real / "labels" / "hpa_v18_subcellular_location.tsv").read_text(encoding="utf-8")
    for name in READY_LISTS:
        for row in open_list(name).rows:
            known = f"{row.name} (" in table
            assert not known or not row.go_id or f"{row.name} ({row.go_id})" in table
            own_row = KAGGLE2018.row(row.name)
            assert own_row is None or own_row.go_id == row.go_id


@pytest.mark.parametrize(
    ("written", "locations", "label", "becomes"),
    [
        (KAGGLE2018, HPA2021, "Peroxisomes", "Vesicles and punctate cytosolic patterns"),
        (KAGGLE2018, HPA2021, "13", "Actin filaments"),
        (KAGGLE2018, HPA2021, "22", "Plasma membrane"),
        (KAGGLE2018, SUBCELL, "22", "Cell Junctions"),
        (HPA2021, KAGGLE2018, "16", "Cytosol"),
        (HPA2021, KAGGLE2018, "Negative", ""),
        (SUBCELL, KAGGLE2018, "25", "Nucleoli"),
        (SUBCELL, HPA2021, "3", "Centrosome"),
        (HPA2021, SUBCELL, "18", "Negative"),
    ],
)
def test_labels_of_one_list_become_those_of_another(tmp_path, written, locations, label, becomes):
    table = labels(tmp_path, f"a,{label}", "b,Cytosol")
    row = read_labels(table, locations, written).targets.loc["a"]
    assert row[row].index.tolist() == ([becomes] if becomes else [])


def test_labels_without_a_counterpart_are_told_counted_and_never_taken_for_none(tmp_path):
    table = labels(tmp_path, "a,Vesicles|Cytosol", "b,Vesicles", "c,Midbody|Vesicles|Nucleoli", "d,Cytosol")
    said: list[str] = []
    read = read_labels(table, KAGGLE2018, SUBCELL, said.append)
    assert list(read.targets.index) == ["a", "c", "d"]
    assert read.lost == {"Vesicles": 3, "Midbody": 1}
    assert [(one.sample, one.reason) for one in read.problems] == [
        ("b", "no label has a counterpart in kaggle2018: Vesicles")
    ]
    assert said == [
        "l.csv is written in subcell; its labels become those of kaggle2018",
        "Warning: l.csv: labels with no counterpart in kaggle2018 are left out: Vesicles (3), Midbody (1)",
    ]


def test_the_list_that_names_are_of_is_found_and_told_but_numbers_are_those_asked_for(tmp_path):
    said: list[str] = []
    read = read_labels(
        labels(tmp_path, "a,Vesicles|Cytosol", "b,Nucleoli rim"), KAGGLE2018, None, said.append
    )
    assert read.written is SUBCELL
    assert "l.csv is written in subcell; its labels become those of kaggle2018" in said
    mixed = read_labels(labels(tmp_path, "a,Vesicles", "b,3"))
    assert mixed.written is KAGGLE2018
    assert "label 'Vesicles' is no name or index of kaggle2018" in mixed.problems[0].reason


@pytest.mark.parametrize(
    "locations", [HPA2021, LocationList("own", HPA2021.rows[:3])], ids=["hpa2021", "own"]
)
def test_numbers_of_a_longer_list_are_not_taken_for_those_of_a_shorter_one(tmp_path, locations):
    table = labels(tmp_path, "a,0 25", "b,0 2", "c,27", *(f"d{k},1" for k in range(9)))
    message = rf"2 of 12 rows are not of {locations.name} \('a': .*all are of kaggle2018; give --labels-as"
    with pytest.raises(PipelineError, match=message):
        read_labels(table, locations)
    assert read_labels(table, locations, KAGGLE2018).targets.loc["a", "Nucleoplasm"]


def test_lists_of_ones_own_are_named_where_labels_are_of_no_list_that_is_known(tmp_path):
    with pytest.raises(PipelineError, match="of your own go into a file, --locations FILE"):
        read_labels(labels(tmp_path, "a,Kern", "b,Membran"))
    table = labels(tmp_path, "a,1", "b,2", "c,2", "d,1")
    with pytest.raises(PipelineError, match=r"or state the numbers of your own in a column index of own"):
        read_labels(table, LocationList("own", HPA2021.rows[:2]))


@pytest.mark.parametrize("empty", ["", " ", "NaN", "nan", "None"])
def test_an_empty_cell_is_a_picture_that_shows_none_of_the_locations(tmp_path, empty):
    said: list[str] = []
    read = read_labels(labels(tmp_path, f"a,{empty}", "b,3"), note=said.append)
    assert not read.targets.loc["a"].any()
    assert said == ["l.csv: 1 picture without a label, taken to show none of the locations"]
    with pytest.raises(PipelineError, match=r"l\.csv: 0 of 1 row: none has a label; write names, or class"):
        read_labels(labels(tmp_path, f"a,{empty}"))


def test_labels_of_the_competition_of_2021_are_read_as_its_classes(tmp_path):
    table = labels(tmp_path, "a,16|0", "b,18", "c,8.0", header="ID,Label")
    targets = read_labels(table, HPA2021).targets
    named = {sample: row[row].index.tolist() for sample, row in targets.iterrows()}
    assert named == {
        "a": ["Nucleoplasm", "Cytosol"], "b": ["Negative"], "c": ["Intermediate filaments"],
    }  # fmt: skip
    assert not read_labels(table, KAGGLE2018, HPA2021).targets.loc["b"].any()
    with pytest.raises(PipelineError, match=r"those of subcell: give --labels-as hpa2021"):
        read_labels(table, SUBCELL)
    assert read_labels(labels(tmp_path, "a,Cytosol", header="ID,Label")).targets.loc["a", "Cytosol"]


def test_a_table_made_by_a_spreadsheet_is_read(tmp_path):
    path = tmp_path / "l.csv"
    path.write_bytes("\ufeffID ; label\r\n a ; Cytosol, nucleoli \r\nb;3.0\r\n".encode())
    targets = read_labels(path, own(tmp_path, "name", "Cytosol", "x", "y", "Nucleoli")).targets
    assert targets.loc["a", ["Cytosol", "Nucleoli"]].all()
    assert targets.loc["b", "Nucleoli"]


def test_decimal_commas_are_not_taken_for_two_labels(tmp_path):
    with pytest.raises(PipelineError, match=r"every label ends in ',0', such as '3,0': write 3 for 3,0"):
        read_labels(labels(tmp_path, "a;3,0", "b;25,0", "c;1,0", header="Id;Target"))


def test_outputs_of_networks_are_of_the_list(tmp_path):
    three = own(tmp_path, "name,index", "Rim,3", "Blobs,5")
    table = read_outputs([write(tmp_path / "net.csv", "Id,5,3", "a,0.25,1", "b,0,0.5")], three)
    assert list(table.columns) == ["cnn__net__output_rim", "cnn__net__output_blobs"]
    assert (table.loc["a", "cnn__net__output_rim"], table.loc["b", "cnn__net__output_blobs"]) == (1.5, -0.5)
    with pytest.raises(PipelineError, match=r"that own\.csv lacks can be given as --embeddings"):
        read_outputs([write(tmp_path / "net.csv", "Id,Rim,Blobs,Cytosol", "a,0,1,1")], three)


def test_a_list_of_ones_own_says_how_its_labels_are_numbered_and_merged(tmp_path):
    plain = own(tmp_path, "name,merge_into,parent", "Rim,,Nucleus", "Dots,Rim,", "Blobs,,Cell", "Junk,none,")
    assert plain.names == ("Rim", "Blobs")
    assert plain.indices == {"Rim": 0, "Blobs": 2}
    assert plain.parents == {"Rim": "Nucleus", "Blobs": "Cell"}
    targets = read_labels(labels(tmp_path, "a,1", "b,blobs", "c,3"), plain).targets
    assert targets.to_numpy().tolist() == [[True, False], [False, True], [False, False]]
    numbered = own(tmp_path, "Index;Name", "7;Rim", "9;Blobs")
    assert numbered.span == "7-9 of own.csv"
    assert read_labels(labels(tmp_path, "a,9"), numbered).targets.loc["a", "Blobs"]


def test_all_other_names_may_have_a_row(tmp_path):
    """Otherwise a picture that shows something else is left out: nobody said that it shows none of these."""
    table = labels(tmp_path, "a,Cytosol", "b,Aggresome", "c,Vesicles|Cytosol")
    two = own(tmp_path, "name", "Cytosol", "Nucleoli")
    assert list(read_labels(table, two, SUBCELL).targets.index) == ["a", "c"]
    rest = own(tmp_path, "name,merge_into", "Cytosol,", "Nucleoli,", "*,none")
    assert read_labels(table, rest, SUBCELL).targets.to_numpy().tolist() == [
        [True, False], [False, False], [True, False],
    ]  # fmt: skip
    mistyped = read_labels(labels(tmp_path, "a,Cytosol", "b,Aggresom"), rest)
    assert "label 'Aggresom' is no name or index of own.csv" in mistyped.problems[0].reason
    with pytest.raises(PipelineError, match=r"no label has a counterpart in own\.csv: Aggresome"):
        read_labels(labels(tmp_path, "b,Aggresome"), two, SUBCELL)


def test_a_list_may_be_toml(tmp_path):
    short = own(tmp_path, 'locations = ["Rim", "Blobs"]', name="short.toml")
    assert short.names == ("Rim", "Blobs")
    long = own(
        tmp_path, "[[locations]]", 'name = "Cytosol here"', 'go_id = "GO:0005829"', "index = 4", name="l.toml"
    )
    assert long.indices == {"Cytosol here": 4}
    read = read_labels(labels(tmp_path, "a,25"), long, KAGGLE2018)
    assert read.targets.loc["a", "Cytosol here"], "found by its term of the Gene Ontology"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["names", "A"], r"own\.csv: no column name \(found: names\)"),
        (["name"], "has no location"),
        (["name", "A", "a "], "name 'A' and 'a' read alike"),
        (["name,index", "A,1", "B,1"], "index '1' and '1' read alike"),
        (["name,index", "A,1", "B,"], "'B' has no index where others have"),
        (["name", "12"], "'12' is no name of a location"),
        (["name", "Status"], "'Status' means something else"),
        (["name", "A", "label"], "'label' means something else"),
        (["name", "A", "Probabilities"], "'Probabilities' means something else"),
        (["name", "A", "fold"], "'fold' means something else"),
        (["name", '"A;B"'], "'A;B': name 'A;B': write it without [|] ; , and characters"),
        (["name,go_id", "A,5654"], "go_id '5654': give one like GO:0005654"),
        (["name,merge", "A,B"], "'A': unknown column 'merge'; known: name, .*did you mean merge_into"),
        (["name,merge_into", "A,", "B,C"], "'B' is merged into an unknown location 'C'; known: A, none"),
        (["name,merge_into", "A,", "B,A", "C,B"], "'C' is merged into an unknown location 'B'"),
        (["name,merge_into,parent", "A,,", "B,A,P"], "'B' has both merge_into and parent"),
    ],
)
def test_a_list_that_cannot_be_used_is_one_line_that_says_what_to_write(tmp_path, lines, message):
    with pytest.raises(PipelineError, match=message):
        own(tmp_path, *lines)


def test_a_list_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(
        PipelineError, match=r"hpa2012: no such file; give a list of locations: kaggle2018, hpa2021"
    ):
        open_list(str(tmp_path / "hpa2012"))
    with pytest.raises(PipelineError, match=r"t\.toml: holds no list 'locations' alone \(others: classes\)"):
        own(tmp_path, 'classes = ["a"]', name="t.toml")


def test_a_list_outlives_its_file_in_the_card_of_a_model(tmp_path):
    one = own(tmp_path, "name,merge_into,go_id", "A,,GO:0005829", "B,A,")
    assert of_card({"location_list": one.as_card()}) == one
    assert of_card({}) is KAGGLE2018
    with pytest.raises(PipelineError, match="list of locations is damaged"):
        of_card({"location_list": {"name": "x", "rows": [{"nome": "A"}]}})


def test_a_changed_list_is_another_input_and_the_first_one_is_none(tmp_path):
    path = write(tmp_path / "own.csv", "name", "A", "B")
    assert list_inputs(LocationOptions()) == {}
    before = list_inputs(LocationOptions(locations=str(path), labels_as="subcell"))
    assert list(before) == ["locations own.csv", "list of the labels subcell"]
    write(path, "name", "A", "C")
    assert list_inputs(LocationOptions(locations=str(path), labels_as="subcell")) != before


def test_the_real_labels_of_2018_become_those_of_2021(real: Path) -> None:
    read = read_labels(real / "labels" / "kaggle2018_train.csv", HPA2021, KAGGLE2018)
    counts = read.targets.sum()
    assert (counts["Nucleoplasm"], counts["Cytosol"], counts["Negative"]) == (12885, 8228, 0)
    assert counts["Actin filaments"] == 1207, "688 and 537 with Focal adhesion sites, 18 with both"
    assert read.lost == {
        "Microtubule organizing center": 902, "Cytokinetic bridge": 530, "Microtubule ends": 21,
        "Rods & rings": 11,
    }  # fmt: skip
    assert len(read.targets) + len(read.problems) == 31072
