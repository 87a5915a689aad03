"""Outlines drawn as label images: by hand-made truths, and by what ImageJ and QuPath write."""

import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roifile import ROI_TYPE, ImagejRoi
from skimage.measure import points_in_poly

from pipeline.core.files import UnreadableError
from pipeline.exchange.polygons import draw, read_outlines

SQUARE = [[2, 1], [6, 1], [6, 4], [2, 4], [2, 1]]
HOLE = [[3, 2], [5, 2], [5, 3], [3, 3], [3, 2]]


def ring(corners):
    return np.array(corners, float)


def test_a_square_covers_the_pixels_between_its_corners():
    found = draw([[ring(SQUARE)]], (6, 8))
    expected = np.zeros((6, 8), int)
    expected[1:4, 2:6] = 1
    assert np.array_equal(found, expected)


def test_holes_stay_open_and_later_outlines_cover_earlier_ones():
    found = draw([[ring(SQUARE), ring(HOLE)], [ring(SQUARE) + 3]], (9, 10))
    assert found[2, 3] == found[2, 4] == 0
    assert found[1, 2] == 1
    assert found[4, 5] == found[6, 8] == 2
    assert (found == 2).sum() == 12


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-2, 22), st.floats(-1.5, 16.5)), min_size=3, max_size=12))
def test_a_pixel_is_inside_where_its_centre_is(corners):
    """Compared with the crossing number of each centre; centres on an edge are left out."""
    shape = (15, 20)
    found = draw([[ring(corners)]], shape) > 0
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    shifts = np.array([(1, 2), (-1, -2), (2, -1), (-2, 1)]) * 1e-6
    around = np.array([points_in_poly(centres + shift, ring(corners)) for shift in shifts])
    sure = (around == around[0]).all(axis=0)
    assert np.array_equal(found.ravel()[sure], around[0][sure])


def feature(corners, nucleus=None, kind="cell", **more):
    found = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [corners]}, **more}
    if nucleus:
        found["nucleusGeometry"] = {"type": "Polygon", "coordinates": [nucleus]}
    return found | {"properties": {"objectType": kind} if kind else {}}


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def test_cells_of_qupath_come_with_their_nuclei_and_without_the_annotation_around_them(tmp_path):
    everything = [[0, 0], [100, 0], [100, 100], [0, 100], [0, 0]]
    features = [feature(everything, kind="annotation"), feature(SQUARE, HOLE), feature(SQUARE)]
    for name, content in (
        ("collection.geojson", {"type": "FeatureCollection", "features": features}),
        ("list.json", features),
    ):
        found = read_outlines(write(tmp_path / name, content))
        assert [len(found.objects), len(found.nuclei)] == [2, 2]
        assert np.array_equal(found.nuclei[0][0], HOLE)
        assert found.nuclei[1] == []
    assert draw(found.nuclei, (6, 8)).max() == 1


def test_a_cell_of_two_parts_is_one_object(tmp_path):
    geometry = {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [(ring(SQUARE) + 10).tolist()]]}
    found = read_outlines(write(tmp_path / "a.geojson", {"type": "Feature", "geometry": geometry}))
    assert np.unique(draw(found.objects, (20, 20))).tolist() == [0, 1]
    assert (draw(found.objects, (20, 20)) > 0).sum() == 12 - 2 + 12


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not GeoJSON"),
        ("[" * 100_000, "is not GeoJSON"),
        ('{"features": 3}', "no list of features"),
        ('[{"geometry": {"type": "Point", "coordinates": [1, 2]}}]', "geometry 'Point', which is no area"),
        ('[{"geometry": null}]', "geometry '', which is no area"),
        ('[{"geometry": {"type": "Polygon", "coordinates": [[[1, 2], [3]]]}}]', "unreadable corners"),
        ('[{"geometry": {"type": "Polygon", "coordinates": [[[1, "x"], [3, 4]]]}}]', "unreadable corners"),
        ('[{"geometry": {"type": "Polygon", "coordinates": 7}}]', "unreadable corners"),
        ('[{"geometry": {"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}}]', "fewer than 3 corners"),
        (
            '[{"geometry": {"type": "Polygon", "coordinates": [[[1, 2], [NaN, 4], [5, 6]]]}}]',
            "fewer than 3 corners, or not of numbers",
        ),
    ],
)
def test_what_is_no_outline_is_refused(tmp_path, content, message):
    (tmp_path / "a.geojson").write_text(content)
    with pytest.raises(UnreadableError, match=message):
        read_outlines(tmp_path / "a.geojson")


