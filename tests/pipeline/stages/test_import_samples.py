"""The stage `import`: lists of other programs, as they and spreadsheets write them."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from pipeline.commands.command_line import options_of
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.data.labels import read_labels
from pipeline.data.locations import open_list
from pipeline.data.pictures import read_picture
from pipeline.data.samples import find_samples
from pipeline.stages.exchange_options import ImportOptions
from pipeline.stages.extract import Extract
from pipeline.stages.import_samples import ImportSamples, ImportSummary
from pipeline.stages.options import ExtractOptions


def run(tmp_path: Path, kind: str, source: Path, **options: object) -> ImportSummary:
    asked = options_of(ImportOptions, {"kind": kind, "source": source, "out": tmp_path / "out"} | options)
    return execute(ImportSamples(), asked, SilentProgress())


def samples(tmp_path: Path) -> pd.DataFrame:
    return pd.read_csv(tmp_path / "out" / "samples.csv", dtype=str, keep_default_na=False).set_index("Id")


@pytest.fixture
def plate(tmp_path, write_sample) -> Path:
    """Write two fields of four stains into a plate's folder."""
    for number in (1, 2):
        write_sample(tmp_path / "data" / "P 1", f"A0{number}", seed=number)
    return tmp_path / "data"


def load_data(folder: str = "P 1", start: str = "", separator: str = ",") -> str:
    """Return a csv for LoadData of the plate."""
    names = {"OrigDNA": "blue", "OrigTubulin": "red", "OrigER": "yellow", "OrigAGP": "green"}
    header = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "dose µM"]
    header += [f"{start}{kind}_{name}" for name in names for kind in ("PathName", "FileName")]
    rows = [header]
    for number in (1, 2):
        paths = [text for colour in names.values() for text in (folder, f"A0{number}_{colour}.png")]
        rows.append(["P 1", f"A0{number}", "1", f"0,{number}" if separator == ";" else f"0.{number}", *paths])
    return "\n".join(separator.join(row) for row in rows) + "\n"


def test_load_data_of_cellprofiler_keeps_paths_and_metadata(plate, tmp_path):
    path = plate / "load_data.csv"
    path.write_text(load_data())
    done = run(tmp_path, "cellprofiler", path, channel=["protein=OrigAGP"], group="plate")
    assert (done.rows, done.samples, done.problems) == (2, 2, [])
    assert done.notes == [
        "Channels: microtubules = OrigTubulin; protein = OrigAGP; nucleus = OrigDNA; er = OrigER",
        "Ids: Metadata_Plate, Metadata_Well, Metadata_Site",
    ]
    row = samples(tmp_path).loc["P_1_A02_1"]
    assert row["protein"] == "P 1/A02_green.png"
    assert row["Metadata_Dose_µM"] == "0.2"
    found, problems = find_samples(plate, tmp_path / "out" / "samples.csv")
    assert problems == []
    assert found[1].source("nucleus").path == plate / "P 1" / "A02_blue.png"
    assert (found[1].group, dict(found[1].metadata)["Metadata_Well"]) == ("P 1", "A02")


def test_what_is_imported_is_extracted_with_its_metadata(plate, tmp_path):
    path = plate / "load_data.csv"
    path.write_text(load_data())
    run(tmp_path, "cellprofiler", path, channel=["protein=OrigAGP"], group="plate")
    table = tmp_path / "out" / "samples.csv"
    asked = {
        "images": plate,
        "samples": table,
        "segmenter": "watershed",
        "families": ("intensity",),
        "jobs": 1,
    }
    done = execute(Extract(), ExtractOptions(work=tmp_path / "work", **asked), SilentProgress())
    assert (done.pictures, done.problems) == (2, [])
    features = pd.read_parquet(tmp_path / "work" / "features.parquet").set_index("Id")
    assert features["Metadata_Well"].to_dict() == {"P_1_A01_1": "A01", "P_1_A02_1": "A02"}


