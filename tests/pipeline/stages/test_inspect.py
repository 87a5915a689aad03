"""Looking at a folder of pictures first: what is told, and the layout that is proposed."""

import os
import tomllib

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress
from pipeline.data.layouts import Layout, read_layout
from pipeline.data.samples import find_samples
from pipeline.stages.exchange_options import InspectOptions
from pipeline.stages.inspect import inspect

PLANES = np.random.default_rng(0).integers(0, 4000, (4, 40, 48), np.uint16)


def run(images, **more):
    given = {"images": images, "out": images.parent / "inspected", **more}
    return inspect(InspectOptions.model_validate(given), SilentProgress())


def layout_of(found):
    return found.layout.read_text()


def test_pictures_named_as_hpa_names_them_need_no_layout(tmp_path, write_sample):
    images = tmp_path / "images"
    write_sample(images, "a")
    write_sample(images, "b")
    found = run(images)
    assert [sample.id for sample in found.samples] == ["a", "b"]
    assert found.layout is None
    assert found.kinds[["files", "type", "values"]].to_numpy().tolist() == [[8, "PNG", "uint8"]]
    table = pd.read_csv(tmp_path / "inspected" / "samples.csv")
    assert table.loc[0, ["Id", "protein"]].tolist() == ["a", "a_green.png"]
    assert (tmp_path / "inspected" / "sheet.png").stat().st_size > 0


