"""Filters of labels: expert answers and HPA's reliability by gene, per label, for training only."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.data.label_filters import agreeing, deletions, read_filters, reliable
from pipeline.data.locations import KAGGLE2018, open_list
from pipeline.data.tables import unsaid
from pipeline.stages.evaluate import read_predictions
from pipeline.stages.options import TrainOptions
from pipeline.stages.train import Train
from run import app
from tests.pipeline.workfolder import make_workfolder

COLUMNS = ["Nucleoplasm", "Golgi apparatus", "Endosomes"]
LISTS = (KAGGLE2018, None)


@pytest.fixture
def targets() -> pd.DataFrame:
    rows = [[True, False, False], [False, True, False], [True, True, True]]
    return pd.DataFrame(rows, index=pd.Index(["a", "b", "c"], name="Id"), columns=COLUMNS)


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.csv"
    path.write_text("Id,Annotator,Target\na,x,0\na,y,0 7\na,z,7\nb,x,0\nb,y,0\n")
    return path


def test_labels_that_the_majority_contradicts_are_left_out(targets: pd.DataFrame, answers: Path) -> None:
    keep = agreeing(answers, targets, unsaid, LISTS, with_label=True)
    assert keep.tolist() == [[True, False, True], [False, False, True], [True, True, True]]


def test_labels_on_which_annotators_differ_are_left_out(targets: pd.DataFrame, answers: Path) -> None:
    keep = agreeing(answers, targets, unsaid, LISTS, with_label=False)
    assert keep.tolist() == [[False, False, True], [True, True, True], [True, True, True]]


HPA = (
    "Gene\tGene name\tReliability\tEnhanced\tSupported\tApproved\tUncertain\n"
    "E1\tONE\tEnhanced\tNucleus\t\t\tGolgi apparatus\n"
    "E2\tTWO\tApproved\t\tVesicles\tGolgi apparatus\t\n"
)


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "hpa.tsv").write_text(HPA)
    (tmp_path / "genes.csv").write_text("Id,Gene\na,E1\nb,ONE\nc,TWO\n")
    return tmp_path / "hpa.tsv", tmp_path / "genes.csv"


@pytest.mark.parametrize(
    ("least", "expected"),
    [
        ("Supported", [[True, False, True], [False, False, True], [False, False, True]]),
        ("Approved", [[True, False, True], [False, False, True], [False, True, True]]),
        ("Uncertain", [[True, False, True], [False, True, True], [False, True, True]]),
    ],
)
def test_labels_are_kept_where_the_genes_table_supports_them(
    targets: pd.DataFrame, tables: tuple[Path, Path], least: str, expected: list[list[bool]]
) -> None:
    assert reliable(*tables, targets, least, unsaid, KAGGLE2018).tolist() == expected


def test_pictures_of_unknown_genes_keep_their_labels(
    targets: pd.DataFrame, tables: tuple[Path, Path]
) -> None:
    tables[1].write_text("Id,Gene\nc,E2\n")
    assert reliable(*tables, targets, "Enhanced", unsaid, KAGGLE2018)[:2].all()
    tables[1].write_text("Id,Gene\nc,E9\n")
    with pytest.raises(PipelineError, match=r"no picture has a gene that hpa\.tsv lists"):
        reliable(*tables, targets, "Enhanced", unsaid, KAGGLE2018)


def test_genes_without_a_row_and_genes_with_two_are_told(
    targets: pd.DataFrame, tables: tuple[Path, Path]
) -> None:
    said: list[str] = []
    tables[1].write_text("Id,Gene\na,E1.5\nb,ONE\nc,NA\n")
    reliable(*tables, targets, "Enhanced", said.append, KAGGLE2018)
    assert said[1:] == ["Warning: hpa.tsv lacks the genes of 1 picture, such as 'E1.5'; all labels kept"]
    tables[0].write_text(HPA + "E1\tONE\tEnhanced\t\t\t\t\n")
    with pytest.raises(PipelineError, match=r"hpa\.tsv: gene 'E1' occurs twice with other levels"):
        reliable(*tables, targets, "Enhanced", unsaid, KAGGLE2018)


def test_annotations_of_no_use_are_told(targets: pd.DataFrame, answers: Path) -> None:
    said: list[str] = []
    answers.write_text("Id,User,Target\na,x,0\na,y,7\nb,x,99\n")
    agreeing(answers, targets, said.append, LISTS, with_label=True)
    assert said[1] == "Warning: 2 rows of answers.csv not used; a: answered twice by experts"


def test_a_table_that_is_not_hpas_is_refused(targets: pd.DataFrame, tables: tuple[Path, Path]) -> None:
    tables[0].write_text("Gene\tEnhanced\nE1\tNucleus\n")
    with pytest.raises(PipelineError, match="no column Supported"):
        reliable(*tables, targets, "Enhanced", unsaid, KAGGLE2018)


def test_the_real_table_is_read(real: Path, targets: pd.DataFrame, tmp_path: Path) -> None:
    table = real / "labels" / "hpa_v18_subcellular_location.tsv"
    (tmp_path / "genes.csv").write_text("Id,Gene\na,ENSG00000001167\nb,CFH\nc,NFYA\n")  # NFYA: Nucleoplasm
    keep = reliable(table, tmp_path / "genes.csv", targets, "Enhanced", unsaid, KAGGLE2018)
    assert keep[:, 0].tolist() == [True, True, True]
    assert keep[:, 1].tolist() == [True, False, False]


def test_pictures_that_are_flagged_are_left_out(targets: pd.DataFrame, tmp_path: Path) -> None:
    work = Workspace(tmp_path)
    flags = {"Id": ["a", "b", "c", "d"], "flags": ["", "debris", "", "saturated (er)"]}
    pd.DataFrame(flags).to_parquet(work.quality, index=False)
    options = TrainOptions(work=tmp_path, labels=tmp_path / "labels.csv", select_unflagged=True)
    keep = read_filters(options, targets, unsaid)
    assert keep["quality"].tolist() == [[True] * 3, [False] * 3, [True] * 3]
    assert options.tables["flags of pictures"] == work.quality
    counts, problems = deletions({"quality": ~keep["quality"]}, targets)
    assert counts["quality_positives"].tolist() == [0, 1, 0]
    assert [one.reason for one in problems] == ["Golgi apparatus is not learned from: the picture is flagged"]


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Train with two filters: experts contradict four labels, and confident learning doubts some."""
    folder = tmp_path_factory.mktemp("selection")
    work = make_workfolder(folder)
    labels = pd.read_csv(folder / "labels.csv", dtype=str)
    wrong = labels[labels["Target"].str.split().map(lambda words: "25" in words)].iloc[:4]
    wrong.assign(Target="11").to_csv(folder / "answers.csv", index=False)
    options = TrainOptions(
        work=work.root, labels=folder / "labels.csv", trials=0, folds=4, jobs=1, boosters=("linear",),
        select_agreement=folder / "answers.csv", select_confident=True, random_split=True,
    )  # fmt: skip
    execute(Train(), options, SilentProgress())
    return work


