"""What is exported is what was measured, and the programs that it is for take it as it is."""

import json
import shutil
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import tifffile

from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.data.masks import read_mask
from pipeline.data.pictures import read_picture
from pipeline.data.samples import find_samples
from pipeline.exchange import open_in_napari, profiles
from pipeline.stages.exchange_options import ExportOptions
from pipeline.stages.export import Export
from tests.pipeline.workfolder import extract, simulate

WELLS = ("A01", "A02", "A01", "B01")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Four extracted pictures of two plates, with labels and predictions."""
    root = tmp_path_factory.mktemp("export")
    simulate(root / "data", 4, seed=1, size=192)
    samples = pd.read_csv(root / "data" / "samples.csv")
    samples["Plate"], samples["well"] = ["P1", "P1", "P2", "P2"], WELLS
    samples["Drug"] = ["none", "x", "none", "x"]
    samples.to_csv(root / "samples.csv", index=False)
    extract(root / "data", root / "work", samples=root / "samples.csv")
    ids = samples["Id"].tolist()
    pd.DataFrame({"Id": ids[:3], "Target": ["0 25", "2", "0"]}).to_csv(root / "labels.csv", index=False)
    predicted = {"Id": ids, "locations": ["Nucleoli", "", "Cytosol; Nucleoli", ""], "status": "answered"}
    pd.DataFrame(predicted).to_csv(root / "predictions.csv", index=False)
    return root


@pytest.fixture
def export(made, tmp_path):
    """Export into a new place, and return where it lies."""

    def run(what, name, **options):
        asked = ExportOptions(format=what, work=made / "work", out=tmp_path / name, **options)
        execute(Export(), asked, SilentProgress())
        return tmp_path / name

    return run


@pytest.fixture(scope="module")
def cells(made):
    return pd.read_parquet(made / "work" / "cells.parquet")


def quiet(function, *arguments):
    """Call a function of a library that warns of others' novelties."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments)


@pytest.fixture(scope="module")
def pycytominer():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pycytominer
    return pycytominer


def test_cells_are_exported_as_cytotable_joins_them(export, cells):
    table = pd.read_parquet(export("cytotable", "cells.parquet"))
    assert table["Metadata_ObjectNumber"].tolist() == cells["label"].tolist()
    assert table["Metadata_Id"].tolist() == cells["Id"].tolist()
    ours = cells["nucleus__intensity__mean__protein"]
    np.testing.assert_array_equal(table["Nuclei_Intensity_MeanIntensity_protein"], ours)
    assert dict(zip(table["Metadata_ImageNumber"], table["Metadata_Well"], strict=True)) == dict(
        enumerate(WELLS, start=1)
    )
    assert {"Metadata_Plate", "Metadata_Drug", "Metadata_TouchesBorder", "Metadata_group"} <= set(table)


def test_every_column_of_a_table_is_listed_with_ours(export, cells):
    path = export("cytotable", "cells.parquet")
    names = pd.read_csv(path.with_suffix(".columns.csv"), index_col="name")
    table = pd.read_parquet(path)
    for theirs, ours in names["column"].items():
        np.testing.assert_array_equal(table[theirs], cells[ours])
    rest = set(table) - set(names.index)
    assert {name.split("_")[0] for name in rest if "Location" not in name} == {"Metadata"}


def test_centres_of_cells_are_those_of_their_label_images(export, made):
    table = pd.read_parquet(export("cytotable", "cells.parquet"))
    row = table.iloc[3]
    mask = read_mask(Workspace(made / "work").mask(row["Metadata_Id"]))
    for name, image in (("Cells", mask.cells), ("Nuclei", mask.nuclei)):
        y, x = np.argwhere(image == row["Metadata_ObjectNumber"]).mean(axis=0)
        found = row[[f"{name}_Location_Center_X", f"{name}_Location_Center_Y"]].tolist()
        assert found == pytest.approx([x, y])


def test_small_blocks_give_the_same_table(export, monkeypatch):
    """Blocks end within pictures; what is read of a label image serves the next block."""
    whole = pd.read_parquet(export("cytotable", "whole.parquet"))
    monkeypatch.setattr(profiles, "NUMBERS_AT_ONCE", 3 * 400)
    pd.testing.assert_frame_equal(pd.read_parquet(export("cytotable", "parts.parquet")), whole)


