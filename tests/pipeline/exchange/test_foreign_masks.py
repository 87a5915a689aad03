"""Files of masks: which sample each belongs to, what it shows, and the labels in it."""

import json
import zipfile
from contextlib import suppress

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from roifile import ImagejRoi

from pipeline.core.errors import PipelineError, SampleError
from pipeline.core.files import UnreadableError
from pipeline.core.workspace import Workspace
from pipeline.data.samples import Sample, find_samples
from pipeline.exchange.foreign_masks import find_masks, read_given
from pipeline.exchange.mask_files import layers_in, read_layers
from pipeline.formats.sources import Source
from tests.pipeline.exchange.test_cellpose_files import saved

SHAPE = (24, 32)


def label_image(numbers=(3, 700, 65_000)):
    """Three squares with labels that have gaps."""
    labels = np.zeros(SHAPE, np.uint32)
    for place, number in enumerate(numbers):
        labels[4:12, 2 + 10 * place : 9 + 10 * place] = number
    return labels


@pytest.fixture
def pictures(tmp_path, write_sample):
    """Three samples: one whose id ends like that of a mask, and two pictures in a folder."""
    for name in ("a1", "b_cells"):
        write_sample(tmp_path / "images", name)
    return tmp_path / "images"


def found(pictures, folder, shows="cells"):
    samples, _ = find_samples(pictures)
    return find_masks(folder, samples, shows, Workspace(folder.parent / "work"))


