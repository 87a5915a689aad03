"""The command `compare`: from tables of predictions to the proteins that changed location."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import expit

from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.stages.compare import Compare, CompareSummary
from pipeline.stages.plate_options import CompareOptions
from pipeline.stages.train import Train
from tests.conftest import CommandLine
from tests.pipeline.plates import make_plates
from tests.pipeline.stages.test_plates import asked

LOCATIONS = ["Nucleoplasm", "Nucleoli", "Cytosol"]


def make_predictions(path: Path) -> pd.DataFrame:
    """Write predictions of four antibodies on two plates, of which AB2 moves; wells have the same names."""
    rng = np.random.default_rng(0)
    rows = []
    for plate in ("P1", "P2"):
        effect = rng.normal(0, 0.5, 3)
        for antibody in range(4):
            for well in range(6):
                drug = well > 2
                shift = np.array([0, -4, 4]) * (drug and antibody == 2)
                of_well = np.array([0.5, 2, -2]) + effect + shift + rng.normal(0, 0.3, 3)
                for field in range(3):
                    chance = expit(of_well + rng.normal(0, 0.3, 3)).round(6)
                    name = "ABCD"[antibody] + f"{well + 1:02}"
                    said = "; ".join(np.array(LOCATIONS)[chance > 0.5])
                    known = (f"AB{antibody}", plate, "Drug" if drug else "DMSO", name)
                    rows.append([f"{plate}_{name}_{field}", said, 12, "answered", "", *known, *chance])
    names = ["Antibody", "Plate", "Treatment", "Well"]
    columns = ["Id", "locations", "cells", "status", "reason", *(f"Metadata_{name}" for name in names)]
    table = pd.DataFrame(rows, columns=[*columns, *LOCATIONS])
    table.to_csv(path, index=False)
    return table


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    make_predictions(tmp_path / "predictions.csv")
    return tmp_path / "predictions.csv"


def options(predictions: Path, **more: object) -> CompareOptions:
    plain = {"by": "Metadata_Treatment", "wells": "Metadata_Well", "proteins": "Metadata_Antibody"}
    plain |= {"output": predictions.with_name("changes.csv")}
    return CompareOptions(predictions=predictions, **plain | more)


def compare(predictions: Path, **more: object) -> CompareSummary:
    return execute(Compare(), options(predictions, **more), SilentProgress())


def test_the_antibody_that_moved_is_named_and_no_other(predictions: Path) -> None:
    done = compare(predictions)
    assert {(one.protein, one.location) for one in done.changes} == {("AB2", "Nucleoli"), ("AB2", "Cytosol")}
    assert (done.pictures, done.wells, done.proteins, done.control) == (144, 48, 4, "DMSO")
    assert done.unit == "Metadata_Well of Metadata_Plate"
    table = pd.read_csv(predictions.with_name("changes.csv"))
    assert len(table) == done.tests + done.untested == 12
    row = table[table["protein"].eq("AB2") & table["location"].eq("Cytosol")].iloc[0]
    assert (row["wells"], row["called"], row["called_control"]) == (6, 1.0, 0.0)
    assert 0 < row["p"] <= row["q"] < 1e-4
    with Image.open(predictions.with_name("changes.png")) as figure:
        assert figure.width > 1000
    assert not compare(predictions).fresh


def test_pictures_without_an_answer_or_a_well_are_left_out(predictions: Path) -> None:
    table = pd.read_csv(predictions, keep_default_na=False, dtype=str)
    table.loc[0, [*LOCATIONS, "locations"]] = ""
    table.loc[0, "status"] = "no_answer"
    table.loc[1, "Metadata_Well"] = ""
    table.to_csv(predictions, index=False)
    assert compare(predictions).pictures == 142


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"by": "Treatment"}, "--by: unknown column 'Treatment'; known: Metadata_Antibody, Metadata_Plate"),
        ({"proteins": "group"}, "--proteins: unknown column 'group'"),
        ({"control": "DMS0"}, "--control: unknown condition 'DMS0'; known: DMSO, Drug; did you mean DMSO"),
        ({"wells": "Metadata_Plate"}, "--wells Metadata_Plate: 'P1' has pictures of 'DMSO' and 'Drug'"),
        ({"by": "Metadata_Plate"}, ""),
        ({"by": "Metadata_Well"}, "--control: say which condition is the control: A01, A02"),
    ],
)
def test_what_cannot_be_compared_is_refused(predictions: Path, more: dict, message: str) -> None:
    if not message:  # a condition that is the plate: wells cannot be compared within plates
        assert (
            compare(predictions, **more).hint == "nothing was tested: no plate has wells of both conditions"
        )
        return
    with pytest.raises(PipelineError, match=message):
        compare(predictions, **more)


def test_wells_of_one_name_are_one_well_only_where_plates_do_not_count(predictions: Path) -> None:
    assert compare(predictions, plates="none").wells == 24


def test_a_column_that_is_no_location_and_another_table_are_refused(predictions: Path) -> None:
    table = make_predictions(predictions)
    table.assign(comment="blurred").to_csv(predictions, index=False)
    with pytest.raises(PipelineError, match="column 'comment' holds no probabilities; remove it, or call it"):
        compare(predictions)
    table[["Id", "Metadata_Well"]].to_csv(predictions, index=False)
    with pytest.raises(PipelineError, match="no column status; give a table that predict wrote"):
        compare(predictions)
    predictions.with_name("changes.csv").write_text("mine")
    with pytest.raises(PipelineError, match=r"changes\.csv: is there already; give another --output"):
        compare(predictions)


def test_outputs_of_one_name_in_two_folders_are_each_made_anew(predictions: Path) -> None:
    outputs = [predictions.parent / name / "x.csv" for name in ("one", "two")]
    for output in outputs:
        output.parent.mkdir()
        compare(predictions, output=output)
    before = outputs[0].read_bytes()
    table = pd.read_csv(predictions)
    table.assign(Cytosol=table["Cytosol"].sample(frac=1, random_state=0).to_numpy()).to_csv(
        predictions, index=False
    )
    for output in outputs:
        assert compare(predictions, output=output).fresh
    assert outputs[0].read_bytes() == outputs[1].read_bytes() != before


def test_what_another_comparison_or_nobody_wrote_stays(predictions: Path) -> None:
    first, second = (predictions.parent / name / "x.csv" for name in ("one", "two"))
    for path in (first, second):
        path.parent.mkdir()
    compare(predictions, output=first)
    for mine in (second, second.with_suffix(".png")):
        mine.write_text("mine")
        with pytest.raises(PipelineError, match=rf"{mine.name}: is there already; give another --output"):
            compare(predictions, output=second)
        assert mine.read_text() == "mine"
        mine.unlink()


def test_out_of_fold_predictions_are_compared_by_group(tmp_path: Path) -> None:
    work = make_plates(tmp_path)
    samples = pd.read_parquet(work.samples).assign(Metadata_Well=lambda table: table["group"])
    samples.to_parquet(work.samples, index=False)
    execute(Train(), asked(work), SilentProgress())
    more = {"by": "Metadata_Treatment", "wells": "Metadata_Well", "output": tmp_path / "changes.csv"}
    done = execute(Compare(), CompareOptions(work=work.root, proteins="all", **more), SilentProgress())
    assert (done.pictures, done.wells, done.proteins) == (72, 36, 1)
    out_of_fold = pd.read_parquet(work.out_of_fold).query("model == 'stack' and location == 'Cytosol'")
    drug = out_of_fold["Id"].map(samples.set_index("Id")["Metadata_Treatment"]).eq("Drug")
    table = pd.read_csv(tmp_path / "changes.csv").set_index("location")
    assert table.loc["Cytosol", "probability"] == pytest.approx(out_of_fold["probability"][drug].mean())
    alone = execute(Compare(), CompareOptions(work=work.root, proteins="group", **more), SilentProgress())
    assert alone.hint.startswith("nothing was tested")


def test_columns_and_paths_have_names_unless_they_are_given(predictions: Path) -> None:
    plain = CompareOptions(predictions=predictions, by="Metadata_Treatment")
    assert (plain.wells, plain.output) == ("Metadata_Well", Path(f"{predictions}.work/changes.csv"))
    with pytest.raises(PipelineError, match="--work is missing; give the folder of a training, or a table"):
        CompareOptions(by="Metadata_Treatment")


def test_the_command_says_what_changed(predictions: Path, command_line: CommandLine) -> None:
    ended = command_line(
        "compare", "--predictions", predictions, "--by", "Metadata_Treatment", "--wells", "Metadata_Well",
        "--proteins", "Metadata_Antibody", "--output", predictions.with_name("changes.csv"),
    )  # fmt: skip
    assert ended.status == 0
    assert (
        "144 pictures in 48 wells (Metadata_Well of Metadata_Plate) of 4 proteins; control: DMSO"
        in ended.output
    )
    assert "2 changes of 1 protein among" in ended.output
    few = command_line(
        "compare", "--predictions", predictions, "--by", "Metadata_Treatment", "--wells", "Metadata_Well",
        "--proteins", "Metadata_Antibody", "--output", predictions.with_name("few.csv"), "--minimum", "7",
    )  # fmt: skip
    assert (
        "Warning: nothing was tested: fewer than 7 wells of a condition in plates that have both"
        in few.output
    )