@pytest.mark.parametrize("per", ["cell", "picture"])
def test_pycytominer_takes_profiles_without_arguments(export, pycytominer, per):
    table = pd.read_parquet(export("cytotable", "profiles.parquet", per=per))
    normalised = quiet(pycytominer.normalize, table)
    mean = normalised["Cells_Intensity_MeanIntensity_protein" + ("_mean" if per == "picture" else "")]
    assert mean.mean() == pytest.approx(0, abs=1e-5)
    selected = quiet(pycytominer.feature_select, normalised)
    assert len(selected) == len(table)
    assert 0 < selected.shape[1] <= table.shape[1]
    wells = quiet(pycytominer.aggregate, table)
    assert wells[["Metadata_Plate", "Metadata_Well"]].to_numpy().tolist() == [
        ["P1", "A01"],
        ["P1", "A02"],
        ["P2", "A01"],
        ["P2", "B01"],
    ]
    platemap = pd.DataFrame({"well_position": ["A01", "A02", "B01"], "gene": ["a", "b", "c"]})
    annotated = quiet(pycytominer.annotate, wells, platemap)
    assert annotated["Metadata_gene"].tolist() == ["a", "a", "b", "c"]


def test_scanpy_takes_cells_without_arguments(export, cells):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scanpy
    adata = quiet(scanpy.read_h5ad, export("anndata", "cells.h5ad"))
    quiet(scanpy.pp.scale, adata)
    quiet(scanpy.pp.pca, adata)
    assert np.isfinite(adata.obsm["X_pca"]).all()
    assert len(adata) == len(cells)


def test_anndata_says_which_numbers_were_not_measured(made, tmp_path):
    """A gap is the median of the feature in X and marked; a feature without numbers is left out."""
    import anndata

    work = tmp_path / "work"
    shutil.copytree(made / "work", work)
    table = pd.read_parquet(work / "cells.parquet")
    gone, rest = "cell__intensity__mean__er", "cell__intensity__mean__protein"
    table[gone] = np.float32(np.nan)
    table.loc[[0, 2], rest] = np.float32(np.nan), np.float32(np.inf)
    table.to_parquet(work / "cells.parquet", index=False)
    (work / "records" / "extract.json").unlink()
    asked = ExportOptions(format="anndata", work=work, out=tmp_path / "cells.h5ad")
    done = execute(Export(), asked, SilentProgress())
    adata = quiet(anndata.read_h5ad, tmp_path / "cells.h5ad")
    assert done.left_out == 1
    assert gone not in adata.var["column"].tolist()
    column = adata.var_names.get_loc("Cells_Intensity_MeanIntensity_protein")
    missing = adata.layers["is_missing"][:, column]
    assert missing.nonzero()[0].tolist() == [0, 2]
    known = table.loc[~missing, rest].to_numpy()
    np.testing.assert_array_equal(adata.X[~missing, column], known)
    np.testing.assert_array_equal(adata.X[missing, column], np.median(known))


def test_anndata_holds_what_is_known_of_cells(export, made, cells):
    import anndata

    given = {"labels": made / "labels.csv", "predictions": made / "predictions.csv"}
    adata = quiet(anndata.read_h5ad, export("anndata", "cells.h5ad", families=("morphology",), **given))
    assert adata.obs_names.tolist() == [f"{row.Id}_{row.label}" for row in cells.itertuples()]
    first = adata.obs.groupby("Metadata_Id", observed=True).first()
    assert first["Metadata_Labels"].tolist()[:3] == ["Nucleoplasm; Cytosol", "Nucleoli", "Nucleoplasm"]
    assert first["Metadata_Labels"].isna().tolist() == [False, False, False, True]
    assert first["Metadata_Predicted"].tolist() == ["Nucleoli", "", "Cytosol; Nucleoli", ""]
    assert set(adata.var["family"]) == {"morphology"}
    assert adata.obsm["spatial"].shape == (len(cells), 2)
    assert "watershed" in adata.uns["extraction"]


