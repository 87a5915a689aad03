"""Work on a Dask cluster gives the bytes of one machine, and loses nothing to a worker that dies."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.clusters import ClusterWorkers, Losses, client_in_use, on_cluster, queue_settings
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.networks.architectures import CnnHyperparameters
from pipeline.networks.preprocessing import Preprocessing
from pipeline.networks.training import TrainingRun, fit_networks
from pipeline.pages.report import Report
from pipeline.stages.extract import measure_shard
from pipeline.stages.options import ExtractOptions, TrainOptions
from pipeline.stages.report_options import ReportOptions
from pipeline.stages.train import Train
from tests.pipeline.workfolder import (
    FAMILIES,
    extract,
    make_workfolder,
    simulate,
    tables,
    write_embedding,
)

distributed = pytest.importorskip("distributed", reason="pip install -r requirements_cluster.txt")
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster")
    simulate(folder / "data", 5, 3, size=128)
    return folder / "data"


@pytest.fixture(scope="module")
def expected(pictures: Path) -> dict[str, bytes]:
    work = pictures.parent / "one"
    extract(pictures, work)
    return tables(work)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a scheduler, and two workers in folders of their own."""
    with distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        words = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address]
        words += ["--nthreads", "1", "--no-dashboard"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        running = [
            subprocess.Popen(
                words,
                cwd=tmp_path_factory.mktemp("worker"),
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(2)
        ]
        yield cluster.scheduler_address
        for one in running:
            one.terminate()
            one.wait(20)


def test_a_running_scheduler_gives_the_bytes_of_one_process(scheduler, pictures, expected, monkeypatch):
    monkeypatch.chdir(pictures.parent)  # relative paths mean what they mean here
    summary = extract(Path("data"), Path("two"), cluster=scheduler)
    assert summary.measured == 5
    assert tables(Path("two")) == expected
    assert client_in_use() is None


def test_models_and_their_report_from_a_cluster_are_those_of_one_process(scheduler, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = {}
    for name, cluster in (("one_process", None), ("two_workers", scheduler)):
        work = make_workfolder(Path(name))
        write_embedding(Path(name) / "net.csv")
        asked = {"embeddings": (Path(name) / "net.csv",), "channel_dropout": True, "accept_leak": True}
        asked |= {"boosters": ("lightgbm", "linear"), "trials": 1, "folds": 3, "jobs": 1, "cluster": cluster}
        labels = Path(name) / "labels.csv"
        execute(Train(), TrainOptions(work=work.root, labels=labels, **asked), SilentProgress())
        assert not work.learners.exists()
        given = ReportOptions(work=work.root, pictures=70, cluster=cluster)
        execute(Report(), given, SilentProgress())
        files = (work.folds, work.out_of_fold, work.base_log_odds, work.model / "manifest.json")
        files += (work.importances, work.directions, work.report)
        made[name] = {file.name: file.read_bytes().replace(name.encode(), b"") for file in files}
    assert made["two_workers"] == made["one_process"]


def test_networks_that_workers_train_are_those_of_one_process(scheduler, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 4, 32, 32), dtype=np.uint8)
    asked = CnnHyperparameters(network="compact", side=32, crop=32, epochs=2, batch=3)
    cards = {}
    for cluster in (None, scheduler):
        folder = tmp_path / str(bool(cluster))
        folder.mkdir()
        stored = np.lib.format.open_memmap(folder / "pictures.npy", "w+", np.uint8, pixels.shape)
        stored[:] = pixels
        run = TrainingRun(
            pixels=stored,
            preprocessing=Preprocessing(side=32, scale="picture"),
            targets=pixels[:, :2, 0, 0] > 127,
            locations=("a", "b"),
            fingerprints={f"p{number}": str(number) for number in range(9)},
            fold=np.arange(9, dtype=np.int16) % 3,
            hyperparameters=asked,
            folder=folder,
            device="cpu",
            jobs=1,
        )
        with on_cluster(cluster):
            cards[cluster] = [card for _, card in fit_networks(run, [0, 1, None], SilentProgress())]
    assert cards[None] == cards[scheduler]
    assert len({card.sha256 for card in cards[None]}) == 3


def begin_scheduler(port, folder):
    """Start a scheduler at a port, and a worker for it."""
    words = {
        "dask_scheduler": ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        "dask_worker": [f"tcp://127.0.0.1:{port}", "--nthreads", "1", "--no-dashboard", "--no-nanny"],
    }
    return [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{name}", *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, arguments in words.items()
    ]


def killed(running):
    for one in running:
        one.kill()
        one.wait(20)


def test_what_a_scheduler_that_died_had_to_do_is_asked_of_the_one_that_takes_its_place(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = begin_scheduler(port, tmp_path)
    try:
        with on_cluster(f"tcp://127.0.0.1:{port}"):
            made = []
            for task, result in ClusterWorkers(client_in_use()).map(abs, [-1, -2, -3]):
                made.append((task, result))
                if len(made) == 1:
                    killed(running)
                    running = begin_scheduler(port, tmp_path)
    finally:
        killed(running)
    assert sorted(made) == [(-3, 3), (-2, 2), (-1, 1)]


BLIND = """
import contextlib, sys
import pipeline.core.stage as stage
stage.alone = lambda *_: contextlib.nullcontext()  # a disk on which locks of other machines are not seen
from pipeline.stages.extract import Extract, ExtractOptions
options = {"segmenter": "watershed", "families": sys.argv[3], "jobs": 1}
options |= {"images": sys.argv[1], "work": sys.argv[2]}
stage.execute(Extract(), ExtractOptions(**options), stage.SilentProgress())
"""


def test_two_commands_that_see_no_lock_of_each_other_make_the_tables_of_one(pictures, expected):
    work = pictures.parent / "both"
    words = [sys.executable, "-c", BLIND, str(pictures / "images"), str(work), ",".join(FAMILIES)]
    running = [subprocess.Popen(words, cwd=ROOT) for _ in range(2)]
    assert [one.wait(120) for one in running] == [0, 0]
    assert tables(work) == expected


def test_a_task_that_kills_workers_is_divided_and_its_part_given_up(monkeypatch):
    import dask

    def dies_of_two(task):  # not by name: workers do not find the tests
        if 2 in task:
            os._exit(1)
        return sum(task)

    def divide(task):
        return [(one,) for one in task] if len(task) > 1 else []

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), on_cluster("local:1"):
        losses = Losses(divide, lambda _: -1)
        made = dict(ClusterWorkers(client_in_use()).map(dies_of_two, [(1, 2), (3, 4)], losses))
        assert client_in_use().submit(sum, (1, 2)).result() == 3, "there is a worker again"
    assert made.pop((2,)) == -1
    # the other chunk is divided too where it waited at the worker that died
    assert made in ({(1,): 1, (3, 4): 7}, {(1,): 1, (3,): 3, (4,): 4})


def test_parts_of_the_pictures_are_measured_apart_and_put_together(pictures, expected):
    work = pictures.parent / "parts"
    asked = {
        "images": pictures / "images",
        "work": work,
        "segmenter": "watershed",
        "families": FAMILIES,
        "jobs": 1,
    }
    counts = [measure_shard(ExtractOptions(**asked), f"{one}/2", SilentProgress()) for one in (1, 2)]
    assert sum(counts) == 5
    assert not (work / "features.parquet").exists()
    assert measure_shard(ExtractOptions(**asked), "1/2", SilentProgress()) == 0
    assert extract(pictures, work).measured == 0
    assert tables(work) == expected


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("local:0", "no cluster; give local:4"),
        ("kubernetes", "no cluster; give local:4"),
        ("tcp://127.0.0.1:9", "no scheduler answers there"),
        ("slurm:nowhere.toml", "no settings of a queue"),
    ],
)
def test_what_is_no_cluster_is_refused(where, told, monkeypatch):
    monkeypatch.setattr("pipeline.core.clusters.WAIT", 1)
    with pytest.raises(PipelineError, match=told), on_cluster(where):
        pass


