"""Results in object stores: what a command changed is there when it ends, for other machines, too."""

import shutil
from pathlib import Path

import pytest

from pipeline.core import working_copies as module
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress
from pipeline.core.working_copies import PIECES, WorkingCopy, working_copies
from tests.pipeline.workfolder import FAMILIES, extract, simulate, tables


@pytest.fixture
def work(bucket) -> WorkingCopy:
    """Copy a work folder with a table and its record."""
    bucket.put("work/features.parquet", b"table")
    bucket.put("work/records/extract.json", b"record")
    return again(bucket)


def again(bucket) -> WorkingCopy:
    copy = WorkingCopy(bucket.address("work"))
    copy.pull(SilentProgress())
    return copy


def content(copy: WorkingCopy) -> dict[str, bytes]:
    files = [path for path in copy.root.rglob("*") if path.is_file()]
    return {path.relative_to(copy.root.parent).as_posix(): path.read_bytes() for path in files}


def test_extract_and_shards_leave_in_a_bucket_what_they_leave_in_a_folder(
    bucket, tmp_path, command_line, monkeypatch
):
    simulate(tmp_path / "data", 2, 3, size=128)
    extract(tmp_path / "data", tmp_path / "here")
    bucket.put_folder(tmp_path / "data/images", "plate")
    words = ["extract", "--images", f"s3://{bucket.name}/plate", "--work", f"s3://{bucket.name}/work"]
    words += ["--segmenter", "watershed", "--jobs", "1", "--families", ",".join(FAMILIES)]
    for number, part in enumerate((["--shard", "1/2"], ["--shard", "2/2"], [], [])):
        monkeypatch.setenv("HPA_CACHE", str(tmp_path / f"machine {number}"))
        ended = command_line(*words, *part)
        assert ended.status == 0
        assert str(tmp_path) not in ended.output
    assert "up to date" in ended.output
    assert f"train --labels LABELS --work s3://{bucket.name}/work\n" in ended.output
    names = {Path(key).name: one for key, one in bucket.objects().items() if key.startswith("work/")}
    assert {name: names[name] for name in tables(tmp_path / "here")} == tables(tmp_path / "here")
    ended = command_line("status", "--work", f"s3://{bucket.name}/work", "--json")
    assert '"extract"' in ended.output


def test_what_changed_is_sent_and_its_record_last(bucket, work, monkeypatch):
    (work.root / "features.parquet").write_bytes(b"new table")
    (work.root / "records/extract.json").write_bytes(b"new record")
    (work.root / ".lock").write_bytes(b"")
    (work.root / "thumbnails").mkdir()
    (work.root / "thumbnails/a.webp").write_bytes(b"small")
    (work.root / "learners/tables").mkdir(parents=True)
    (work.root / "learners/tables/a.npy").write_bytes(b"for workers of this machine")
    seen, send = [], module.send

    def watched(file, path):
        seen.append((path.name, "work/records/extract.json" in bucket.objects()))
        return send(file, path)

    monkeypatch.setattr(module, "send", watched)
    assert work.push() == 2
    assert seen == [("features.parquet", False), ("extract.json", False)]
    assert bucket.objects() == {
        "work/features.parquet": b"new table",
        "work/records/extract.json": b"new record",
    }
    assert work.push() == 0


def test_only_what_is_new_is_fetched(bucket, work, monkeypatch):
    assert content(work) == bucket.objects()
    bucket.put("work/cells.parquet", b"cells")
    fetched, fetch = [], module.fetch
    monkeypatch.setattr(module, "fetch", lambda path, copy: (fetched.append(path.name), fetch(path, copy)))
    assert content(again(bucket)) == bucket.objects()
    assert fetched == ["cells.parquet"]


def test_work_that_was_not_sent_is_kept_unless_another_machine_sent_more(bucket, work):
    (work.root / "features.parquet").write_bytes(b"made here, then killed")
    assert content(again(bucket))["work/features.parquet"] == b"made here, then killed"
    bucket.put("work/features.parquet", b"made elsewhere")
    assert content(again(bucket))["work/features.parquet"] == b"made elsewhere"


@pytest.mark.usefixtures("work")
def test_what_is_removed_on_one_side_is_removed_on_the_other(bucket):
    bucket.s3.delete_object(Bucket=bucket.name, Key="work/features.parquet")
    copy = again(bucket)
    assert list(content(copy)) == ["work/records/extract.json"]
    (copy.root / "records/extract.json").unlink()
    copy.push()
    assert bucket.objects() == {}


def test_what_another_machine_sent_is_not_removed(bucket, work):
    (work.root / "features.parquet").unlink()
    bucket.put("work/features.parquet", b"made elsewhere")
    work.push()
    assert bucket.objects()["work/features.parquet"] == b"made elsewhere"


def test_a_copy_that_was_thrown_away_removes_nothing(bucket, work):
    before = bucket.objects()
    shutil.rmtree(work.root)
    copy = again(bucket)
    copy.push()
    assert bucket.objects() == before == content(copy)


def test_finished_pieces_are_sent_while_a_command_runs(bucket, work, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.05)
    with work.kept(SilentProgress()):
        for name in ("parts/a/1.parquet", "features.parquet"):
            (work.root / name).parent.mkdir(parents=True, exist_ok=True)
            (work.root / name).write_bytes(b"new")
        for _ in range(200):
            if "work/parts/a/1.parquet" in bucket.objects():
                break
        assert bucket.objects()["work/features.parquet"] == b"table"
    assert bucket.objects()["work/features.parquet"] == b"new"
    assert "parts" in PIECES


def test_keys_that_lead_out_of_the_folder_are_not_fetched(bucket, tmp_path):
    for key in ("work/../../up.txt", "work//twice.txt", "work/./here.txt"):
        bucket.put(key, b"evil")
    assert content(again(bucket)) == {}
    assert not list(tmp_path.rglob("*.txt"))


def test_every_option_but_pictures_is_a_copy_and_one_below_another_lies_in_it(bucket):
    bucket.put("labels.csv", b"Id,Target")
    given = {
        "images": bucket.address("plate"),
        "work": bucket.address("work"),
        "embeddings": [bucket.address("work/embeddings/a.parquet"), Path("b.parquet")],
        "layout": f"s3://{bucket.name}/labels.csv",
        "families": ["intensity"],
        "jobs": 2,
    }
    with working_copies(given, SilentProgress()) as here:
        assert Path(here["layout"]).read_bytes() == b"Id,Target"
        assert here["embeddings"] == [here["work"] / "embeddings/a.parquet", Path("b.parquet")]
        assert {name: here[name] for name in ("images", "families", "jobs")} == {
            name: given[name] for name in ("images", "families", "jobs")
        }
    assert list(bucket.objects()) == ["labels.csv"]


def test_workers_that_would_not_see_the_copy_are_refused(bucket):
    given = {"work": bucket.address("work"), "cluster": "tcp://10.0.0.5:8786"}
    with (
        pytest.raises(PipelineError, match=r"its workers do not see the copy"),
        working_copies(given, SilentProgress()),
    ):
        pass


@pytest.mark.parametrize("address", ["s3://no-such-bucket/work", "s3://"])
@pytest.mark.usefixtures("bucket")
def test_a_store_that_is_not_there_is_said_in_one_line(command_line, address):
    ended = command_line("status", "--work", address)
    assert (ended.status, ended.errors.count("\n")) == (2, 1)
    assert ended.errors.startswith(f"error: {address}: n")