def test_a_table_saved_by_a_spreadsheet_is_read_alike(plate, tmp_path):
    path = plate / "load_data.csv"
    path.write_text(load_data())
    run(tmp_path, "cellprofiler", path, channel=["protein=OrigAGP"])
    plain = samples(tmp_path).drop(columns="Metadata_Dose_µM")
    text = load_data("P 1 ", start="Image_", separator=";").replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    run(tmp_path, "cellprofiler", path, channel=["protein=OrigAGP"])
    assert samples(tmp_path)["Metadata_Dose_µM"].tolist() == ["0,1", "0,2"]
    assert samples(tmp_path).drop(columns="Metadata_Dose_µM").equals(plain)


def test_paths_of_another_machine_are_found_below_the_root(plate, tmp_path):
    path = tmp_path / "load_data.csv"
    path.write_text(load_data(r"D:\screen\P 1"))
    options = {"channel": ["protein=OrigAGP"], "root": plate}
    with pytest.raises(PipelineError, match=r"none of 2 samples.*leaves the folder of pictures"):
        run(tmp_path, "cellprofiler", path, **options)
    assert run(tmp_path, "cellprofiler", path, **options, was="D:\\screen\\").samples == 2
    path.write_text(load_data(str(plate / "P 1")))
    assert run(tmp_path, "cellprofiler", path, **options).samples == 2


def test_addresses_of_files_are_paths_and_those_of_the_net_are_not(plate, tmp_path):
    path = plate / "load_data.csv"
    folder = (plate / "P 1").as_uri()
    lines = [
        "ImageNumber,URL_protein,URL_DNA",
        f"1,{folder}/A01_green.png,{folder}/A01_blue.png",
        "2,https://somewhere/A02_green.png,https://somewhere/A02_blue.png",
    ]
    path.write_text("\n".join(lines))
    done = run(tmp_path, "cellprofiler", path)
    assert samples(tmp_path)["protein"].tolist() == ["P 1/A01_green.png"]
    assert "is on the net; " not in done.problems[0].reason
    assert done.problems[0].reason == "'https://somewhere/A02_green.png' is on the net"


def test_without_a_site_the_names_of_files_are_the_ids_and_so_it_is_said(plate, tmp_path):
    path = plate / "load_data.csv"
    rows = "".join(f"1,P 1,A0{n}_green.png,s3://bucket/x/P 1/A0{n}_blue.png\n" for n in (1, 2))
    path.write_text(f"TableNumber,PathName_protein,FileName_protein,URL_DAPI\n{rows}")
    done = run(tmp_path, "cellprofiler", path, was="s3://bucket/x")
    assert samples(tmp_path)["nucleus"].to_dict() == {
        "A01_green": "P 1/A01_blue.png",
        "A02_green": "P 1/A02_blue.png",
    }
    assert done.notes[-1] == "Ids: name of the protein's file"


def test_frames_of_a_file_are_planes_and_series_are_refused(tmp_path):
    planes = np.random.default_rng(0).integers(0, 255, (4, 24, 32)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "field.ome.tif", planes, metadata={"axes": "CYX"})
    names = {"DNA": 2, "tubulin": 0, "ER": 3, "protein": 1}
    header = ",".join(f"FileName_{name},Frame_{name},Series_{name}" for name in names)
    row = ",".join(f"field.ome.tif,{frame},0" for frame in names.values())
    path = tmp_path / "load_data.csv"
    path.write_text(f"ImageNumber,{header}\n1,{row}\n")
    run(tmp_path, "cellprofiler", path)
    assert samples(tmp_path).loc["1", "er"] == "field.ome.tif#3"
    found, _ = find_samples(tmp_path, tmp_path / "out" / "samples.csv")
    assert np.array_equal(read_picture(found[0]).pixels, planes.astype(np.float32) / 255)
    path.write_text(f"ImageNumber,{header}\n1,{row[:-1]}3\n")
    with pytest.raises(PipelineError, match="a file of several series is not read; save each as a file"):
        run(tmp_path, "cellprofiler", path)


