"""Many machines: the same bytes however work is shared out, throughput, the engine's share, and kills.

Run from the project's folder on an idle machine: ``python benchmarks/cluster.py --work FOLDER``. Pictures are
simulated, 256 px, and measured by the watershed. Each step is a command of its own, and its result is kept in
FOLDER/cluster.json: killed and run again, the benchmark goes on where it was.

The rate is that at which label images appear, from the first to the last, so that neither the start of
processes nor the tables count. Memory is the resident set, its highest in the first and in the second half of
a run.
"""

import argparse
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
TABLES = ("features.parquet", "cells.parquet", "samples.parquet", "quality.parquet", "problems.csv")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
MEGABYTE = 1e6


class Steps:
    """Results by name, kept in a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.known = path, json.loads(path.read_text()) if path.is_file() else {}

    def once(self, name: str, do: Callable[[], dict]) -> dict:
        """Return what is known under a name, or do it."""
        if name not in self.known:
            self.known[name] = do()
            self.path.write_text(json.dumps(self.known, indent=1))
        print(name, json.dumps(self.known[name]), flush=True)
        return self.known[name]


def command(images: Path, work: Path, given: argparse.Namespace, *more: str) -> subprocess.Popen:
    """Start extract."""
    words = ["extract", "--images", str(images), "--work", str(work), "--segmenter", "watershed", "--quiet"]
    words += ["--families", given.families] if given.families else []
    return subprocess.Popen([sys.executable, str(ROOT / "run.py"), *words, *more], env=ENVIRONMENT)


def digest(work: Path) -> str:
    """Return the digest of all that a later stage reads."""
    files = [work / name for name in TABLES] + sorted((work / "masks").glob("*.tif"))
    whole = hashlib.sha256()
    for path in files:
        parts = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        for part in parts:
            whole.update(part.name.encode() + part.read_bytes())
    return whole.hexdigest()[:16]


def measured(images: Path, work: Path, given: argparse.Namespace, *more: str) -> dict:
    """Run extract once; return its rate, memory, the load of the machine, and the digest of what it made."""
    shutil.rmtree(work, ignore_errors=True)
    began, load = time.time(), os.getloadavg()[0]
    running = command(images, work, given, *more)
    driver, seen = psutil.Process(running.pid), []
    while running.poll() is None:
        try:
            workers = [one.memory_info().rss for one in driver.children(recursive=True)]
            seen.append((driver.memory_info().rss, max(workers, default=0)))
        except psutil.Error:
            pass  # it ended meanwhile
        time.sleep(0.25)
    if running.returncode:
        raise SystemExit(f"extract ended with {running.returncode}")
    times = sorted(path.stat().st_mtime for path in (work / "masks").glob("*.tif"))
    half = len(seen) // 2
    highest = [
        [round(max(one) / MEGABYTE) for one in zip(*some, strict=True)] for some in (seen[:half], seen[half:])
    ]
    return {
        "pictures_per_second": round((len(times) - 1) / (times[-1] - times[0]), 3),
        "seconds": round(time.time() - began, 1),
        "driver_and_worker_megabytes_by_half": highest,
        "load_before": round(load, 1),
        "digest": digest(work),
    }


def begin(port: int, folders: list[Path]) -> list[subprocess.Popen]:
    """Start a scheduler, and a worker in each folder."""
    where = f"tcp://127.0.0.1:{port}"
    started = [["dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]]
    started += [["dask_worker", where, "--nthreads", "1", "--no-dashboard", "--no-nanny"] for _ in folders]
    running = []
    for (name, *words), folder in zip(started, [folders[0], *folders], strict=True):
        folder.mkdir(parents=True, exist_ok=True)
        asked = [sys.executable, "-m", f"distributed.cli.{name}", *words]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        running.append(subprocess.Popen(asked, cwd=folder, env=ENVIRONMENT, **quiet))
    return running


def end(running: list[subprocess.Popen]) -> None:
    """Kill processes that were started here."""
    for one in running:
        one.kill()
        one.wait()


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def on_scheduler(images: Path, work: Path, given: argparse.Namespace) -> dict:
    """Measure on a scheduler with two workers in folders of their own."""
    port = free_port()
    running = begin(port, [work.with_name(f"worker-{number}") for number in (1, 2)])
    try:
        return measured(images, work, given, "--cluster", f"tcp://127.0.0.1:{port}")
    finally:
        end(running)


def in_parts(images: Path, work: Path, given: argparse.Namespace) -> dict:
    """Measure three parts, two at a time, then write the tables."""
    shutil.rmtree(work, ignore_errors=True)
    running = [command(images, work, given, "--jobs", "1", "--shard", f"{one}/3") for one in (1, 2)]
    codes = [one.wait() for one in running]
    codes += [command(images, work, given, "--jobs", "1", "--shard", "3/3").wait()]
    codes += [command(images, work, given, "--jobs", "1").wait()]
    return {"exit_statuses": codes, "digest": digest(work)}


def with_a_worker_killed(
    images: Path, work: Path, given: argparse.Namespace, seed: int, lasts: float
) -> dict:
    """Kill one of two workers at a random moment."""
    shutil.rmtree(work, ignore_errors=True)
    running = command(images, work, given, "--cluster", "local:2")
    moment = np.random.default_rng(seed).uniform(0, 0.7 * lasts)
    time.sleep(moment)
    try:
        found = psutil.Process(running.pid).children(recursive=True)
        workers = [one for one in found if "spawn_main" in " ".join(one.cmdline())]
    except psutil.Error:
        workers = []
    for one in workers[seed % 2 :][:1]:
        one.kill()
    status = running.wait()
    return {
        "after": round(moment, 1),
        "killed": len(workers[seed % 2 :][:1]),
        "status": status,
        "digest": "" if status else digest(work),
    }


def with_the_scheduler_killed(
    images: Path, work: Path, given: argparse.Namespace, seed: int, lasts: float
) -> dict:
    """Kill a scheduler and its workers at a random moment, and start them again."""
    shutil.rmtree(work, ignore_errors=True)
    port, folders = free_port(), [work.with_name("worker-1"), work.with_name("worker-2")]
    cluster = begin(port, folders)
    try:
        running = command(images, work, given, "--cluster", f"tcp://127.0.0.1:{port}")
        moment = np.random.default_rng(seed).uniform(2, 0.7 * lasts)
        time.sleep(moment)
        end(cluster)
        cluster = begin(port, folders)
        first = running.wait()  # 2 where it had not found the scheduler yet, or not in time
        status = (
            command(images, work, given, "--cluster", f"tcp://127.0.0.1:{port}").wait() if first else first
        )
    finally:
        end(cluster)
    return {
        "after": round(moment, 1),
        "first": first,
        "status": status,
        "digest": "" if status else digest(work),
    }


def empty_tasks(number: int = 300) -> dict:
    """Return what a task costs beside its work: milliseconds, by tasks that do nothing."""
    sys.path.insert(0, str(ROOT))
    from pipeline.core.clusters import ClusterWorkers, client_in_use, on_cluster

    with on_cluster("local:1"):
        pool = ClusterWorkers(client_in_use())
        list(pool.map(abs, [0]))
        began = time.perf_counter()
        list(pool.map(abs, range(number)))
        return {"milliseconds": round(1000 * (time.perf_counter() - began) / number, 2)}


def simulated(folder: Path, pictures: int) -> dict:
    """Simulate pictures."""
    words = ["simulate", str(folder), "--pictures", str(pictures), "--size", "256", "--quiet"]
    subprocess.run([sys.executable, str(ROOT / "run.py"), *words], env=ENVIRONMENT, check=True)
    return {"pictures": pictures}


def main() -> None:
    """Do all steps that are not known yet, and say what they come to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--families", default="", help="all unless given")
    parser.add_argument("--kills", type=int, default=30, help="runs of 24 pictures with a worker killed")
    parser.add_argument("--scheduler-kills", type=int, default=10)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    steps, images, work = (
        Steps(given.work / "cluster.json"),
        given.work / "data" / "images",
        given.work / "one",
    )
    steps.once("simulate", lambda: simulated(images.parent, given.pictures))
    steps.once(
        "compile", lambda: measured(images, work, given, "--jobs", "2") | {"pictures_per_second": None}
    )
    ways = {"jobs 1": ("--jobs", "1"), "jobs 2": ("--jobs", "2")}
    ways |= {f"local:{number}": ("--cluster", f"local:{number}") for number in (1, 2)}
    found = {
        name: steps.once(name, lambda more=more: measured(images, work, given, *more))
        for name, more in ways.items()
    }
    found["tcp"] = steps.once("tcp", lambda: on_scheduler(images, work, given))
    found["parts"] = steps.once("parts", lambda: in_parts(images, work, given))
    rate = {name: found[name]["pictures_per_second"] for name in ways}
    same = len({one["digest"] for one in found.values()}) == 1
    print(f"{given.pictures} pictures: {'the same bytes' if same else 'OTHER BYTES'} by {', '.join(found)}")
    print(f"two workers to one: {rate['local:2'] / rate['local:1']:.2f}")
    print(f"two processes to one: {rate['jobs 2'] / rate['jobs 1']:.2f}")
    empty = steps.once("empty tasks", empty_tasks)["milliseconds"]
    print(f"a task that does nothing takes {empty} ms; it measures 16 pictures at most")
    print(f"the engine's share of a picture: {1 - rate['local:1'] / rate['jobs 1']:.1%}")

    few, given.families = given.work / "few" / "images", "intensity"
    steps.once("simulate few", lambda: simulated(few.parent, 24))
    whole = steps.once("few", lambda: measured(few, work, given, "--cluster", "local:2"))
    for kind, number, kill in (
        ("worker", given.kills, with_a_worker_killed),
        ("scheduler", given.scheduler_kills, with_the_scheduler_killed),
    ):
        each = [
            steps.once(
                f"{kind} {one}", lambda one=one, kill=kill: kill(few, work, given, one, whole["seconds"])
            )
            for one in range(number)
        ]
        good = sum(one["digest"] == whole["digest"] and one["status"] == 0 for one in each)
        idle = sum(not one.get("killed", 1) for one in each)
        print(f"the same bytes after a {kind} was killed: {good} of {number} (in {idle}, none was there)")


if __name__ == "__main__":
    main()
