"""Label images out of outlines: GeoJSON as QuPath writes it, and regions of interest of ImageJ."""

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import UnreadableError, check_bytes

Ring = NDArray[np.float64]
Shape = list[Ring]
"""Rings of corners, shape (n, 2), x and y: what an odd number of them encloses is inside."""

_MOST_CORNERS = 5_000_000
_MOST_WORK = 200
"""Pixels that outlines may claim in all, in pictures: what lies over one another is not of cells."""
_BEYOND = 0.05
"""Share of a side that an outline may lie outside of the picture; beyond, it is of another picture."""
_AREAS = {"POLYGON", "FREEHAND", "TRACED", "RECT", "OVAL"}


class Outlines(NamedTuple):
    """What was drawn, object by object; a cell and its nucleus have the same position."""

    objects: list[Shape]
    nuclei: list[Shape]


def read_outlines(path: Path) -> Outlines:
    """Read the polygons of a GeoJSON file, or ImageJ's regions of interest (.roi, RoiSet.zip in its order).

    Of objects that QuPath wrote, cells count where there are any (with the outlines of their nuclei), else
    detections, else annotations.

    Raises
    ------
    UnreadableError
        If it is damaged, or holds what is no area or too many corners.
    """
    is_geojson = path.suffix.lower() in (".geojson", ".json")
    outlines = _geojson(path) if is_geojson else Outlines([_roi(*one) for one in _roi_files(path)], [])
    rings = [ring for shapes in outlines for shape in shapes for ring in shape]
    if sum(map(len, rings)) > _MOST_CORNERS:
        raise _too_many()
    for ring in rings:
        if ring.ndim != 2 or len(ring) < 3 or not np.isfinite(ring).all():
            raise UnreadableError("holds an outline of fewer than 3 corners, or not of numbers", "remove it")
    return outlines


def _too_many() -> UnreadableError:
    return UnreadableError(f"outlines have more than {_MOST_CORNERS:,} corners", "simplify them")


def _geojson(path: Path) -> Outlines:
    packed = path.read_bytes()
    if (
        sum(map(packed.count, (b"[", b"{", b","))) > 4 * _MOST_CORNERS
    ):  # each takes far more memory than bytes
        raise _too_many()
    try:
        content = json.loads(packed)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"is not GeoJSON ({error})"[:200], "export the objects again") from error
    features = content.get("features", [content]) if isinstance(content, dict) else content
    if not isinstance(features, list) or not all(isinstance(one, dict) for one in features):
        raise UnreadableError("holds no list of features", "export the objects as a FeatureCollection")
    kinds = [_kind(one) for one in features]
    wanted = next((kind for kind in ("cell", "detection") if kind in kinds), None)
    chosen = [one for one, kind in zip(features, kinds, strict=True) if wanted in (None, kind)]
    nuclei = [_rings(one["nucleusGeometry"]) if one.get("nucleusGeometry") else [] for one in chosen]
    return Outlines([_rings(one.get("geometry")) for one in chosen], nuclei if any(nuclei) else [])


def _kind(feature: dict[str, Any]) -> str:
    properties = feature.get("properties")
    known = properties if isinstance(properties, dict) else {}
    return str(known.get("objectType") or known.get("object_type") or "")


def _rings(geometry: object) -> Shape:
    """Return the rings of a polygon, or of the parts of one; holes are rings within rings."""
    kind, found = (
        (geometry.get("type"), geometry.get("coordinates")) if isinstance(geometry, dict) else ("", 0)
    )
    if kind not in ("Polygon", "MultiPolygon"):
        raise UnreadableError(
            f"holds a geometry '{kind}', which is no area", "export polygons: outlines of cells or nuclei"
        )
    try:
        parts: Any = [found] if kind == "Polygon" else found
        return [np.array([corner[:2] for corner in ring], np.float64) for part in parts for ring in part]
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise UnreadableError(
            "holds a polygon with unreadable corners", "export the objects again"
        ) from error