def test_each_of_several_proteins_is_a_sample(plate, tmp_path):
    path = plate / "load_data.csv"
    path.write_text(load_data())
    done = run(tmp_path, "cellprofiler", path, channel=["protein=OrigAGP", "protein=OrigTubulin"])
    assert samples(tmp_path)["protein"].to_dict() == {
        "P_1_A01_1_origagp": "P 1/A01_green.png",
        "P_1_A01_1_origtubulin": "P 1/A01_red.png",
        "P_1_A02_1_origagp": "P 1/A02_green.png",
        "P_1_A02_1_origtubulin": "P 1/A02_red.png",
    }
    assert set(samples(tmp_path)["microtubules"]) == {""}
    assert done.notes[0].startswith("Channels: microtubules = none; protein = OrigAGP, OrigTubulin; ")


def test_the_example_of_cellprofilers_manual_is_read(plate, tmp_path):
    """It has spaces between a comma and a quotation mark."""
    path = plate / "load_data.csv"
    path.write_text(
        '"Image_FileName_FITC", "Image_PathName_FITC", "Metadata_Plate", "Titration_NaCl_uM"\n'
        '"A01_green.png", "P 1", "P-12345", 750\n"A02_green.png", "P 1", "P-12346", 2750\n'
    )
    assert run(tmp_path, "cellprofiler", path, channel=["protein=FITC"]).samples == 2
    row = samples(tmp_path).loc["P-12346"]
    assert row[["protein", "Metadata_Titration_NaCl_uM"]].tolist() == ["P 1/A02_green.png", "2750"]


@pytest.mark.parametrize(
    ("old", "new", "channel", "message"),
    [
        ("", "", [], "shows the protein is not clear; say --channel protein=NAME, of: OrigDNA, "),
        ("", "", ["protein=AGP"], "unknown image 'AGP'; known: OrigDNA, .*did you mean OrigAGP"),
        (
            "OrigAGP",
            "DAPI",
            ["protein=OrigER"],
            "OrigDNA and DAPI may be nucleus; say --channel nucleus",
        ),
        (
            "A02,1",
            "A01,1",
            ["protein=OrigAGP"],
            "do not tell the rows apart; name the columns that do",
        ),
        ("FileName_", "File_", [], "no column FileName_… or URL_…"),
        (
            "dose µM",
            "plate",
            ["protein=OrigAGP"],
            "'Metadata_Plate' and 'plate' would both be 'Metadata_Plate'",
        ),
        (load_data().partition("\n")[2], "", ["protein=OrigAGP"], "has no row"),
    ],
)
def test_what_is_not_clear_is_asked_for(plate, tmp_path, old, new, channel, message):
    path = plate / "load_data.csv"
    path.write_text(load_data().replace(old, new) if old else load_data())
    with pytest.raises(PipelineError, match=message):
        run(tmp_path, "cellprofiler", path, channel=channel)


