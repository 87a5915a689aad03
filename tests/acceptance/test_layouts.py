"""Twenty ways in which people keep their pictures: each is read right, or refused with what to write."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from pipeline.core.errors import PipelineError, SampleError
from pipeline.data.layouts import CHANNELS, COLOURS
from pipeline.data.pictures import read_picture
from pipeline.data.samples import samples_of
from pipeline.stages.options import ExtractOptions, PredictOptions

SIDE = 40
NAMED = '[channels]\nmicrotubules = "TUB"\nprotein = "GFP"\nnucleus = "DAPI"\ner = "ER"\n'
NUMBERED = "[channels]\nmicrotubules = 1\nprotein = 2\nnucleus = 3\ner = 4\n"
FROM_ZERO = "[channels]\nmicrotubules = 0\nprotein = 1\nnucleus = 2\ner = 3\n"
THREE = '[channels]\nmicrotubules = "red"\nprotein = "green"\nnucleus = "blue"\n'
SHORT = dict(zip(CHANNELS, ("TUB", "GFP", "DAPI", "ER"), strict=True))
UUID = "0A1B2C3D-0A1B-0A1B-0A1B-0A1B2C3D4E5F"


def scene(seed: int = 0) -> np.ndarray:
    planes = np.random.default_rng(seed).integers(0, 256, (4, SIDE, SIDE), np.uint8)
    planes[:, 0, 0] = 255
    return planes


def grey(path: Path, plane: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.startswith(".tif"):
        tifffile.imwrite(path, plane)
    else:
        Image.fromarray(plane).save(path)


def per_channel(folder: Path, name: str, called: dict[str, object], samples: int = 2) -> None:
    """Write a plane per file; `name` has {sample} and {channel}."""
    for sample in range(samples):
        for channel, plane in zip(CHANNELS, scene(sample), strict=True):
            grey(folder / name.format(sample=sample + 1, channel=called[channel]), plane)


def hpa_png(folder: Path) -> None:
    per_channel(folder, "s{sample}_{channel}.png", COLOURS)


def hpa_colour_tiff(folder: Path) -> None:
    """Pictures in the colour of the stain, as HPA serves its JPGs; without loss here."""
    own = {"red": [0], "green": [1], "blue": [2], "yellow": [0, 1]}
    for sample in range(2):
        for channel, plane in zip(CHANNELS, scene(sample), strict=True):
            colours = np.zeros((SIDE, SIDE, 3), np.uint8)
            colours[..., own[COLOURS[channel]]] = plane[..., None]
            Image.fromarray(colours).save(folder / f"s{sample + 1}_{COLOURS[channel]}.png")


def composites(folder: Path) -> None:
    for sample in range(2):
        Image.fromarray(np.moveaxis(scene(sample)[:3], 0, -1)).save(
            folder / f"s{sample + 1}_blue_red_green.png"
        )


def plain_rgb(folder: Path) -> None:
    for sample in range(2):
        Image.fromarray(np.moveaxis(scene(sample)[:3], 0, -1)).save(folder / f"s{sample + 1}.png")


def ome_tiff(folder: Path) -> None:
    for sample in range(2):
        metadata = {"axes": "CYX", "Channel": {"Name": list(SHORT.values())}}
        tifffile.imwrite(folder / f"s{sample + 1}.ome.tif", scene(sample), ome=True, metadata=metadata)


def ome_tiff_of_our_names(folder: Path) -> None:
    for sample in range(2):
        metadata = {"axes": "CYX", "Channel": {"Name": list(CHANNELS)}}
        tifffile.imwrite(folder / f"s{sample + 1}.ome.tif", scene(sample), ome=True, metadata=metadata)


def imagej(folder: Path) -> None:
    for sample in range(2):
        tifffile.imwrite(folder / f"s{sample + 1}.tif", scene(sample), imagej=True, metadata={"axes": "CYX"})


def z_stacks(folder: Path) -> None:
    for sample in range(2):
        stack = np.stack([scene(sample), np.zeros_like(scene())])
        metadata = {"axes": "ZCYX", "Channel": {"Name": list(SHORT.values())}}
        tifffile.imwrite(folder / f"s{sample + 1}.ome.tif", stack, ome=True, metadata=metadata)


def time_points(folder: Path) -> None:
    metadata = {"axes": "TCYX", "Channel": {"Name": list(SHORT.values())}}
    stack = np.stack([scene(0), scene(1)])
    tifffile.imwrite(folder / "s.ome.tif", stack, ome=True, metadata=metadata)


def several_fields(folder: Path) -> None:
    with tifffile.TiffWriter(folder / "s.ome.tif", ome=True) as file:
        for sample in range(2):
            metadata = {
                "axes": "CYX",
                "Name": f"field {sample + 1}",
                "Channel": {"Name": list(SHORT.values())},
            }
            file.write(scene(sample), metadata=metadata)


def opera(folder: Path) -> None:
    called = dict(zip(CHANNELS, (1, 2, 3, 4), strict=True))
    per_channel(folder, "P1/Images/r01c0{sample}f01p01-ch{channel}sk1fk1fl1.tiff", called)


def imagexpress(folder: Path) -> None:
    called = dict(zip(CHANNELS, (1, 2, 3, 4), strict=True))
    per_channel(folder, "P1_A0{sample}_s1_w{channel}" + UUID + ".tif", called)


def yokogawa(folder: Path) -> None:
    called = dict(zip(CHANNELS, (1, 2, 3, 4), strict=True))
    per_channel(folder, "P1_A0{sample}_T0001F001L01A01Z01C0{channel}.tif", called)


def incell(folder: Path) -> None:
    per_channel(folder, "A - 0{sample}(fld 1 wv {channel}).tif", SHORT)


def micromanager(folder: Path) -> None:
    called = dict(zip(CHANNELS, (1, 2, 3, 4), strict=True))
    per_channel(folder, "img_channel00{channel}_position00{sample}_time000000000_z000.tif", called)


def colour_folders(folder: Path) -> None:
    per_channel(folder, "{channel}/s{sample}_{channel}.png", COLOURS)


def endings(folder: Path) -> None:
    per_channel(folder, "s{sample}_{channel}.tif", SHORT)


def own_pattern(folder: Path) -> None:
    per_channel(folder, "plate7/B{sample}/{channel}.tif", SHORT)


def write_zarr(folder: Path, planes: np.ndarray) -> None:
    group = zarr.open_group(folder, mode="w", zarr_format=2)
    array = group.create_array("0", shape=(4, SIDE, SIDE), chunks=(1, SIDE, SIDE), dtype="uint8")
    array[:] = planes
    axes = [{"name": "c", "type": "channel"}, *({"name": one, "type": "space"} for one in "yx")]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1]}]}
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [level]}]
    group.attrs["omero"] = {"channels": [{"label": name} for name in SHORT.values()]}


def ome_zarr(folder: Path) -> None:
    for sample in range(2):
        write_zarr(folder / f"s{sample + 1}.zarr", scene(sample))


def hcs_plate(folder: Path) -> None:
    plate = zarr.open_group(folder / "P1.zarr", mode="w", zarr_format=2)
    wells = [{"path": f"A/{column}", "rowIndex": 0, "columnIndex": column - 1} for column in (1, 2)]
    plate.attrs["plate"] = {
        "version": "0.4",
        "rows": [{"name": "A"}],
        "columns": [{"name": "1"}, {"name": "2"}],
        "wells": wells,
    }
    for sample in range(2):
        well = plate.require_group(f"A/{sample + 1}")
        well.attrs["well"] = {"version": "0.4", "images": [{"path": "0"}]}
        write_zarr(folder / "P1.zarr" / "A" / str(sample + 1) / "0", scene(sample))


class Read(NamedTuple):
    """A layout that is read: how files are written, the TOML beside them, the ids, and the channels."""

    write: Callable[[Path], None]
    toml: str
    ids: tuple[str, str] = ("s1", "s2")
    channels: tuple[str, ...] = CHANNELS


READ = {
    "HPA's names": Read(hpa_png, ""),
    "HPA's colours": Read(hpa_colour_tiff, ""),
    "HPA's composites": Read(composites, "", channels=CHANNELS[:3]),
    "pictures in colours, said what is what": Read(plain_rgb, THREE, channels=CHANNELS[:3]),
    "OME-TIFF by name": Read(ome_tiff, NAMED),
    "OME-TIFF by number": Read(ome_tiff, FROM_ZERO),
    "OME-TIFF of our names": Read(ome_tiff_of_our_names, ""),
    "three of four channels": Read(ome_tiff, NAMED.replace('er = "ER"\n', ""), channels=CHANNELS[:3]),
    "ImageJ stacks": Read(imagej, FROM_ZERO),
    "z-stacks, projected": Read(z_stacks, f'projection = "max"\n{NAMED}'),
    "time points": Read(time_points, NAMED, ("s_t0", "s_t1")),
    "several fields in a file": Read(several_fields, NAMED, ("s_field_1", "s_field_2")),
    "Opera Phenix": Read(opera, f'files = "opera-phenix"\n{NUMBERED}', ("P1_A01_01_1", "P1_A02_01_1")),
    "ImageXpress": Read(imagexpress, f'files = "imagexpress"\n{NUMBERED}', ("P1_A01_1", "P1_A02_1")),
    "Yokogawa": Read(yokogawa, f'files = "yokogawa"\n{NUMBERED}', ("P1_A01_0001_001", "P1_A02_0001_001")),
    "InCell": Read(incell, f'files = "incell"\n{NAMED}', ("A01_1", "A02_1")),
    "Micro-Manager": Read(
        micromanager, f'files = "micromanager"\n{NUMBERED}', ("001_000000000", "002_000000000")
    ),
    "folders by colour": Read(colour_folders, 'files = "cellmaps"'),
    "endings of names": Read(endings, NAMED),
    "a pattern": Read(
        own_pattern,
        f"files = '(?P<plate>\\w+)/(?P<well>\\w+)/(?P<channel>\\w+)\\.tif'\n{NAMED}",
        ("plate7_B01", "plate7_B02"),
    ),
    "OME-Zarr": Read(ome_zarr, NAMED),
    "OME-Zarr plates": Read(hcs_plate, NAMED, ("P1_A01_0", "P1_A02_0")),
}


def options(folder: Path, toml: str, kind: type = ExtractOptions) -> ExtractOptions | PredictOptions:
    given = {"images": folder / "images", "work": folder / "work"}
    if toml:
        (folder / "layout.toml").write_text(toml)
        given["layout"] = folder / "layout.toml"
    if kind is PredictOptions:
        given |= {"model": folder / "model", "output": folder / "out.csv"}
    return kind.model_validate(given)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    return tmp_path


@pytest.mark.parametrize("name", READ)
def test_a_layout_is_read_right_and_alike_by_extract_and_predict(folder, name):
    layout = READ[name]
    layout.write(folder / "images")
    samples, problems = samples_of(options(folder, layout.toml))
    assert problems == []
    assert tuple(sample.id for sample in samples) == layout.ids
    for number, sample in enumerate(samples):
        picture = read_picture(sample)
        assert picture.channels == layout.channels
        expected = scene(number)[: len(layout.channels)] / 255
        np.testing.assert_array_equal(picture.pixels, expected.astype(np.float32))
    assert samples_of(options(folder, layout.toml, PredictOptions))[0] == samples


class Refused(NamedTuple):
    """A layout that is refused: how files are written, the TOML beside them, and what is said."""

    write: Callable[[Path], None]
    toml: str
    told: str


REFUSED = {
    "pictures in colours, nothing said": Refused(plain_rgb, "", r"inspect"),
    "stacks, nothing said": Refused(ome_tiff, "", r"inspect"),
    "a channel that is not there": Refused(
        ome_tiff, NAMED.replace("GFP", "RFP"), r'no channel "RFP": it has 4 \(0: TUB, 1: GFP'
    ),
    "z-stacks, no projection": Refused(z_stacks, NAMED, "projection"),
    "another preset": Refused(
        opera, f'files = "yokogawa"\n{NUMBERED}', r"no file matches 'yokogawa', such as P1"
    ),
    "a preset without channels": Refused(
        opera, 'files = "opera-phenix"', r"channels 1, 2, 3, 4; say in the layout"
    ),
    "a layout that was not edited": Refused(ome_tiff, '[channels]\nprotein = "?"\n', "write what it is"),
    "a channel of another name": Refused(
        ome_tiff, '[channels]\nproteins = "GFP"\n', "'proteins' is none of|proteins"
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_right_is_refused_with_what_to_write(folder, name):
    layout = REFUSED[name]
    layout.write(folder / "images")
    for kind in (ExtractOptions, PredictOptions):
        with pytest.raises((PipelineError, SampleError), match=layout.told):
            read_picture(samples_of(options(folder, layout.toml, kind))[0][0])