def test_pictures_come_with_their_embeddings(export, made):
    import anndata

    folder = made / "work" / "embeddings"
    folder.mkdir()
    ids = pd.read_parquet(made / "work" / "samples.parquet")["Id"]
    values = pd.DataFrame({"Id": ids, "cnn__net__e0000": 1.0, "cnn__net__e0001": range(4)})
    values.to_parquet(folder / "net.parquet", index=False)
    adata = quiet(anndata.read_h5ad, export("anndata", "pictures.h5ad", per="picture"))
    assert adata.obsm["X_net"].tolist() == [[1, 0], [1, 1], [1, 2], [1, 3]]
    assert "Image_Count_Cells" in adata.var_names
    shutil.rmtree(folder)


def test_cellprofilers_tables_join_by_image_and_object(export, cells):
    folder = export("cellprofiler", "tables")
    image = pd.read_csv(folder / "Image.csv")
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in ("Cells", "Nuclei", "Cytoplasm")}
    assert image["ImageNumber"].tolist() == [1, 2, 3, 4]
    assert image["Count_Cells"].tolist() == cells.groupby("Id").size().tolist()
    assert image["Metadata_Well"].tolist() == list(WELLS)
    for table in tables.values():
        assert table["ObjectNumber"].tolist() == cells["label"].tolist()
    assert {"Parent_Cells", "Parent_Nuclei"} <= set(tables["Cytoplasm"])
    ours = cells["cytoplasm__morphology__area"].to_numpy()
    np.testing.assert_allclose(tables["Cytoplasm"]["AreaShape_Area"], ours, rtol=1e-6)
    assert not any(name.startswith(("Cells_", "Nuclei_")) for table in tables.values() for name in table)


@pytest.fixture(scope="module")
def pictures(made):
    return {sample.id: sample for sample in find_samples(made / "data" / "images", made / "samples.csv")[0]}


def test_ome_zarr_holds_pictures_and_labels(export, made, pictures, monkeypatch):
    import zarr

    monkeypatch.setattr("pipeline.exchange.ome_zarr_files.SMALLEST", 64)
    name = next(iter(pictures))
    root = zarr.open_group(export("omezarr", "zarr", ids=(name,)) / f"{name}.ome.zarr", mode="r")
    picture, mask = read_picture(pictures[name]), read_mask(Workspace(made / "work").mask(name))
    np.testing.assert_array_equal(root["0"], picture.pixels)
    assert root["1"][0, 0, 0] == pytest.approx(picture.pixels[0, :2, :2].mean())
    assert [root[str(level)].shape for level in range(3)] == [(4, 192, 192), (4, 96, 96), (4, 48, 48)]
    multiscales = root.attrs["multiscales"][0]
    size = picture.pixel_size_um
    assert multiscales["version"] == "0.4"
    assert [axis["name"] for axis in multiscales["axes"]] == ["c", "y", "x"]
    assert multiscales["axes"][1]["unit"] == "micrometer"
    assert multiscales["datasets"][1]["coordinateTransformations"] == [
        {"type": "scale", "scale": [1, size * 2, size * 2]},
        {"type": "translation", "translation": [0, size / 2, size / 2]},
    ]
    channels = root.attrs["omero"]["channels"]
    assert [(one["label"], one["color"]) for one in channels][:2] == [
        ("microtubules", "FF0000"),
        ("protein", "00FF00"),
    ]
    assert root["labels"].attrs["labels"] == ["cells", "nuclei"]
    np.testing.assert_array_equal(root["labels/cells/0"], mask.cells)
    np.testing.assert_array_equal(root["labels/nuclei/1"], mask.nuclei[::2, ::2])
    assert (root.store.root / "0" / "0" / "0" / "0").is_file()  # chunks in folders, as version 0.4 has them


def test_ome_zarr_says_of_every_label_what_was_measured(export, pictures, cells):
    import zarr

    name = next(iter(pictures))
    root = zarr.open_group(export("omezarr", "zarr", ids=(name,)) / f"{name}.ome.zarr", mode="r")
    about = root["labels/cells"].attrs["image-label"]
    own = cells[cells["Id"] == name]
    assert about["source"] == {"image": "../../"}
    assert [one["label-value"] for one in about["properties"]] == own["label"].tolist()
    areas = [one["Cells_AreaShape_Area"] for one in about["properties"]]
    assert areas == own["cell__morphology__area"].tolist()
    json.dumps(about, allow_nan=False)  # NaN is no JSON