@pytest.mark.parametrize("part", ["0/2", "3/2", "half"])
def test_what_is_no_part_is_refused(part):
    with pytest.raises(PipelineError, match="no part of a whole"):
        ExtractOptions(images=Path("a"), work=Path("b"), shard=part)


def test_jobs_of_a_queue_find_the_project_and_use_one_thread(tmp_path):
    settings = tmp_path / "queue.toml"
    settings.write_text(
        'workers = 3\n[queue]\nqueue = "short"\ncores = 1\njob_script_prologue = ["module load x"]\n'
    )
    workers, asked = queue_settings(settings)
    assert (workers, asked["queue"], asked["cores"]) == (3, "short", 1)
    assert asked["job_script_prologue"][-2:] == [f"export PYTHONPATH={ROOT}", "module load x"]
    assert "export OMP_NUM_THREADS=1" in asked["job_script_prologue"]
    assert "export DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED=False" in asked["job_script_prologue"]


@pytest.mark.parametrize("failures", [1, 2])
def test_processes_are_started_again_where_one_was_killed_meanwhile(monkeypatch, failures):
    started = []

    def local_cluster(**given):
        started.append(given["n_workers"])
        if len(started) <= failures:
            raise RuntimeError("Nanny failed to start.")
        return distributed.Client

    monkeypatch.setattr(distributed, "LocalCluster", local_cluster)
    monkeypatch.setattr(distributed, "Client", None)
    if failures > 1:
        with pytest.raises(PipelineError, match="no shared memory for processes"), on_cluster("local:3"):
            pass
    else:
        with pytest.raises(TypeError), on_cluster("local:3"):  # here the client would begin
            pass
    assert started == [3, 3]