def test_what_each_filter_takes_is_listed_by_location(selected: Workspace) -> None:
    table = pd.read_csv(selected.selection, index_col=0)
    assert table.loc["Cytosol", "agreement_positives"] == 4
    assert {"confident_positives", "confident_negatives", "positives"} <= set(table.columns)
    assert "Cytosol is not learned from: suspected label error (experts)" in selected.problems.read_text()


def test_every_label_is_scored_with_and_without_the_selection(selected: Workspace) -> None:
    answers = read_predictions(selected)
    labels = pd.read_csv(selected.root.parent / "labels.csv", dtype=str).set_index("Id")["Target"]
    truth = labels.str.split().map(lambda words: "25" in words)
    for name in ("stack", "without selection", "random split"):
        assert np.array_equal(answers[name].truth["Cytosol"], truth.loc[answers[name].truth.index])
    assert not answers["stack"].probability.equals(answers["without selection"].probability)
    result = CliRunner().invoke(app, ["evaluate", "--work", str(selected.root), "--draws", "100"])
    assert "Trained on filtered labels" in result.output
    assert "(C) folds that ignore groups, optimistic: 0." in " ".join(result.output.split())


def test_confident_learning_needs_four_folds(tmp_path: Path) -> None:
    work = make_workfolder(tmp_path)
    options = TrainOptions(
        work=work.root, labels=tmp_path / "labels.csv", folds=3, trials=0, jobs=1, select_confident=True
    )
    with pytest.raises(PipelineError, match="--select-confident needs 4 folds, there are 3"):
        execute(Train(), options, SilentProgress())


def test_reliability_needs_genes(tmp_path: Path) -> None:
    work = make_workfolder(tmp_path)
    (tmp_path / "hpa.tsv").write_text(HPA)
    options = TrainOptions(
        work=work.root, labels=tmp_path / "labels.csv", folds=3, trials=0, jobs=1,
        select_reliability=tmp_path / "hpa.tsv",
    )  # fmt: skip
    with pytest.raises(PipelineError, match=r"is by gene; give the pictures' genes as --genes"):
        execute(Train(), options, SilentProgress())


def test_names_of_the_table_are_those_of_another_list_too(tables: tuple[Path, Path]) -> None:
    """``Nucleus`` is the Nucleoplasm of the 19, ``Vesicles`` their class of many kinds of them."""
    names = ["Nucleoplasm", "Golgi apparatus", "Vesicles and punctate cytosolic patterns"]
    rows = [[True, False, False], [False, True, False], [True, True, True]]
    targets = pd.DataFrame(rows, index=pd.Index(["a", "b", "c"], name="Id"), columns=names)
    keep = reliable(*tables, targets, "Approved", unsaid, open_list("hpa2021"))
    assert keep.tolist() == [[True, False, True], [False, False, True], [False, True, True]]