def test_rows_that_leave_the_root_lack_a_file_or_occur_twice_are_problems(plate, tmp_path):
    shutil.copy(plate / "P 1" / "A01_green.png", tmp_path / "secret.png")
    (plate / "P 1" / "A04_green.png").symlink_to(tmp_path / "secret.png")
    path = plate / "path_list.csv"
    rows = [
        "r_image,y_image,b_image,g_image,output_prefix",
        "P 1/A01_red.png,,P 1/A01_blue.png,P 1/A01_green.png,a_",
        "#P 1/A01_red.png,,P 1/A01_blue.png,P 1/A01_green.png,off_",
        ",,P 1/A01_blue.png,../secret.png,b_",
        ",,P 1/A01_blue.png,/etc/passwd.png,c_",
        ",,P 1/A09_blue.png,P 1/A02_green.png,d_",
        ",,P 1/A01_blue.png,P 1/A04_green.png,e_",
        ",,P 1/A01_blue.png,,f_",
        "P 1/A02_red.png,,P 1/A01_blue.png,P 1/A01_green.png,g_",
        "P 1/A01_red.png,,P 1/A02_blue.png,P 1/A01_green.png,g_",
    ]
    path.write_text("\n".join(rows))
    done = run(tmp_path, "subcell", path)
    assert samples(tmp_path).index.tolist() == ["a"]
    assert done.notes == ["Rows that begin with #, left out: 1"]
    reasons = {one.sample: one.reason for one in done.problems}
    assert reasons["b"] == "path '../secret.png' leaves the folder of pictures"
    assert reasons["c"] == "path '/etc/passwd.png' leaves the folder of pictures"
    assert reasons["d"] == f"'P 1/A09_blue.png' is not in {plate}"
    assert reasons["e"] == f"'P 1/A04_green.png' is a link that leaves {plate}"
    assert reasons["f"] == "the list has no picture of the protein"
    assert reasons["g"] == "duplicate id"


def test_a_file_that_is_added_later_counts(plate, tmp_path):
    path = plate / "path_list.csv"
    path.write_text(
        "r_image,y_image,b_image,g_image,output_folder,output_prefix\n"
        "P 1/A01_red.png,P 1/A01_yellow.png,P 1/A01_blue.png,P 1/A01_green.png,x,1_\n"
        "P 1/A02_red.png,P 1/A02_yellow.png,P 1/A02_blue.png,P 1/new.png,y,1_\n"
    )
    assert run(tmp_path, "subcell", path).samples == 1
    assert not run(tmp_path, "subcell", path).fresh
    shutil.copy(plate / "P 1" / "A02_green.png", plate / "P 1" / "new.png")
    assert run(tmp_path, "subcell", path).samples == 2
    assert samples(tmp_path).index.tolist() == ["x_1", "y_1"]


@pytest.fixture
def cellmaps(tmp_path, write_sample) -> Path:
    """Write a folder as cellmaps_imagedownloader does."""
    root = tmp_path / "cellmaps"
    for number in (1, 2):
        write_sample(root, f"7_C5_{number}", seed=number)
    for colour in ("red", "green", "blue", "yellow"):
        (root / colour).mkdir()
        for file in root.glob(f"*_{colour}.png"):
            file.rename(root / colour / file.name)
    return root


def test_a_folder_of_cellmaps_has_groups_and_labels(cellmaps, tmp_path):
    (cellmaps / "samples.csv").write_text(
        "filename,if_plate_id,position,sample,status,locations,antibody,ensembl_ids,gene_names\n"
        '/archive/7/7_C5_1_,7,C5,1,35,"Cytosol,Nuclear speckles",HPA005910,ENSG00000011007,ELOA\n'
        "/archive/7/7_C5_2_,7,C5,2,35,Nucleoplasm,HPA005910,ENSG00000011007,ELOA\n"
    )
    done = run(tmp_path, "cellmaps", cellmaps)
    assert (done.samples, done.labelled) == (2, 2)
    assert samples(tmp_path).loc["7_C5_1", ["protein", "group"]].tolist() == [
        "green/7_C5_1_green.png",
        "HPA005910",
    ]
    assert samples(tmp_path)["Metadata_If_plate_id"].tolist() == ["7", "7"]
    labels = read_labels(tmp_path / "out" / "labels.csv").targets
    assert labels.columns[labels.loc["7_C5_1"]].tolist() == ["Nuclear speckles", "Cytosol"]
    assert len(find_samples(cellmaps, tmp_path / "out" / "samples.csv")[0]) == 2


def test_the_list_itself_is_not_replaced(cellmaps, tmp_path):
    (cellmaps / "samples.csv").write_text("filename\n/archive/7/7_C5_1_\n")
    with pytest.raises(
        PipelineError, match=r"samples\.csv: is read, and would be replaced; give another --out"
    ):
        run(tmp_path, "cellmaps", cellmaps, out=cellmaps)


