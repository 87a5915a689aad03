import imagecodecs
import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import COLOURS
from pipeline.data.masks import Segmentation, write_mask
from pipeline.data.pictures import Picture, read_picture
from pipeline.data.samples import find_samples
from pipeline.stages.coloured_cells import NOTHING, OTHER, PALETTE, UNANSWERED, letter
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


def answers(tmp_path, rows):
    path = tmp_path / "cells.csv"
    path.write_text("Id,label,locations\n" + "".join(f"{row}\n" for row in rows))
    return {"by": "location", "answers": path}


def test_a_set_of_locations_has_one_colour_whichever_pictures_are_drawn(folders, tmp_path):
    given = answers(tmp_path, ["a,1,Cytosol", "b,1,Mitochondria; Cytosol", "c,1,Mitochondria; Cytosol"])
    edges = [tuple(read(path)[5, 30]) for path in draw(folders, **given)]
    assert edges == [PALETTE[1], PALETTE[0]]
    assert [tuple(read(path)[5, 30]) for path in draw(folders, ids=("a",), **given)] == edges[:1]


def test_what_is_beyond_the_colours_is_other_and_no_location_is_grey(folders, tmp_path):
    often = [f"c,{number},Location {number % len(PALETTE)}" for number in range(2 * len(PALETTE))]
    given = answers(tmp_path, [*often, "a,1,Cytosol", "b,1,"])
    edges = [tuple(read(path)[5, 30]) for path in draw(folders, **given)]
    assert edges == [OTHER[1], NOTHING[1]]


def test_cells_without_an_answer_are_outlined_only_and_told(folders, tmp_path):
    class Notes(SilentProgress):
        def note(self, text):
            said.append(text)

    said: list[str] = []
    both = segmentation()
    both.cells[45:58, 5:60] = 2
    write_mask(folders[1].mask("a"), both)
    options = OverlayOptions(images=folders[0], work=folders[1].root, **answers(tmp_path, ["a,1,Cytosol"]))
    first, second = [read(path) for path in overlay(options, Notes())]
    bare = [composite(read_picture(one)) for one in find_samples(folders[0])[0]]
    assert np.array_equal(second[20, 20:50], bare[1][20, 20:50])
    assert tuple(second[5, 30]) == UNANSWERED[1]
    assert not np.array_equal(first[20, 20:50], bare[0][20, 20:50])
    assert said == [
        f"{tmp_path}/cells.csv: has no rows of 1 of 2 pictures and 1 cell of the others; drawn as outlines"
    ]


def test_the_rim_of_a_text_is_as_wide_as_the_text():
    drawn = np.full((40, 400, 3), 128, np.uint8)
    letter(drawn, "Mitochondria; Cytosol", (6, 25), 0.42, (255, 255, 255))
    dark, light = (
        np.nonzero((drawn[..., 0] < 100).any(axis=0))[0],
        np.nonzero((drawn > 200).any(axis=(0, 2)))[0],
    )
    assert abs(int(dark.max()) - int(light.max())) <= 2