def test_napari_is_given_layers_with_the_table_of_cells(export, made, pictures, cells):
    folder = export("napari", "napari")
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == sorted(pictures)
    name = next(iter(pictures))
    layers = {
        options["name"]: (data, options, kind) for data, options, kind in open_in_napari.layers(folder / name)
    }
    assert {name: kind for name, (_, _, kind) in layers.items()} == {
        **dict.fromkeys(("microtubules", "protein", "nucleus", "er"), "image"),
        **dict.fromkeys(("cells", "nuclei"), "labels"),
    }
    labels, options, _ = layers["cells"]
    np.testing.assert_array_equal(labels, read_mask(Workspace(made / "work").mask(name)).cells)
    own = cells[cells["Id"] == name]
    assert options["features"]["index"].tolist() == own["label"].tolist()
    area = options["features"]["Nuclei_AreaShape_Area"]
    np.testing.assert_allclose(area, own["nucleus__morphology__area"], rtol=1e-6)
    plane = tifffile.imread(folder / name / "protein.tif")
    np.testing.assert_array_equal(plane, read_picture(pictures[name]).plane("protein"))
    assert options["scale"] == [read_picture(pictures[name]).pixel_size_um] * 2


def test_the_script_for_napari_stands_alone(export):
    """It is run where this program is not: it imports nothing of it."""
    text = (export("napari", "napari") / "open_in_napari.py").read_text()
    assert "pipeline" not in text
    compile(text, "open_in_napari.py", "exec")


def test_what_is_up_to_date_is_not_written_again(export, made):
    path = export("cytotable", "cells.parquet")
    before = path.stat().st_mtime_ns
    assert not execute(
        Export(), ExportOptions(format="cytotable", work=made / "work", out=path), SilentProgress()
    ).fresh
    assert path.stat().st_mtime_ns == before


def test_two_exports_are_the_same_bytes(export):
    for what, names in (("anndata", ("a.h5ad", "b.h5ad")), ("cytotable", ("a.parquet", "b.parquet"))):
        first, second = (export(what, name) for name in names)
        assert first.read_bytes() == second.read_bytes()


def test_what_is_there_is_not_replaced_unless_told_to(export, tmp_path):
    path = tmp_path / "cells.parquet"
    path.write_text("mine")
    with pytest.raises(PipelineError, match="is there already; give another --out, or --overwrite"):
        export("cytotable", path.name)
    assert path.read_text() == "mine"
    export("cytotable", path.name, overwrite=True)
    assert len(pd.read_parquet(path))


