"""Pictures in an object store give what the same files in a folder give, to the last byte."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from pipeline.core.errors import PipelineError, SampleError
from pipeline.core.stage import SilentProgress, execute, read_record, stale
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import Layout
from pipeline.data.pictures import read_picture
from pipeline.data.samples import find_samples, fingerprints
from pipeline.stages.exchange_options import InspectOptions
from pipeline.stages.extract import Extract, is_of
from pipeline.stages.inspect import inspect
from pipeline.stages.options import ExtractOptions
from tests.pipeline.workfolder import FAMILIES, extract, simulate, tables


def found(images: Path, tmp_path: Path, name: str, table: Path | None = None, layout: Layout | None = None):
    samples, problems = find_samples(images, table, layout, Workspace(tmp_path / name))
    return samples, problems, fingerprints(samples, Workspace(tmp_path / name))


def test_extract_writes_the_same_bytes_and_has_nothing_to_do_the_next_time(bucket, tmp_path):
    simulate(tmp_path / "data", 2, 3, size=128)
    bucket.put_folder(tmp_path / "data/images", "plate")
    extract(tmp_path / "data", tmp_path / "here")
    there = {"images": bucket.address("plate"), "work": tmp_path / "there"}
    options = ExtractOptions(**there, segmenter="watershed", families=FAMILIES, jobs=1)
    assert execute(Extract(), options, SilentProgress()).measured == 2
    assert tables(tmp_path / "here") == tables(tmp_path / "there")
    record = read_record(Workspace(tmp_path / "there").record("extract"))
    assert record.options["images"] == f"s3://{bucket.name}/plate"
    assert is_of(options.images, record)
    assert stale(Extract(), options, record, Extract().inputs(options)) == []
    bucket.put("plate/" + min(path.name for path in (tmp_path / "data/images").iterdir()), b"another")
    assert stale(Extract(), options, record, Extract().inputs(options)) == ["pictures changed"]
    assert not list((tmp_path / "copies").glob(".*"))


def test_a_table_names_files_by_address_or_below_it_and_none_elsewhere(bucket, tmp_path, write_sample):
    write_sample(tmp_path / "plate/sub", "a")
    bucket.put_folder(tmp_path / "plate", "plate")
    rows = ["Id,red,green,blue,yellow"]
    for name, before in {
        "near": "sub/",
        "far": f"{bucket.address('plate')}/sub/",
        "up": "../plate/sub/",
    }.items():
        rows.append(",".join([name, *(f"{before}a_{colour}.png" for colour in rows[0].split(",")[1:])]))
    rows.append(",".join(["other", *(["s3://elsewhere/a_red.png"] * 4)]))
    rows.append(",".join(["gone", *(f"sub/b_{colour}.png" for colour in rows[0].split(",")[1:])]))
    (tmp_path / "samples.csv").write_text("\n".join(rows).replace("s3:/b", "s3://b"))
    samples, problems, digests = found(bucket.address("plate"), tmp_path, "work", tmp_path / "samples.csv")
    assert [sample.id for sample in samples] == ["far", "gone", "near"]
    assert {problem.sample: problem.reason.split(" '")[0] for problem in problems} == {
        "up": "path",
        "other": "path",
    }
    assert digests["near"] == digests["far"] != digests["gone"]
    assert np.array_equal(read_picture(samples[0]).pixels, read_picture(samples[2]).pixels)
    with pytest.raises(SampleError, match=r"gone: b_red.png: no red \(microtubules\) picture"):
        read_picture(samples[1])


@pytest.mark.parametrize("version", [2, 3])
def test_an_ome_zarr_is_read_as_from_a_folder(bucket, tmp_path, version):
    root = zarr.open_group(tmp_path / "plate/a.ome.zarr", mode="w", zarr_format=version)
    values = np.random.default_rng(0).integers(0, 255, (4, 24, 32)).astype("uint8")
    root.create_array("0", data=values, chunks=(1, 24, 32))
    axes = [{"name": "c", "type": "channel"}, *({"name": n, "type": "space"} for n in "yx")]
    scale = [{"type": "scale", "scale": [1, 0.2, 0.2]}]
    said = {"multiscales": [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]}
    root.attrs.update(said if version == 2 else {"ome": {"version": "0.5"} | said})
    bucket.put_folder(tmp_path / "plate", "plate")
    layout = Layout(channels={"microtubules": 0, "protein": 1, "nucleus": 2, "er": 3})
    here, there = (
        found(images, tmp_path, name, layout=layout)
        for images, name in ((tmp_path / "plate", "here"), (bucket.address("plate"), "there"))
    )
    assert [sample.id for sample in there[0]] == [sample.id for sample in here[0]] == ["a"]
    assert there[2] == here[2]
    assert np.array_equal(read_picture(there[0][0]).pixels, read_picture(here[0][0]).pixels)


def test_files_are_not_read_again_while_they_stay_the_same(bucket, tmp_path, write_sample, monkeypatch):
    write_sample(tmp_path / "plate", "a")
    bucket.put_folder(tmp_path / "plate", "plate")
    first = found(bucket.address("plate"), tmp_path, "work")
    monkeypatch.setattr("pipeline.core.seen.local", None)
    assert found(bucket.address("plate"), tmp_path, "work") == first


def test_inspect_looks_at_a_bucket(bucket, tmp_path, write_sample):
    write_sample(tmp_path / "plate", "a")
    bucket.put_folder(tmp_path / "plate", "plate")
    seen = inspect(InspectOptions(images=bucket.address("plate"), out=tmp_path / "out"), SilentProgress())
    assert ([one.id for one in seen.samples], seen.unreadable) == (["a"], [])


def test_messages_show_addresses_as_they_are_written(bucket, command_line, tmp_path):
    bucket.put("plate/notes.txt", b"no picture")
    ended = command_line("extract", "--images", f"s3://{bucket.name}/plate", "--work", tmp_path / "work")
    assert ended.status == 2
    assert ended.output == f"Looking at the pictures in s3://{bucket.name}/plate\n"
    assert f"no usable sample in s3://{bucket.name}/plate (expected" in ended.errors
    with pytest.raises(PipelineError, match="no such bucket"):
        find_samples(Path("s3://nothing/plate"))
