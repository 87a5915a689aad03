import shutil
import time

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.core.workspace import Workspace
from pipeline.data import masks
from pipeline.data.masks import Origin, Segmentation, mask_origins, read_mask, write_mask


@pytest.fixture
def segmentation():
    rng = np.random.default_rng(0)
    return Segmentation(*rng.integers(0, 60_000, (2, 30, 50)).astype(np.uint16))


def test_masks_come_back_as_they_were(tmp_path, segmentation):
    path = tmp_path / "masks" / "a.tif"
    write_mask(path, segmentation)
    found = read_mask(path)
    assert np.array_equal(found.cells, segmentation.cells)
    assert np.array_equal(found.nuclei, segmentation.nuclei)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.tif"]


def test_a_general_viewer_reads_both_pages_at_16_bits(tmp_path, segmentation):
    write_mask(tmp_path / "a.tif", segmentation)
    with Image.open(tmp_path / "a.tif") as image:
        assert image.n_frames == 2
        assert np.array_equal(np.asarray(image), segmentation.cells)
        image.seek(1)
        assert np.array_equal(np.asarray(image), segmentation.nuclei)


def test_the_same_masks_give_the_same_bytes(tmp_path, segmentation):
    write_mask(tmp_path / "a.tif", segmentation)
    write_mask(tmp_path / "b.tif", segmentation)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_a_truncated_mask_is_told_by_name(tmp_path, segmentation):
    path = tmp_path / "a.tif"
    write_mask(path, segmentation)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(PipelineError, match=r"a\.tif.*run extract again"):
        read_mask(path)


def test_a_foreign_tiff_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4, 5), np.uint8), photometric="minisblack")
    with pytest.raises(PipelineError, match="not two grey pages of one size"):
        read_mask(tmp_path / "a.tif")


def test_numbers_beyond_16_bits_come_back(tmp_path):
    labels = np.arange(80_000, dtype=np.uint32).reshape(200, 400)
    write_mask(tmp_path / "a.tif", Segmentation(labels, labels))
    assert read_mask(tmp_path / "a.tif").count == 79_999


@pytest.fixture
def made(tmp_path, segmentation):
    """Write a label image as `extract` does; return its work folder."""
    work = Workspace(tmp_path)
    write_mask(work.mask("a"), segmentation, "key")
    return work


def origin(work: Workspace) -> Origin:
    return mask_origins(work, ["a"])["a"]


def test_a_made_label_image_is_known_wherever_it_was_copied_to(made, tmp_path, segmentation):
    digest = write_mask(tmp_path / "other.tif", segmentation)
    assert origin(made) == Origin("made", digest, "key")
    copy = Workspace(tmp_path / "copy")
    copy.masks.mkdir(parents=True)
    shutil.copyfile(made.mask("a"), copy.mask("a"))
    assert origin(copy) == origin(made)
    assert mask_origins(made, ["b"]) == {"b": Origin()}


def test_a_label_image_that_was_cut_short_is_damaged_wherever_that_was(made):
    content = made.mask("a").read_bytes()
    for length in range(0, len(content) - 1, 97):
        made.mask("a").write_bytes(content[:length])
        assert origin(made) == Origin("damaged"), length


@pytest.mark.parametrize(
    "change",
    [
        tifffile.imwrite,
        lambda path, pages: tifffile.imwrite(path, pages.astype(np.int32), compression="lzw"),
        lambda path, pages: tifffile.imwrite(path, pages[:, None], imagej=True),
        lambda path, pages: tifffile.imwrite(
            path, np.clip(pages, 0, 200).astype(np.uint8), software="QuPath"
        ),
        lambda path, pages: Image.fromarray(pages[0]).save(
            path, save_all=True, append_images=[Image.fromarray(pages[1])]
        ),
    ],
)
def test_whatever_program_wrote_a_label_image_it_is_an_edited_one(made, change):
    change(made.mask("a"), tifffile.imread(made.mask("a")))
    found = origin(made)
    assert found.state == "edited"
    assert found.key == ""
    assert read_mask(made.mask("a")).cells.dtype == np.uint16
    made.mask("a").write_bytes(made.mask("a").read_bytes()[:50])
    assert origin(made).state == "lost"
    assert origin(made).state == "lost"


def test_pixels_changed_under_the_old_tags_are_an_edit(made):
    pages = tifffile.imread(made.mask("a"))
    with tifffile.TiffFile(made.mask("a")) as file:
        tags = {"software": file.pages.first.software, "description": file.pages.first.description}
    pages[0, 0, 0] += 1
    tifffile.imwrite(made.mask("a"), pages, metadata=None, **tags)
    assert origin(made).state == "edited"


def test_a_label_image_that_cannot_be_read_now_is_never_made_again(made, monkeypatch):
    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(masks, "check_readable", denied)
    with pytest.raises(PipelineError, match=r"a\.tif: cannot be read now"):
        origin(made)


def test_a_label_image_of_too_many_bytes_is_not_decoded(made, monkeypatch):
    monkeypatch.setenv("HPA_MAX_BYTES", "5000")
    assert origin(made) == Origin("damaged")


def test_only_the_first_pages_of_a_file_are_looked_at(made):
    with tifffile.TiffWriter(made.mask("a")) as file:
        for _ in range(2000):
            file.write(np.zeros((2, 2), np.uint16), metadata=None)
    began = time.perf_counter()
    assert origin(made).state == "edited"
    with pytest.raises(PipelineError, match="not two grey pages"):
        read_mask(made.mask("a"))
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("largest", [9, 20_000_000, 4_294_967_295])
def test_labels_without_gaps_are_the_places_of_those_that_occur(largest):
    first = np.array([[0, 3], [largest, 3]], np.uint32)
    numbers, (one, two) = masks.without_gaps(first, np.array([[5, 0]], np.uint32))
    assert numbers.tolist() == [0, 3, 5, largest]
    assert np.array_equal(numbers[one], first)
    assert two.tolist() == [[2, 0]]
    assert one.dtype == two.dtype == np.int32