def test_a_layout_is_proposed_for_stacks_and_refused_until_it_is_edited(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    names = ["DAPI", "GFP", "beta Tubulin", "561"]
    metadata = {"axes": "CYX", "Channel": {"Name": names}, "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2}
    tifffile.imwrite(images / "f1.ome.tif", PLANES, metadata=metadata, ome=True)
    found = run(images)
    assert found.samples == []
    assert found.kinds.loc[0, ["channels", "µm"]].tolist() == ["DAPI, GFP, beta Tubulin, 561", "0.2"]
    assert 'nucleus = "DAPI"' in layout_of(found)
    assert 'protein = "?"' in layout_of(found)
    with pytest.raises(
        PipelineError, match=r"'protein = \"\?\"': write what it is \(files have: \"DAPI\", \"GFP\""
    ):
        read_layout(found.layout)
    edited = layout_of(found).replace('protein = "?"', 'protein = "GFP"')
    edited = edited.replace('# microtubules = "?"', 'microtubules = "beta Tubulin"').replace(
        '# er = "?"', "er = 3"
    )
    found.layout.write_text(edited.replace("  # leave it out if it was not recorded", ""))
    again = run(images, layout=found.layout)
    assert [sample.id for sample in again.samples] == ["f1"]
    with pytest.raises(PipelineError, match="is there already, perhaps edited"):
        run(images)


def test_presets_are_recognised_with_their_planes(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for z in (1, 2):
        for channel in (1, 2, 3, 4):
            tifffile.imwrite(images / f"r02c03f01p0{z}-ch{channel}sk1fk1fl1.tiff", PLANES[channel - 1])
    text = layout_of(run(images))
    assert 'files = "opera-phenix"' in text
    assert 'projection = "?"' in text
    assert '# files have: "1", "2", "3", "4"' in text


def test_endings_that_many_names_share_are_proposed_as_channels(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for sample in ("x", "y"):
        for number, name in enumerate(("DAPI", "prot", "tubulin")):
            Image.fromarray((PLANES[number] >> 4).astype(np.uint8)).save(images / f"{sample}-{name}.png")
    found = run(images)
    text = layout_of(found)
    assert 'nucleus = "DAPI"' in text
    assert 'microtubules = "tubulin"' in text
    found.layout.write_text(text.replace('protein = "?"', 'protein = "prot"'))
    layout = read_layout(found.layout)
    assert layout.files is not None
    assert layout.channels["protein"] == "prot"


@pytest.mark.parametrize(
    ("file", "told"), [("notes.txt", "no file of a known type"), ("in/a.png", "all pictures lie in")]
)
def test_what_cannot_be_inspected_is_said(tmp_path, file, told):
    path = tmp_path / "images" / file
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(PipelineError, match=told):
        run(tmp_path / "images")


def test_nothing_is_written_among_the_pictures(tmp_path, write_sample):
    write_sample(tmp_path, "a")
    with pytest.raises(PipelineError, match="lies among the pictures"):
        run(tmp_path, out=tmp_path / "out")


def test_files_that_cannot_be_read_are_listed(tmp_path, write_sample):
    images = tmp_path / "images"
    write_sample(images, "a")
    (images / "b_green.png").write_bytes(b"no picture")
    found = run(images)
    assert [text.partition(":")[0] for text in found.unreadable] == ["b_green.png"]
    assert [problem.sample for problem in found.problems] == ["b"]


def test_names_of_channels_cannot_write_the_layout(tmp_path):
    evil = 'x"\nrange = [0, 9]\n#\\'
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    planes = np.arange(512, dtype=np.uint8).reshape(2, 16, 16)
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", evil]}}
    tifffile.imwrite(pictures / "a.ome.tif", planes, ome=True, metadata=metadata)
    found = run(pictures)
    assert "\n" not in found.kinds["channels"][0]
    text = found.layout.read_text()
    (have,) = (line for line in text.splitlines() if line.startswith("# files have: "))
    quoted = have.removeprefix('# files have: "DAPI", ')
    found.layout.write_text(text.replace('protein = "?"', f"protein = {quoted}"))
    layout = read_layout(found.layout)
    assert layout.range is None
    assert layout.channels == {"protein": evil, "nucleus": "DAPI"}


def test_names_that_do_not_print_are_shown_by_their_codes(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in (b"bad\xff.tif", b"es\x1bc\n.tif"):
        (pictures / os.fsdecode(name)).write_bytes(b"II*\0")
    found = run(pictures)
    assert [text.partition(":")[0] for text in found.unreadable] == ["bad\\udcff.tif", "es\\x1bc\\n.tif"]


def test_a_channel_that_files_do_not_have_is_told_at_once_with_the_name_to_write(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP", "tubulin", "RFP"]}}
    tifffile.imwrite(images / "f1.ome.tif", PLANES, metadata=metadata, ome=True)
    found = run(images, channels=["nucleus=DAPI", "protein=GPF"])
    (problem,) = found.problems
    assert (problem.sample, problem.remedy) == ("f1", "did you mean 'GFP'")


def test_one_plate_in_a_folder_of_plates_is_read_by_its_path_and_keeps_its_name(tmp_path):
    images = tmp_path / "images"
    folder = images / "plate7" / "Images"
    folder.mkdir(parents=True)
    for channel in (1, 2):
        tifffile.imwrite(folder / f"r02c03f01p01-ch{channel}sk1fk1fl1.tiff", PLANES[channel])
    found = run(images)
    assert 'files = "opera-phenix"' in layout_of(found)
    assert "# [proteins]" in layout_of(found)
    found.layout.write_text('files = "opera-phenix"\n[channels]\nnucleus = 1\nprotein = 2\n')
    (sample,) = run(images, layout=found.layout).samples
    assert dict(sample.metadata)["Metadata_Plate"] == "plate7"


@pytest.mark.parametrize("whole", [False, True])
def test_ids_that_would_be_refused_are_told_with_the_proposal(tmp_path, whole):
    images = tmp_path / "images"
    images.mkdir()
    for name in ("feld 1", "feld_2", "Färbung 3"):
        for channel in () if whole else ("DAPI", "GFP"):
            tifffile.imwrite(images / f"{name}_{channel}.tif", PLANES[0])
        if whole:
            metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
            tifffile.imwrite(images / f"{name}.ome.tif", PLANES[:2], metadata=metadata, ome=True)
    refused = run(images).refused
    assert "2 samples would be skipped all the same: Färbung 3" in refused
    assert "the Id 'Färbung 3' cannot be used: Ids are up to 200 letters a-z" in refused
    assert "; rename the files, or give" in refused


def test_files_of_no_sample_are_told(tmp_path, write_sample):
    images = tmp_path / "images"
    write_sample(images, "a")
    Image.fromarray((PLANES[0] >> 4).astype(np.uint8)).save(images / "a_cellmask.png")
    assert run(images).spare == ["a_cellmask.png"]


@pytest.mark.parametrize(
    ("names", "pattern", "sample"),
    [
        (["A_D03f00d0.tif", "A_D03f00d1.tif"], r"(?P<Id>.+)(?P<channel>d0|d1)(?:\.ome)?\.\w+", "A_D03f00"),
        (
            [f"Channel{one}-0{two}-A.tif" for one in (1, 2) for two in (1, 2, 3)],
            r"(?P<channel>Channel1|Channel2)\-(?P<Id>.+)(?:\.ome)?\.\w+",
            "01-A",
        ),
        (
            [
                f"{well}/{stain}_{two}.tif"
                for well in ("A1", "A2")
                for stain in ("DAPI", "GFP")
                for two in "12"
            ],
            r"(?P<part1>.+)/(?P<channel>DAPI|GFP)_(?P<part2>.+)(?:\.ome)?\.\w+",
            "A1_1",
        ),
    ],
)
def test_the_part_of_names_that_is_the_channel_is_found(tmp_path, names, pattern, sample):
    for name in names:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, PLANES[0])
    found = run(tmp_path / "images")
    layout = tomllib.loads(layout_of(found).replace('?"', 'x"'))
    assert layout["files"] == pattern
    called = layout_of(found).partition("files have: ")[2].partition("\n")[0].replace('"', "").split(", ")
    channels = dict(zip(("protein", "nucleus"), called, strict=False))
    samples, _ = find_samples(tmp_path / "images", layout=Layout(files=pattern, channels=channels))
    assert sample in {one.id for one in samples}


def test_samples_that_extract_would_refuse_are_not_called_readable(tmp_path, write_sample, command_line):
    images = tmp_path / "images"
    for name in ("a", "b", "c"):
        write_sample(images, name)
    write_sample(tmp_path, "small", size=(12, 16))
    (tmp_path / "small_green.png").rename(images / "b_green.png")
    pixels = np.full((24, 32, 4), 60_000, np.uint16)
    pixels[3, 4, 3] = 0
    tifffile.imwrite(images / "c_blue.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    (images / "c_blue.png").unlink()
    found = run(images)
    assert [sample.id for sample in found.samples] == ["a"]
    reasons = {problem.sample: problem.reason for problem in found.problems}
    assert reasons == {"b": "16×12, but red is 32×24", "c": "some pixels are transparent"}
    assert found.looked_at == 2  # b is told by its headers
    (images / "a_red.png").write_bytes((images / "b_green.png").read_bytes())
    with tifffile.TiffWriter(images / "alone.tif") as file:
        file.write(pixels, photometric="rgb", extrasamples=["unassalpha"])
    for path in images.glob("*_*"):
        path.unlink()
    ended = command_line("inspect", "--images", images, "--out", tmp_path / "out")
    assert not (tmp_path / "out" / "sheet.png").exists()
    assert "No contact sheet: alone.tif: some pixels are transparent; save each channel" in ended.output
    assert f"Next: edit {tmp_path / 'out' / 'layout.toml'}, and" in ended.output


def test_of_pictures_of_one_channel_without_it_in_their_names_the_option_is_said(tmp_path, command_line):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(3):
        tifffile.imwrite(images / f"cell_00{number}.tif", PLANES[0])
    said = "every file shows one channel: where that is the protein, give --channel protein=0"
    assert said in run(images).refused
    ended = command_line("extract", "--images", images, "--work", tmp_path / "work")
    assert ended.errors.endswith(f"; {said}\n")
    assert len(run(images, channels=["protein=0"]).samples) == 3
    images = images.rename(tmp_path / "my pictures")
    ended = command_line("inspect", "--images", images, "--out", tmp_path / "out", "--channel", "protein=0")
    assert (
        f"Next: python run.py extract --images '{images}' --channel protein=0 --work work\n" in ended.output
    )


@pytest.mark.parametrize("projection", [None, "max"])
def test_pages_without_a_header_are_a_stack_where_names_have_the_channel(tmp_path, projection):
    images = tmp_path / "images"
    images.mkdir()
    for name in ("GFP", "DAPI"):
        tifffile.imwrite(images / f"a_{name}.tif", PLANES, photometric="minisblack")
    found = run(images, projection=projection)
    layout = tomllib.loads(layout_of(found))
    assert layout["projection"] == (projection or "?")
    assert 'files have: "DAPI", "GFP"' in layout_of(found)
    edited = layout_of(found).replace('protein = "?"', 'protein = "GFP"')
    found.layout.write_text(edited.replace('projection = "?"', 'projection = "max"'))
    assert [one.id for one in run(images, layout=found.layout).samples] == ["a"]