def write_masks(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(imagecodecs.png_encode(label_image().astype(np.uint16)))
    return folder


@pytest.mark.parametrize(
    ("name", "shows"),
    [
        ("a1.png", "cells"),
        ("a1_cells.png", "cells"),
        ("a1_cellmask.png", "cells"),
        ("a1_Cell_Masks.png", "cells"),
        ("a1_nuclei.png", "nuclei"),
        ("a1_nucleimask.png", "nuclei"),
        ("a1-nuclear-labels.png", "nuclei"),
        ("a1_cp_masks.png", "cells"),
        ("a1_green_cp_masks.png", "cells"),
        ("a1_blue_cp_masks.png", "nuclei"),
        ("a1_blue_cyto_cp_masks.png", "cells"),
        ("a1_blue_red_green_cp_masks.png", "cells"),
        ("nuclei/a1.png", "nuclei"),
        ("hpa_nuclei_mask/a1.png", "nuclei"),
        ("cell_masks/a1_green.png", "cells"),
        ("b_cells.png", "cells"),
        ("b_cells_nuclei.png", "nuclei"),
        ("plate/b_cells_blue.png", "nuclei"),
    ],
)
def test_masks_are_found_by_name(pictures, tmp_path, name, shows):
    masks = found(pictures, write_masks(tmp_path / "masks", name)).masks
    owner = "b_cells" if "b_cells" in name else "a1"
    assert {sample: one.shows for sample, one in masks.items()} == {owner: shows}


def test_what_names_do_not_say_is_as_the_user_says(pictures, tmp_path):
    folder = write_masks(tmp_path / "masks", "a1_cp_masks.png", "b_cells_cells.png")
    shown = {sample: one.shows for sample, one in found(pictures, folder, "nuclei").masks.items()}
    assert shown == {"a1": "nuclei", "b_cells": "cells"}


def test_files_of_no_sample_are_named_and_pictures_are_no_masks(pictures, tmp_path):
    write_masks(pictures, "a1_cellmask.png", "other_cells.png", "a1_brightfield.png")
    write_masks(tmp_path / "images" / ".hidden", "a1_nuclei.png")
    taken = found(pictures, pictures)
    assert list(taken.masks) == ["a1"]
    assert [file.path.name for file in taken.masks["a1"].files] == ["a1_cellmask.png"]
    assert taken.strangers == ["a1_brightfield.png", "other_cells.png"]


def test_pictures_of_one_name_in_two_folders_need_the_folder(tmp_path, write_sample):
    for plate in ("p1", "p2"):
        write_sample(tmp_path / "images" / plate, "w")
    rows = [f"{plate}w," + ",".join(f"{plate}/w_{c}.png" for c in ("red", "green", "blue", "yellow"))
            for plate in ("p1", "p2")]  # fmt: skip
    (tmp_path / "s.csv").write_text("\n".join(["Id,red,green,blue,yellow", *rows]))
    samples, _ = find_samples(tmp_path / "images", tmp_path / "s.csv")
    folder = write_masks(tmp_path / "masks", "p1/w_green_cp_masks.png", "w_green_cp_masks.png")
    taken = find_masks(folder, samples, "cells", Workspace(tmp_path / "work"))
    assert list(taken.masks) == ["p1w"]
    assert taken.strangers == ["w_green_cp_masks.png"]


def test_a_picture_of_several_proteins_has_one_mask_for_all_and_a_file_of_several_fields_none(tmp_path):
    for name in ("f.tif", "g.tif"):
        tifffile.imwrite(tmp_path / name, np.zeros((2, *SHAPE), np.uint8), photometric="minisblack")

    def sample(name, file, protein, scene=None):
        sources = [
            None,
            Source((tmp_path / file,), protein, scene),
            Source((tmp_path / file,), 0, scene),
            None,
        ]
        return Sample(name, tuple(sources), folder=tmp_path)

    samples = [
        sample("f_1", "f.tif", 1),
        sample("f_2", "f.tif", 2),
        sample("s1", "g.tif", 1, 0),
        sample("s2", "g.tif", 1, 1),
    ]
    folder = write_masks(tmp_path / "masks", "f_cp_masks.png", "g_cp_masks.png")
    taken = find_masks(folder, samples, "cells", Workspace(tmp_path / "work"))
    assert {name: one.shows for name, one in taken.masks.items()} == {"f_1": "cells", "f_2": "cells"}
    assert taken.strangers == ["g_cp_masks.png"]


def test_links_out_of_the_folder_are_a_problem(pictures, tmp_path):
    write_masks(tmp_path / "elsewhere", "a1_cells.png")
    folder = write_masks(tmp_path / "masks", "b_cells.png")
    (folder / "a1_cells.png").symlink_to(tmp_path / "elsewhere" / "a1_cells.png")
    taken = found(pictures, folder)
    assert list(taken.masks) == ["b_cells"]
    assert [(one.sample, one.reason) for one in taken.problems] == [
        ("a1", "is a link that leaves the folder of masks")
    ]


def test_a_folder_without_masks_is_refused_with_what_to_write(pictures, tmp_path):
    with pytest.raises(PipelineError, match=r"nowhere: no such folder"):
        found(pictures, tmp_path / "nowhere")
    with pytest.raises(
        PipelineError, match=r"no mask of any sample; name them <Id>_cells.tif.*found zz_cells"
    ):
        found(pictures, write_masks(tmp_path / "masks", "zz_cells.png"))
    (tmp_path / "work" / "masks").mkdir(parents=True)
    with pytest.raises(PipelineError, match="holds the label images of --work"):
        find_masks(
            tmp_path / "work" / "masks", find_samples(pictures)[0], "cells", Workspace(tmp_path / "work")
        )


def test_label_images_that_were_made_here_are_not_given_ones(pictures, tmp_path):
    write_masks(tmp_path / "masks", "a1_cells.png")
    write_masks(tmp_path / "masks" / "work" / "masks", "a1.png")
    samples, _ = find_samples(pictures)
    taken = find_masks(tmp_path / "masks", samples, "cells", Workspace(tmp_path / "masks" / "work"))
    assert [file.path.name for file in taken.masks["a1"].files] == ["a1_cells.png"]


def test_changed_content_changes_the_digest(pictures, tmp_path):
    folder = write_masks(tmp_path / "masks", "a1_cells.png")
    before = found(pictures, folder).masks["a1"].digest
    assert found(pictures, folder).masks["a1"].digest == before
    assert found(pictures, write_masks(tmp_path / "masks2", "a1_nuclei.png")).masks["a1"].digest != before
    (folder / "a1_cells.png").write_bytes(imagecodecs.png_encode(label_image((1, 2, 3)).astype(np.uint16)))
    assert found(pictures, folder).masks["a1"].digest != before


def seg_npy(path, values):
    wrapped = np.empty((), object)
    wrapped[()] = {"masks": values.astype(np.uint16), "filename": "a.png"}
    np.save(path, wrapped, allow_pickle=True)


WRITERS = {
    "a.tif": tifffile.imwrite,
    "compressed.tiff": lambda path, v: tifffile.imwrite(path, v, compression="zlib"),
    "big.tif": lambda path, v: tifffile.imwrite(path, v, bigtiff=True),
    "float.tif": lambda path, v: tifffile.imwrite(path, v.astype(np.float32)),
    "imagej.tif": lambda path, v: tifffile.imwrite(path, v.astype(np.uint16), imagej=True),
    "ome.ome.tif": lambda path, v: tifffile.imwrite(path, v.astype(np.int32), ome=True),
    "a.png": lambda path, v: path.write_bytes(imagecodecs.png_encode(v.astype(np.uint16))),
    "i.png": lambda path, v: Image.fromarray(v.astype(np.uint16)).save(path),
    "a.npy": np.save,
    "f.npy": lambda path, v: np.save(path, np.asfortranarray(v.astype(np.int64))),
    "one.npy": lambda path, v: np.save(path, v[None]),
    "a.npz": np.savez_compressed,
    "a_seg.npy": seg_npy,
}


@pytest.mark.parametrize("name", WRITERS)
def test_labels_come_out_of_every_file_as_they_are(tmp_path, name):
    WRITERS[name](tmp_path / name, label_image())
    layers, empty = read_layers(tmp_path / name, "nuclei", SHAPE, None)
    assert list(layers) == ["nuclei"]
    assert empty == 0
    assert np.array_equal(layers["nuclei"], label_image())


@pytest.mark.parametrize("name", [*WRITERS, "rois.zip", "a.geojson"])
def test_damaged_files_are_refused_or_read_and_nothing_else(tmp_path, name):
    """Files cut short, and files with a few bytes changed."""
    path = tmp_path / name
    if name == "rois.zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.roi", ImagejRoi.frompoints([[1, 1], [9, 1], [9, 9], [1, 9]]).tobytes())
    elif name == "a.geojson":
        path.write_text(
            json.dumps([{"geometry": {"type": "Polygon", "coordinates": [[[1, 1], [9, 1], [9, 9]]]}}])
        )
    else:
        WRITERS[name](path, label_image())
    content, random = path.read_bytes(), np.random.default_rng(0)
    damaged = [content[:length] for length in random.integers(0, len(content), 15)]
    for _ in range(40):
        changed = bytearray(content)
        for place in random.integers(0, len(content), 3):
            changed[place] = random.integers(256)
        damaged.append(bytes(changed))
    for one in damaged:
        path.write_bytes(one)
        layers_in(path)
        with suppress(UnreadableError):
            read_layers(path, "cells", SHAPE, "labels")