def test_without_a_table_the_pictures_are_all_there_is(cellmaps, tmp_path):
    (cellmaps / "red" / "7_C5_1_red.png").unlink()
    (cellmaps / "green" / "7_C5_2_blue_red_green.png").write_bytes(b"a composite")
    done = run(tmp_path, "cellmaps", cellmaps)
    assert done.samples == 2
    assert samples(tmp_path)["microtubules"].tolist() == ["", "red/7_C5_2_red.png"]
    assert done.notes[0].startswith("Pictures without further columns: no samples.csv or ")


def test_the_two_competitions_number_their_classes_otherwise(tmp_path, write_sample):
    for name in ("a", "b", "c"):
        write_sample(tmp_path / "kaggle" / "train", name)
    labels = tmp_path / "kaggle" / "train.csv"
    labels.write_text("Id,Target\na,8 0\nb,16.0\nc,\n")
    assert run(tmp_path, "kaggle-2018", tmp_path / "kaggle").labelled == 3
    found = read_labels(tmp_path / "out" / "labels.csv").targets
    assert found.columns[found.loc["a"]].tolist() == ["Nucleoplasm", "Peroxisomes"]
    assert not found.loc["c"].any(), "it is known to be in none"
    labels.write_text("ID,Label\r\na,8|0\r\nb,16\r\nc,18\r\n")
    done = run(tmp_path, "kaggle-2021", tmp_path / "kaggle")
    assert (done.labelled, done.notes) == (3, ["train.csv: 3 of 3 pictures have a row there"])
    found = read_labels(tmp_path / "out" / "labels.csv", open_list("hpa2021")).targets
    named = {name: found.columns[found.loc[name]].tolist() for name in found.index}
    assert named == {"a": ["Nucleoplasm", "Intermediate filaments"], "b": ["Cytosol"], "c": ["Negative"]}
    labels.write_text("ID,Label\na,27\n")
    with pytest.raises(PipelineError, match="label '27' is not one of 0-18 of hpa2021; is it of the other"):
        run(tmp_path, "kaggle-2021", tmp_path / "kaggle")
    shutil.copy(tmp_path / "kaggle" / "train" / "a_red.png", tmp_path / "kaggle" / "a_red.png")
    with pytest.raises(PipelineError, match=r"a_red\.png and train/a_red\.png are one picture"):
        run(tmp_path, "kaggle-2021", tmp_path / "kaggle")
    (tmp_path / "kaggle" / "a_red.png").unlink()
    labels.write_text("ID,Label\nz,1\n")
    with pytest.raises(PipelineError, match="has no picture; one is 'a', a row 'z'"):
        run(tmp_path, "kaggle-2021", tmp_path / "kaggle")


def test_the_command_says_what_matched_and_what_comes_next(plate, tmp_path, command_line):
    path = plate / "load_data.csv"
    path.write_text(load_data().replace("A02_green", "A03_green"))
    ended = command_line(
        "import", "cellprofiler", path, "--channel", "protein=OrigAGP", "--out", tmp_path / "out"
    )
    assert ended.status == 0
    lines = ended.output.splitlines()
    assert lines[2] == f"Written: {tmp_path}/out/samples.csv (1 of 2 samples with all their pictures)"
    assert lines[4].startswith("  P_1_A02_1: 'P 1/A03_green.png' is not in ")
    assert (
        lines[-1]
        == f"Next: python run.py extract --images {plate} --samples {tmp_path}/out/samples.csv --work WORK"
    )
    ended = command_line("import", "cellprofiler", path, "--channel", "proteins=OrigAGP", "--out", tmp_path)
    assert ended.status == 2
    assert ended.errors.endswith("give CHANNEL=NAME; channels: microtubules, protein, nucleus, er\n")
