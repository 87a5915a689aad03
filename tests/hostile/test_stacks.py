"""Files of many planes that claim too much, or lead elsewhere: told in one line, quickly."""

import json
import time
from pathlib import Path

import pytest
import tifffile
import zarr

from pipeline.core.files import UnreadableError
from pipeline.formats.sources import Reading, Source
from tests.hostile.pictures import PLANE
from tests.pipeline.planes import read_plane

OME = (
    '<OME><Image><Pixels DimensionOrder="XYCZT" SizeX="32" SizeY="24" SizeC="{0}" SizeZ="{0}" SizeT="{0}">'
    "<TiffData/></Pixels></Image></OME>"
)


def described(text: str):
    return lambda path: tifffile.imwrite(path, PLANE, description=text, metadata=None)


def scales(path: str = "0", axes: str = "yx") -> dict[str, object]:
    return {"multiscales": [{"axes": [{"name": one} for one in axes], "datasets": [{"path": path}]}]}


def group(path: Path, said: dict[str, object], **options: object) -> zarr.Group:
    made = zarr.open_group(path, mode="w", zarr_format=2)
    made.attrs.update(said)
    if options:
        made.create_array("0", **options)
    return made


def linked(path: Path) -> None:
    group(path, scales(), shape=(24, 32), dtype="u1")["0"][:] = PLANE
    (path / "0" / "0.0").unlink()
    (path / "0" / "0.0").symlink_to("/etc/hostname")


def edited(path: Path, **changes: object) -> None:
    """Write an array whose header is then changed."""
    group(path, scales(), shape=(24, 32), dtype="u1")["0"][:] = PLANE
    header = path / "0" / ".zarray"
    header.write_text(json.dumps(json.loads(header.read_text()) | changes))


BAD = {
    "ImageJ's images are a billion": described("ImageJ=1.5\nimages=1000000000\n"),
    "ImageJ's slices are a billion": described("ImageJ=1.5\nimages=9000\nslices=9000\n"),
    "an OME header of 10 to the 27 planes": described(OME.format(10**9)),
    "a shape of a billion planes": described('{"shape": [1000000000, 24, 32], "axes": "ZYX"}'),
    "zarr: its path leaves": lambda path: group(path, scales("../../etc")),
    "zarr: its path is absolute": lambda path: group(path, scales("/etc")),
    "zarr: a plate whose wells leave": lambda path: group(path, {"plate": {"wells": [{"path": ".."}]}}),
    "zarr: nothing in it": lambda path: group(path, {}),
    "zarr: no array": lambda path: group(path, scales()),
    "zarr: a chunk is a link": linked,
    "zarr: pickled objects": lambda path: edited(path, dtype="|O", filters=[{"id": "pickle", "protocol": 5}]),
    "zarr: an unknown codec": lambda path: edited(path, compressor={"id": "pickle", "protocol": 5}),
    "zarr: claims 60000": lambda path: edited(path, shape=[60_000, 60_000]),
    "zarr: huge chunks": lambda path: edited(path, chunks=[2**31, 2**31]),
    "zarr: axes of its own": lambda path: group(path, scales(axes="qx"), shape=(24, 32), dtype="u1"),
    "zarr: its header is cut": lambda path: (
        edited(path),
        (path / "0" / ".zarray").write_text('{"shape": [24'),
    ),
    "zarr: a chunk is cut": lambda path: (edited(path), (path / "0" / "0.0").write_bytes(b"\1\2\3")),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_hostile_stack_is_told_in_one_line(tmp_path, kind):
    path = tmp_path / ("a.zarr" if kind.startswith("zarr") else "a.tif")
    BAD[kind](path)
    start = time.process_time()
    with pytest.raises(UnreadableError) as caught:
        read_plane(Source((path,)), "green", Reading("max"))
    assert time.process_time() - start < 5
    assert caught.value.remedy
    assert not any(part in str(caught.value) for part in ("\n", "0x", "<"))