def test_labels_up_to_32_bits_are_kept(tmp_path):
    labels = label_image((1, 5_000_000, 2**32 - 1))
    tifffile.imwrite(tmp_path / "a.tif", labels)
    assert np.array_equal(read_layers(tmp_path / "a.tif", "cells", SHAPE, None)[0]["cells"], labels)


@pytest.mark.parametrize("name", ["a.tif", "imagej.tif", "ome.ome.tif", "a.npy"])
def test_two_planes_are_cells_and_nuclei(tmp_path, pictures, name):
    both = np.stack([label_image(), label_image((1, 2, 9))])
    folder = tmp_path / "masks"
    folder.mkdir()
    path = folder / name.replace("a.", "a1.").replace("imagej", "a1").replace("ome.ome", "a1.ome")
    WRITERS[name](path, both)
    given = found(pictures, folder).masks["a1"]
    assert given.shows == "cells and nuclei"
    layers, _ = read_given("a1", given, SHAPE, None)
    assert np.array_equal(layers["cells"], both[0])
    assert np.array_equal(layers["nuclei"], both[1])


def test_a_palette_stands_for_the_numbers_of_its_colours(tmp_path):
    picture = Image.fromarray(label_image((1, 2, 3)).astype(np.uint8), "P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(tmp_path / "a.png")
    layers, _ = read_layers(tmp_path / "a.png", "cells", SHAPE, None)
    assert np.array_equal(layers["cells"], label_image((1, 2, 3)))


def binary():
    return ((label_image() > 0) * 255).astype(np.uint8)


def test_binary_masks_are_refused_unless_pieces_are_asked_for(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(binary()))
    with pytest.raises(
        UnreadableError, match=r"1 of its 1 number lie in several pieces.*--masks-hold pieces"
    ):
        read_layers(path, "cells", SHAPE, None)
    labels = read_layers(path, "cells", SHAPE, "labels")[0]["cells"]
    assert np.unique(labels).tolist() == [0, 255]
    pieces = read_layers(path, "cells", SHAPE, "pieces")[0]["cells"]
    assert np.array_equal(pieces > 0, label_image() > 0)
    assert len(np.unique(pieces)) == 4


def test_pieces_of_a_few_pixels_are_debris_and_labels_are_no_binary_mask(tmp_path):
    mask = binary()
    mask[20, 20:25] = 255
    np.save(tmp_path / "a.npy", mask > 0)
    pieces = read_layers(tmp_path / "a.npy", "cells", SHAPE, "pieces")[0]["cells"]
    assert len(np.unique(pieces)) == 4
    np.save(tmp_path / "a.npy", label_image())
    with pytest.raises(UnreadableError, match="holds 3 numbers, so it is not binary; leave --masks-hold"):
        read_layers(tmp_path / "a.npy", "cells", SHAPE, "pieces")


def test_classes_of_pixels_are_refused_and_a_torn_cell_among_others_is_not(tmp_path):
    classes = np.where(label_image() > 0, 1, 0).astype(np.uint8)
    classes[6:10] *= 2
    np.save(tmp_path / "a.npy", classes)
    with pytest.raises(UnreadableError, match="2 of its 2 numbers lie in several pieces"):
        read_layers(tmp_path / "a.npy", "cells", SHAPE, None)
    torn = label_image((1, 2, 3))
    torn[16:22, 2:9] = 1
    np.save(tmp_path / "a.npy", torn)
    assert np.array_equal(read_layers(tmp_path / "a.npy", "cells", SHAPE, None)[0]["cells"], torn)


def colours(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8)).save(path)