def _roi_files(path: Path) -> Iterator[tuple[str, bytes]]:
    content = path.read_bytes()
    if not content.startswith(b"PK"):
        yield path.name, content
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.lower().endswith(".roi")]
            check_bytes(sum(entry.file_size for entry in entries), "the archive")
            for entry in entries:
                yield entry.filename, archive.read(entry)
    except UnreadableError:
        raise
    except Exception as error:  # whatever a damaged archive leads to
        raise UnreadableError(f"is a damaged archive ({error})", "save the regions again") from error


def _roi(name: str, content: bytes) -> Shape:
    from roifile import ImagejRoi

    try:
        roi = ImagejRoi.frombytes(content)
        found = [np.asarray(ring, np.float64) for ring in roi.coordinates(multi=True)]
    except Exception as error:  # the library has no error of its own
        reason = f"'{name}' is no region of interest of ImageJ, or damaged"
        raise UnreadableError(reason, "save it again") from error
    if roi.roitype.name not in _AREAS:
        reason = f"'{name}' is no area but {roi.roitype.name.lower()}"
        raise UnreadableError(reason, "keep outlines of cells or nuclei only")
    return found


def draw(shapes: Sequence[Shape], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return a label image: by position, from 1, what a pixel's centre lies in; the later covers the earlier.

    Coordinates are those of ImageJ and QuPath: x to the right, y down, whole numbers at pixels' corners.

    Raises
    ------
    UnreadableError
        If outlines lie outside of the picture, or far too many over one another.
    """
    labels = np.zeros(shape, np.int32)
    work = 0.0
    for number, rings in enumerate(shapes, start=1):
        if not rings:
            continue
        low = np.min([ring.min(axis=0) for ring in rings], axis=0)
        high = np.max([ring.max(axis=0) for ring in rings], axis=0)
        size = np.array(shape[::-1])
        if (low < -_BEYOND * size - 1).any() or (high > (1 + _BEYOND) * size + 1).any():
            reach = f"x {low[0]:.6g} to {high[0]:.6g}, y {low[1]:.6g} to {high[1]:.6g}"
            reason = f"an outline reaches from {reach}, but its picture is {shape[1]}×{shape[0]}"
            raise UnreadableError(reason, "export the outlines of this picture, in its pixels")
        left, top = np.maximum(np.floor(low), 0).astype(int)
        right, bottom = np.minimum(np.ceil(high), size).astype(int)
        if left >= right or top >= bottom:
            continue
        work += (right - left) * (bottom - top) + sum(np.abs(np.diff(ring[:, 1])).sum() for ring in rings)
        if work > _MOST_WORK * labels.size:
            reason = f"its outlines together are {_MOST_WORK} times as large as the picture"
            raise UnreadableError(reason, "remove those that lie over one another")
        moved = [ring - (left, top) for ring in rings]
        labels[top:bottom, left:right][_inside(moved, (bottom - top, right - left))] = number
    return labels


def _inside(rings: Shape, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Say which pixels have their centres in an odd number of rings.

    Every edge is crossed in each row whose centres it passes; right of it, inside and outside change places.
    """
    crossings = np.zeros((shape[0], shape[1] + 1), np.uint8)
    for ring in rings:
        x, y = ring.T
        x_next, y_next = np.roll(ring, -1, axis=0).T
        first = np.clip(np.ceil(np.minimum(y, y_next) - 0.5), 0, shape[0]).astype(int)
        last = np.clip(np.ceil(np.maximum(y, y_next) - 0.5), 0, shape[0]).astype(int)
        edge = np.repeat(np.arange(len(y)), last - first)
        rows = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - last, last - first)
        share = (rows + 0.5 - y[edge]) / (y_next - y)[edge]
        crossed = x[edge] + share * (x_next - x)[edge]
        columns = np.clip(np.ceil(crossed - 0.5), 0, shape[1]).astype(int)
        np.add.at(crossings, (rows, columns), 1)
    return np.asarray(np.cumsum(crossings, axis=1, dtype=np.uint8)[:, :-1] & 1, bool)
