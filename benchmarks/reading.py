"""What reading costs: its share of an extraction, and its memory over a large z-stack.

Run from the folder of the project: ``python benchmarks/reading.py``. Simulated pictures, 512 x 512 x 4, as
PNG, OME-TIFF of four channels (zlib) and OME-Zarr, are read; that is timed against segmenting (watershed) and
measuring all families in this process. Then an OME-TIFF of 4096 x 4096 pixels, four channels and 20 planes
(2.7 GB) is read by its maximum, and the memory of the process is compared with that for one plane.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import zarr

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import features
from pipeline.core.stage import SilentProgress, execute
from pipeline.data.layouts import CHANNELS, Layout
from pipeline.data.pictures import Picture, read_picture
from pipeline.data.samples import Sample, find_samples
from pipeline.formats.sources import Reading, Source
from pipeline.segmentation import make_segmenter
from pipeline.stages.options import SimulateOptions
from pipeline.stages.simulate import Simulate

LAYOUT = Layout(channels={name: number for number, name in enumerate(CHANNELS)})
MEMORY = """
import re, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from benchmarks.reading import read_stack
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before = peak()
read_stack(Path({path!r}))
print(before, peak())
"""


def read_stack(path: Path) -> Picture:
    """Read all channels of a z-stack by their maximum."""
    sources = tuple(Source((path,), number) for number in range(len(CHANNELS)))
    return read_picture(Sample("a", sources, reading=Reading("max")))


def write_stack(path: Path, side: int, depth: int) -> None:
    """Write a z-stack of four channels plane by plane."""
    plane = np.random.default_rng(0).integers(0, 2**16, (side, side), np.uint16)
    planes = (np.roll(plane, k) for k in range(depth * len(CHANNELS)))
    shape = (depth, len(CHANNELS), side, side)
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as file:
        file.write(planes, shape=shape, dtype="uint16", metadata={"axes": "ZCYX"}, photometric="minisblack")


def seconds(samples: list[Sample]) -> float:
    """Return the seconds in which samples are read."""
    start = time.perf_counter()
    for sample in samples:
        read_picture(sample)
    return time.perf_counter() - start


def extraction(samples: list[Sample]) -> float:
    """Return the seconds in which pictures that were read are segmented and measured."""
    pictures = [read_picture(sample) for sample in samples]
    segmenter = make_segmenter("watershed")
    found = [segmenter.segment(one) for one in pictures[:1]]
    features.measure(pictures[0].pixels, found[0].cells, found[0].nuclei)  # compiles
    start = time.perf_counter()
    for picture in pictures:
        masks = segmenter.segment(picture)
        features.measure(picture.pixels, masks.cells, masks.nuclei)
    return time.perf_counter() - start


def rewritten(samples: list[Sample], folder: Path, kind: str) -> list[Sample]:
    """Write pictures as files of four channels, and return them as samples."""
    folder.mkdir()
    for sample in samples:
        values = np.rint(255 * read_picture(sample).pixels).astype(np.uint8)
        if kind == "OME-TIFF":
            path, options = folder / f"{sample.id}.ome.tif", {"ome": True, "compression": "zlib"}
            tifffile.imwrite(path, values, metadata={"axes": "CYX"}, photometric="minisblack", **options)
        else:
            group = zarr.open_group(folder / f"{sample.id}.ome.zarr", mode="w", zarr_format=2)
            group.create_array("0", shape=values.shape, dtype="u1", chunks=(1, 256, 256))[:] = values
            scales = {"axes": [{"name": axis} for axis in "cyx"], "datasets": [{"path": "0"}]}
            group.attrs.update({"multiscales": [scales]})
    return find_samples(folder, None, LAYOUT)[0]


def main() -> None:
    """Time and measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--depth", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        execute(Simulate(), SimulateOptions(out=folder / "data", pictures=options.pictures), SilentProgress())
        plain = find_samples(folder / "data" / "images")[0]
        work = extraction(plain)
        shares = {"PNG": seconds(plain)}
        shares |= {kind: seconds(rewritten(plain, folder / kind, kind)) for kind in ("OME-TIFF", "OME-Zarr")}
        print(json.dumps({kind: round(value / (value + work), 4) for kind, value in shares.items()}))
        for depth in (1, options.depth):
            path = folder / "stack.ome.tif"
            write_stack(path, options.side, depth)
            code = MEMORY.format(root=str(Path(__file__).resolve().parents[1]), path=str(path))
            start = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            before, peak = map(float, done.stdout.split())
            took = time.perf_counter() - start
            print(f"z {depth}: {peak - before:.0f} MB above {before:.0f} MB, {took:.1f} s")


if __name__ == "__main__":
    main()