BAD = {
    "another size": ("a.tif", lambda p: tifffile.imwrite(p, label_image()[:, 1:]), "is 31×24, its.*32×24"),
    "transposed": ("a.npy", lambda p: np.save(p, label_image().T), "is 24×32, its picture 32×24"),
    "shares": ("a.tif", lambda p: tifffile.imwrite(p, label_image() / 65535), "are no labels"),
    "not a number": ("a.npy", lambda p: np.save(p, np.full(SHAPE, np.nan)), "are no labels"),
    "negative": ("a.npy", lambda p: np.save(p, label_image().astype(int) - 1), "-1 to 64999, are no labels"),
    "too large": ("a.npy", lambda p: np.save(p, label_image().astype(int) * 2**32), "are no labels"),
    "complex": ("a.npy", lambda p: np.save(p, np.ones(SHAPE, complex)), "its values are complex128"),
    "text": ("a.npy", lambda p: np.save(p, np.full(SHAPE, "x")), "its values are <U1"),
    "a stack": ("a.npy", lambda p: np.save(p, np.zeros((3, *SHAPE), np.uint8)), "neither one plane"),
    "colours": ("a.png", colours, "is in colours"),
    "no png": ("a.png", lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n no"), "is no PNG, or damaged"),
    "no tiff": ("a.tif", lambda p: p.write_bytes(b"II*\0 no"), "damaged"),
    "no npy": ("a.npy", lambda p: p.write_bytes(b"no"), "is no single array of NumPy"),
    "a short npy": (
        "a.npy",
        lambda p: p.write_bytes(b"\x93NUMPY\1\0v\0" + b"{'descr': '|u1', 'fortran_order': False, "
                                b"'shape': (99999999999,), }".ljust(117) + b"\nabc"),
        "is no single array of NumPy",
    ),
    "two arrays": ("a.npz", lambda p: np.savez(p, a=label_image(), b=label_image()), "is no single array"),
    "a pickle": ("a.npy", lambda p: p.write_bytes(saved(label_image())), "is no single array of NumPy"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_labels_is_refused(tmp_path, what):
    name, write, message = BAD[what]
    write(tmp_path / name)
    with pytest.raises(UnreadableError, match=message):
        read_layers(tmp_path / name, "cells", SHAPE, None)


def test_outlines_of_qupath_are_cells_with_the_labels_of_their_nuclei(pictures, tmp_path):
    def polygon(left, top, right, bottom):
        corners = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        return {"type": "Polygon", "coordinates": [corners]}

    features = [
        {"geometry": polygon(1, 1, 10, 10), "nucleusGeometry": polygon(3, 3, 6, 6)},
        {"geometry": polygon(12, 1, 20, 10), "nucleusGeometry": polygon(14, 3, 18, 6)},
        {"geometry": polygon(5.6, 5.6, 5.9, 5.9)},
    ]
    for one in features:
        one["properties"] = {"objectType": "cell"}
    folder = tmp_path / "masks"
    folder.mkdir()
    (folder / "a1.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    given = found(pictures, folder).masks["a1"]
    assert given.shows == "cells and nuclei"
    layers, empty = read_given("a1", given, SHAPE, None)
    assert empty == 1
    assert {name: np.unique(one).tolist() for name, one in layers.items()} == {
        "cells": [0, 1, 2],
        "nuclei": [0, 1, 2],
    }
    assert layers["nuclei"][4, 4] == layers["cells"][4, 4] == 1


def test_two_masks_of_one_kind_are_taken_where_they_agree(pictures, tmp_path):
    folder = write_masks(tmp_path / "masks", "a1_cp_masks.png")
    seg_npy(folder / "a1_seg.npy", label_image())
    layers, _ = read_given("a1", found(pictures, folder).masks["a1"], SHAPE, None)
    assert np.array_equal(layers["cells"], label_image())
    seg_npy(folder / "a1_seg.npy", label_image((1, 2, 3)))
    with pytest.raises(
        SampleError, match=r"a1: a1_seg.npy: shows other cells than a1_cp_masks.png; keep one"
    ):
        read_given("a1", found(pictures, folder).masks["a1"], SHAPE, None)


def test_a_mask_that_cannot_be_read_now_is_tried_again(pictures, tmp_path):
    folder = write_masks(tmp_path / "masks", "a1_cells.png")
    given = found(pictures, folder).masks["a1"]
    (folder / "a1_cells.png").unlink()
    with pytest.raises(SampleError) as failed:
        read_given("a1", given, SHAPE, None)
    assert failed.value.problem.is_passing