def test_outlines_of_another_picture_and_too_many_are_refused():
    with pytest.raises(UnreadableError, match="reaches from x 20 to 60, y 10 to 40, but its picture is 8×6"):
        draw([[ring(SQUARE) * 10]], (6, 8))
    with pytest.raises(UnreadableError, match="200 times as large"):
        draw([[ring([[0, 0], [8, 0], [8, 6], [0, 6]])]] * 300, (6, 8))


def test_a_file_of_far_too_much_is_refused_before_it_takes_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.exchange.polygons._MOST_CORNERS", 9)
    monkeypatch.setattr("pipeline.exchange.polygons.json.loads", None)
    with pytest.raises(UnreadableError, match="outlines have more than 9 corners; simplify"):
        read_outlines(write(tmp_path / "a.geojson", [[0]] * 40))


def test_too_many_corners_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.exchange.polygons._MOST_CORNERS", 9)
    with pytest.raises(UnreadableError, match="more than 9 corners"):
        read_outlines(write(tmp_path / "a.geojson", [feature(SQUARE), feature(SQUARE)]))


def rois():
    """Return a polygon, a rectangle and an oval of ImageJ."""
    polygon = ImagejRoi.frompoints(SQUARE[:-1])
    rectangle = ImagejRoi(roitype=ROI_TYPE.RECT, left=10, top=2, right=13, bottom=6)
    oval = ImagejRoi(roitype=ROI_TYPE.OVAL, left=20, top=20, right=40, bottom=40)
    return [polygon, rectangle, oval]


def test_regions_of_imagej_are_drawn_in_the_order_of_their_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "RoiSet.zip", "w") as archive:
        for number, roi in enumerate(rois()):
            archive.writestr(f"{9 - number}.roi", roi.tobytes())
        archive.writestr("notes.txt", "of no use")
    found = draw(read_outlines(tmp_path / "RoiSet.zip").objects, (50, 50))
    assert np.argwhere(found == 1).min(axis=0).tolist() == [1, 2]
    assert [(found == number).sum() for number in (1, 2)] == [12, 12]
    assert abs((found == 3).sum() - np.pi * 100) < 6
    (tmp_path / "a.roi").write_bytes(rois()[1].tobytes())
    alone = draw(read_outlines(tmp_path / "a.roi").objects, (50, 50))
    assert np.array_equal(alone, np.where(found == 2, 1, 0))


def test_regions_that_are_no_area_or_damaged_are_refused(tmp_path):
    line = ImagejRoi(roitype=ROI_TYPE.LINE, x1=1, y1=1, x2=5, y2=5)
    for content, message in (
        (line.tobytes(), r"'a.roi' is no area but line"),
        (rois()[0].tobytes()[:70], r"'a.roi' is no region of interest of ImageJ, or damaged"),
        (b"PK\3\4 and no more", "damaged archive"),
    ):
        (tmp_path / "a.roi").write_bytes(content)
        with pytest.raises(UnreadableError, match=message):
            read_outlines(tmp_path / "a.roi")


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.roi", bytes(100_000))
    monkeypatch.setenv("HPA_MAX_BYTES", "50000")
    with pytest.raises(UnreadableError, match="the archive holds 100,000 bytes"):
        read_outlines(tmp_path / "a.zip")