def test_a_folder_that_is_no_export_is_never_replaced(export, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("It was a dark and stormy night")
    with pytest.raises(PipelineError, match="is there, and no export; give another --out"):
        export("cellprofiler", "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "chapter1.txt").is_file()


def test_an_edited_export_is_not_replaced_unless_told_to(export):
    folder = export("cellprofiler", "tables")
    (folder / "Cells.csv").write_text("edited")
    with pytest.raises(PipelineError, match="is there already"):
        export("cellprofiler", "tables")
    export("cellprofiler", "tables", overwrite=True)
    assert (folder / "Cells.csv").read_text() != "edited"


@pytest.mark.parametrize(
    ("what", "name", "options", "said"),
    [
        ("anndata", "cells.csv", {}, "anndata is one file; give a name that ends in .h5ad"),
        ("napari", "out", {"per": "picture"}, "--per picture: napari holds cells; leave it out"),
        ("cytotable", "a.parquet", {"ids": ("a",)}, "--id: only for omezarr and napari; leave it out"),
        (
            "cytotable",
            "a.parquet",
            {"families": ("textures",)},
            "unknown family 'textures'; known: intensity",
        ),
        ("napari", "out", {"ids": ("nobody",)}, "unknown picture 'nobody'; known: protein_"),
    ],
)
def test_options_that_do_not_fit_are_refused(export, what, name, options, said):
    with pytest.raises(PipelineError, match=said):
        export(what, name, **options)


def test_nothing_is_written_among_what_the_work_folder_holds(made):
    for out in (made / "work" / "masks", made / "work", made):
        asked = ExportOptions(format="cellprofiler", work=made / "work", out=out, overwrite=True)
        with pytest.raises(PipelineError, match="lies in the work folder; give one outside, or"):
            execute(Export(), asked, SilentProgress())


def test_label_images_that_changed_since_are_refused(made, tmp_path):
    work = Workspace(tmp_path / "work")
    shutil.copytree(made / "work", work.root)
    path = sorted(work.masks.glob("*.tif"))[0]
    pages = tifffile.imread(path)
    tifffile.imwrite(path, np.roll(pages, 5, axis=2))
    asked = ExportOptions(format="cytotable", work=work.root, out=tmp_path / "cells.parquet")
    with pytest.raises(PipelineError, match="not the label image that was measured; run extract again"):
        execute(Export(), asked, SilentProgress())


def test_a_missing_package_is_named_with_what_installs_it(export, monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(PipelineError, match=r"install it by: pip install -r requirements_export.txt"):
        export("anndata", "cells.h5ad")


def test_pictures_without_plate_and_well_are_wells_of_their_own(made, tmp_path, pycytominer):
    work = tmp_path / "work"
    shutil.copytree(made / "work", work)
    (work / "records" / "extract.json").unlink()
    samples = pd.read_parquet(work / "samples.parquet")
    bare = samples.drop(columns=[name for name in samples if name.startswith("Metadata_")])
    bare.to_parquet(work / "samples.parquet", index=False)
    asked = ExportOptions(format="cytotable", work=work, out=tmp_path / "cells.parquet")
    told = []
    progress = SilentProgress()
    progress.note = told.append
    execute(Export(), asked, progress)
    assert "has no Metadata_Plate and no Metadata_Well" in told[0]
    wells = quiet(pycytominer.aggregate, pd.read_parquet(tmp_path / "cells.parquet"))
    assert wells["Metadata_Well"].tolist() == samples["Id"].tolist()


def test_the_command_says_what_was_written_and_what_opens_it(command_line, made, tmp_path):
    out = tmp_path / "cells.parquet"
    ended = command_line("export", "cytotable", "--work", made / "work", "--out", out)
    assert ended.status == 0
    assert ended.output.startswith(f"Written: {out} (")
    assert "pycytominer.normalize" in ended.output
    again = command_line("export", "cytotable", "--work", made / "work", "--out", out)
    assert again.output.startswith("Up to date: ")


def test_columns_of_samples_do_not_take_the_place_of_what_exports_say_themselves(made, tmp_path):
    """LoadData of CellProfiler may bring an ImageNumber of its own."""
    work = tmp_path / "work"
    shutil.copytree(made / "work", work)
    (work / "records" / "extract.json").unlink()
    samples = pd.read_parquet(work / "samples.parquet")
    samples["Metadata_ImageNumber"] = samples["Metadata_height"] = samples["Metadata_Id"] = "theirs"
    samples.to_parquet(work / "samples.parquet", index=False)
    asked = ExportOptions(format="cytotable", work=work, out=tmp_path / "cells.parquet")
    told = []
    progress = SilentProgress()
    progress.note = told.append
    execute(Export(), asked, progress)
    table = pd.read_parquet(tmp_path / "cells.parquet")
    assert table["Metadata_ImageNumber"].unique().tolist() == [1, 2, 3, 4]
    assert set(table["Metadata_height"]) == {192}
    for name in ("ImageNumber", "height", "Id"):
        assert set(table[f"Metadata_{name}_of_samples"]) == {"theirs"}
    assert "its Metadata_ImageNumber is called Metadata_ImageNumber_of_samples" in told[0]


def test_a_picture_that_is_gone_is_listed_and_the_others_are_exported(made, tmp_path, pictures):
    images, work = tmp_path / "images", tmp_path / "work"
    shutil.copytree(made / "data" / "images", images)
    shutil.copytree(made / "work", work)
    gone = next(iter(pictures))
    (images / f"{gone}_blue.png").write_bytes(b"damaged")
    asked = {"format": "napari", "work": work, "images": images, "families": ("morphology",)}
    done = execute(Export(), ExportOptions(out=tmp_path / "napari", **asked), SilentProgress())
    assert (done.pictures, [one.sample for one in done.problems]) == (3, [gone])
    assert gone in (work / "problems.csv").read_text()
    assert len(list((tmp_path / "napari").glob("*/features.csv"))) == 3
