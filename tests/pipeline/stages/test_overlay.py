import imagecodecs
import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import COLOURS
from pipeline.data.masks import Segmentation, write_mask
from pipeline.data.pictures import Picture
from pipeline.stages.overlay import OverlayOptions, composite, contact_sheet, draw_outlines, overlay


def segmentation(shape=(60, 80)):
    cells, nuclei = np.zeros((2, *shape), np.uint16)
    cells[5:40, 5:60] = 1
    nuclei[15:30, 20:40] = 1
    return Segmentation(cells, nuclei)


@pytest.fixture
def folders(tmp_path):
    """Two samples, both segmented."""
    rng = np.random.default_rng(0)
    images, work = tmp_path / "images", Workspace(tmp_path / "work")
    images.mkdir()
    for name in ("a", "b"):
        for colour in COLOURS.values():
            pixels = rng.integers(0, 255, (60, 80)).astype(np.uint8)
            (images / f"{name}_{colour}.png").write_bytes(imagecodecs.png_encode(pixels))
        write_mask(work.mask(name), segmentation())
    return images, work


def draw(folders, **options):
    images, work = folders
    return overlay(OverlayOptions(images=images, work=work.root, **options), SilentProgress())


def read(path):
    return imagecodecs.png_decode(path.read_bytes())


def test_channels_are_drawn_in_their_colours():
    pixels = np.zeros((4, 10, 10), np.float32)
    pixels[:, 5, 5] = 0.1
    for channel, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
        one = np.zeros_like(pixels)
        one[channel] = pixels[channel]
        assert tuple(composite(Picture(one))[5, 5]) == colour
    er = np.zeros_like(pixels)
    er[3] = pixels[3]
    assert composite(Picture(er)).max() == 0
    red, green, blue = composite(Picture(er), er=True)[5, 5]
    assert red == green > blue


def test_outlines_lie_inside_cells_and_nuclei_and_nowhere_else():
    found = segmentation()
    drawn = draw_outlines(np.zeros((60, 80, 3), np.uint8), found)
    assert tuple(drawn[5, 30]) == (255, 255, 255)
    assert tuple(drawn[15, 30]) == (255, 225, 0)
    assert drawn[10, 10].max() == 0
    assert drawn[found.cells == 0].max() == 0


def test_every_segmented_sample_gets_its_picture(folders):
    paths = draw(folders)
    assert [path.name for path in paths] == ["a.png", "b.png"]
    assert read(paths[0]).shape == (60, 80, 3)
    assert not np.array_equal(read(paths[0]), read(paths[1]))


def test_chosen_samples_come_in_the_order_asked_for(folders):
    assert [path.stem for path in draw(folders, ids=("b", "a"))] == ["b", "a"]


def test_a_sheet_holds_every_sample(folders, tmp_path):
    (path,) = draw(folders, sheet=tmp_path / "sheet.png", columns=1)
    assert path == tmp_path / "sheet.png"
    assert read(path).shape == (2 * 60 + 4, 80, 3)


def test_a_sheet_shrinks_large_pictures(folders, tmp_path):
    (path,) = draw(folders, sheet=tmp_path / "sheet.png", columns=2, tile=40)
    assert read(path).shape == (30, 2 * 40 + 4, 3)


def test_a_sheet_takes_pictures_of_different_sizes():
    pictures = [("a", np.full((10, 20, 3), 9, np.uint8)), ("b", np.full((30, 5, 3), 9, np.uint8))]
    assert contact_sheet(pictures, 5).shape == (30, 44, 3)


def test_an_unknown_sample_is_told(folders):
    with pytest.raises(PipelineError, match="unknown sample 'c'"):
        draw(folders, ids=("c",))


def test_a_sample_without_a_label_image_says_to_extract(folders):
    folders[1].mask("b").unlink()
    assert [path.stem for path in draw(folders)] == ["a"]
    with pytest.raises(PipelineError, match=r"b\.tif: missing; run extract"):
        draw(folders, ids=("b",))
    folders[1].mask("a").unlink()
    with pytest.raises(PipelineError, match="no label image"):
        draw(folders)


def test_a_label_image_of_another_size_is_refused(folders):
    write_mask(folders[1].mask("a"), segmentation((61, 80)))
    with pytest.raises(PipelineError, match=r"a\.tif: not of its picture's size"):
        draw(folders, ids=("a",))
