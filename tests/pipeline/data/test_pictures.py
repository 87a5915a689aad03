"""Reading pictures: depth, pixel size, and every kind of damage."""

import errno
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.core.errors import SampleError
from pipeline.data import pictures
from pipeline.data.pictures import read_picture
from pipeline.data.samples import find_samples
from pipeline.formats.sources import Source


def only_sample(folder):
    return find_samples(folder)[0][0]


def test_eight_and_sixteen_bit_pictures_of_one_scene_are_the_same(tmp_path, write_sample):
    planes = write_sample(tmp_path / "8", "a")
    (tmp_path / "16").mkdir()
    for path, plane in zip(only_sample(tmp_path / "8").paths, planes, strict=True):
        (tmp_path / "16" / path.name).write_bytes(imagecodecs.png_encode(plane.astype(np.uint16) * 257))
    eight, sixteen = (read_picture(only_sample(tmp_path / depth)) for depth in ("8", "16"))
    assert eight.pixels.dtype == np.float32
    np.testing.assert_array_equal(eight.pixels, sixteen.pixels)
    np.testing.assert_array_equal(eight.pixels, (planes / 255).astype(np.float32))


def test_sixteen_bits_are_read_at_full_depth(tmp_path, write_sample):
    planes = write_sample(tmp_path, "a", dtype="uint16")
    pixels = read_picture(only_sample(tmp_path)).pixels
    np.testing.assert_array_equal(np.rint(pixels.astype(np.float64) * 65535), planes)


def test_an_ome_tiff_brings_its_pixel_size_unless_the_user_gave_one(tmp_path):
    plane = np.arange(30, dtype=np.uint16).reshape(5, 6)
    for colour in ("red", "green", "blue", "yellow"):
        metadata = {"axes": "YX", "PhysicalSizeX": 80.0, "PhysicalSizeXUnit": "nm"}
        tifffile.imwrite(tmp_path / f"a_{colour}.tif", plane, ome=True, metadata=metadata)
    sample = only_sample(tmp_path)
    assert read_picture(sample).pixel_size_um == pytest.approx(0.08)
    assert read_picture(replace(sample, pixel_size_um=0.5)).pixel_size_um == 0.5


def test_an_imagej_tiff_brings_its_pixel_size(tmp_path):
    plane = np.arange(30, dtype=np.uint8).reshape(5, 6)
    for colour in ("red", "green", "blue", "yellow"):
        path = tmp_path / f"a_{colour}.tif"
        tifffile.imwrite(path, plane, imagej=True, resolution=(12.5, 12.5), metadata={"unit": "um"})
    assert read_picture(only_sample(tmp_path)).pixel_size_um == pytest.approx(0.08)


def test_grey_jpegs_are_read(tmp_path):
    for colour in ("red", "green", "blue", "yellow"):
        Image.fromarray(np.full((8, 9), 100, np.uint8)).save(tmp_path / f"a_{colour}.jpg")
    Image.fromarray(np.full((8, 9), 200, np.uint8)).save(tmp_path / "a_green.jpg")
    with pytest.raises(SampleError, match="empty"):
        read_picture(only_sample(tmp_path))
    Image.fromarray(np.tile(np.arange(9, dtype=np.uint8), (8, 1))).save(tmp_path / "a_green.jpg")
    assert read_picture(only_sample(tmp_path)).shape == (8, 9)


def rgb(path):
    path.write_bytes(imagecodecs.png_encode(np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)))


def other_size(path):
    path.write_bytes(imagecodecs.png_encode(np.zeros((24, 31), np.uint8)))


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "unreadable or truncated"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"not a picture" * 9), "holds nothing like a PNG, TIFF or JPEG"),
        (lambda path: path.unlink(), r"no blue \(nucleus\) picture"),
        (rgb, r"a picture in colours \(red 0.57"),
        (other_size, "31×24, but red is 32×24"),
    ],
)
def test_a_damaged_channel_names_its_file_and_a_remedy(tmp_path, write_sample, damage, reason):
    write_sample(tmp_path, "a")
    sample = only_sample(tmp_path)
    damage(sample.source("nucleus").path)
    with pytest.raises(SampleError, match=reason) as caught:
        read_picture(sample)
    assert caught.value.problem.file == "a_blue.png"
    assert caught.value.problem.remedy


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), r"cannot be read now \(Permission denied\)"),
        (OSError(errno.ESTALE, "Stale file handle"), r"cannot be read now \(Stale file handle\)"),
        (MemoryError(), "too little memory"),
    ],
)
def test_what_is_no_fault_of_the_file_is_to_be_tried_again(
    tmp_path, write_sample, monkeypatch, error, reason
):
    write_sample(tmp_path, "a")
    sample = only_sample(tmp_path)

    def refuse(*_):
        raise error

    monkeypatch.setattr(pictures.PlaneReader, "plane", refuse)
    with pytest.raises(SampleError, match=reason) as caught:
        read_picture(sample)
    assert caught.value.problem.is_passing


def read_or_problem(sample):
    try:
        return read_picture(sample).shape
    except SampleError as error:
        return error.problem.file


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_a_file_cut_or_altered_anywhere_is_a_picture_or_a_problem_never_a_crash(
    tmp_path, write_sample, suffix
):
    planes = write_sample(tmp_path, "a")
    sample = only_sample(tmp_path)
    path = tmp_path / f"a_blue.{suffix}"
    if suffix == "tif":
        tifffile.imwrite(path, planes[2], compression="zlib")
    else:
        Image.fromarray(planes[2]).save(path)
    sample = replace(sample, sources=(*sample.sources[:2], Source((path,)), sample.sources[3]))
    content = path.read_bytes()
    generator = np.random.default_rng(1)
    for _ in range(60):
        broken = bytearray(
            content[: generator.integers(len(content))] if generator.random() < 0.5 else content
        )
        for place in generator.integers(max(len(broken), 1), size=3):
            if broken:
                broken[place % len(broken)] = generator.integers(256)
        path.write_bytes(bytes(broken))
        outcome = read_or_problem(sample)
        assert outcome in {(24, 32), path.name}
