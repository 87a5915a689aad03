import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.data.masks import Segmentation, read_mask, write_mask


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
    with pytest.raises(PipelineError, match="two uint16 pages"):
        read_mask(tmp_path / "a.tif")


def test_numbers_beyond_16_bits_come_back(tmp_path):
    labels = np.arange(80_000, dtype=np.uint32).reshape(200, 400)
    write_mask(tmp_path / "a.tif", Segmentation(labels, labels))
    assert read_mask(tmp_path / "a.tif").count == 79_999
