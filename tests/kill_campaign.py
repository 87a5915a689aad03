"""Kill every stage at random moments, run it again, and compare what it made byte for byte.

``python tests/kill_campaign.py FOLDER --kills 200`` goes on where it was. Commands run in processes forked
from one that has imported everything, so that a kill costs seconds; their workers start afresh as always.
"""

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

STAGES = ("extract", "embed", "train", "evaluate", "importances", "predict")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TARGETS = ("group", "parent", "worker")
PICTURES, NEW = 24, 6
UNCOMPARED = (
    "parts/",
    "records/",
    "predicted/parts/",
    "predicted/records/",
    "predicted/seen/",
    "tuning.",
    "seen/",
)
"""Kept pieces depend on where a run was cut; records tell paths and times, as the studies do."""


@dataclass(frozen=True)
class Kill:
    """One kill, and what was wrong after the command had run again to its end; nothing if all was right."""

    number: int
    stage: str
    signal: str
    target: str
    after: float
    ended: int | None
    wrong: str


def command(stage: str, folder: Path, work: Path, jobs: int, *, embedded: bool) -> list[str]:
    """Return the arguments of a stage's command."""
    known = ["--images", f"{folder}/known/images", "--samples", f"{folder}/known/samples.csv"]
    new = ["--images", f"{folder}/new/images", "--samples", f"{folder}/new/samples.csv"]
    table = ["--embeddings", f"{work}/embeddings/builtin.parquet"] if embedded else []
    few = ["--folds", "3", "--trials", "1", "--boosters", "lightgbm", "--boosters", "linear"]
    given = {
        "extract": [*known, "--segmenter", "watershed", "--families", "intensity,morphology"],
        "embed": [*known, "--network", "builtin"],
        "train": ["--labels", f"{folder}/known/labels.csv", *table, *few],
        "evaluate": ["--draws", "100"],
        "importances": table,
        "predict": [*new, "--model", f"{work}/model", "--output", f"{work}/predictions.csv"],
    }
    where = ["--work", f"{work}/predicted" if stage == "predict" else str(work)]
    return [stage, *given[stage], *where, *([] if stage in STAGES[3:5] else ["--jobs", str(jobs)])]


def run_command(arguments: list[str], log: Path) -> None:
    """Run a command in this process as `python run.py` does, as the first of a group of its own."""
    os.setpgrp()
    with log.open("wb") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    sys.argv = ["run.py", *arguments]
    import run
    from pipeline.core.stopping import stopping

    with stopping():
        run.main()


class Campaign:
    """A folder with pictures, the undisturbed result of every stage, and the kills so far."""

    def __init__(self, folder: Path, seed: int = 0, stages: tuple[str, ...] = STAGES) -> None:
        self.folder, self.seed, self.stages = folder.absolute(), seed, stages
        self.context = multiprocessing.get_context("forkserver")
        heavy = ["run", "lightgbm", "optuna", "numba", "pyarrow.parquet", *["torch" for _ in stages[5:]]]
        self.context.set_forkserver_preload([*heavy, *(f"pipeline.stages.{name}" for name in stages)])
        self.results = self.folder / "kills.jsonl"

    def prepare(self) -> None:
        """Simulate pictures and run every stage undisturbed; its state and its time are kept."""
        if (self.folder / "seconds.json").is_file():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        some = ["--size", "128", "--locations", "Nucleoplasm,Cytosol", "--jobs", "1"]
        for name, pictures, seed in (("known", PICTURES, 1), ("new", NEW, 2)):
            out = ["simulate", f"{self.folder}/{name}", "--pictures", str(pictures), "--seed", str(seed)]
            self._finish([*out, *some])
        seconds, before = {}, self._before(0)
        before.mkdir(parents=True)
        self._finish(self._command("extract", self.folder / "compiled", 1))
        for stage in self.stages:
            work = self._copy(before)
            start = time.monotonic()
            self._finish(self._command(stage, work, 1))
            seconds[stage] = time.monotonic() - start
            before = self.folder / f"after {stage}"
            work.rename(before)
        (self.folder / "seconds.json").write_text(json.dumps(seconds))

    def kill(self, number: int) -> Kill:
        """Kill a stage once, or twice or thrice in a row, then let it end and look at what it made."""
        draw = random.Random(f"{self.seed} {number}")  # noqa: S311 - no secret
        place = number % len(self.stages)
        stage = self.stages[place]
        how, target = draw.choice(SIGNALS), draw.choice(TARGETS)
        jobs = 2 if target == "worker" or draw.random() < 0.3 else 1
        work = self._copy(self._before(place))
        seconds = json.loads((self.folder / "seconds.json").read_text())[stage]
        after = draw.uniform(0, 0.9 * seconds)
        process = self._start(self._command(stage, work, jobs))
        process.join(after)
        _send(how, target, process.pid)
        process.join(60)
        ended = process.exitcode
        wrong = "" if ended is not None else "did not end"
        wrong = wrong or self._said(ended) or self._orphans(process.pid)
        self._finish(self._command(stage, work, 1))
        wrong = wrong or differences(work, self.folder / f"after {stage}")
        if not wrong:
            shutil.rmtree(work)
        return Kill(number, stage, how.name, target, round(after, 2), ended, wrong)

    def go_on(self, kills: int) -> list[Kill]:
        """Kill until there were so many; return all of them."""
        self.prepare()
        lines = self.results.read_text().splitlines() if self.results.is_file() else []
        done = [Kill(**json.loads(line)) for line in lines]
        for number in range(len(done), kills):
            done.append(self.kill(number))
            with self.results.open("a") as stream:
                stream.write(json.dumps(asdict(done[-1])) + "\n")
        return done

    def _before(self, place: int) -> Path:
        """Return the state of the work folder in which a stage is started."""
        return self.folder / (f"after {self.stages[place - 1]}" if place else "before extract")

    def _command(self, stage: str, work: Path, jobs: int) -> list[str]:
        return command(stage, self.folder, work, jobs, embedded="embed" in self.stages)

    def _copy(self, state: Path) -> Path:
        work = self.folder / "work"
        if work.exists():
            work.rename(self.folder / f"wrong {time.time_ns()}")
        shutil.copytree(state, work)
        return work

    def _start(self, arguments: list[str]) -> multiprocessing.process.BaseProcess:
        process = self.context.Process(target=run_command, args=(arguments, self.folder / "log"))
        process.start()
        return process

    def _finish(self, arguments: list[str]) -> None:
        process = self._start(arguments)
        process.join()
        if process.exitcode:
            raise RuntimeError(f"{arguments}: {(self.folder / 'log').read_text()}")

    def _said(self, ended: int | None) -> str:
        """Return a traceback, which no kill may show, or an exit status that none may have."""
        log = (self.folder / "log").read_text()
        if "Traceback" in log or ended not in (0, 2, 130, 143, -9, -15, -2):
            return f"ended with {ended}: {log[-500:]}"
        return ""

    def _orphans(self, group: int | None) -> str:
        """Return what of the command's group still runs some seconds later."""
        end = time.monotonic() + 10
        while found := _of_group(group or 0):
            if time.monotonic() > end:
                return f"still runs: {' '.join(found[0].cmdline())}"
            time.sleep(0.05)
        return ""


def _of_group(group: int) -> list[psutil.Process]:
    """List the processes of a group that are no zombies."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.Error):
            continue
    return found


def _send(how: signal.Signals, target: str, process: int | None) -> None:
    """Send a signal to a process, its group, or one of its workers; too late, nothing happens."""
    try:
        if target == "group":
            os.killpg(process or 0, how)
            return
        children = [
            child for child in psutil.Process(process).children() if "spawn_main" in " ".join(child.cmdline())
        ]
        if target == "worker" and children:
            children[0].send_signal(how)
        else:
            os.kill(process or 0, how)
    except (ProcessLookupError, psutil.Error):
        return


def contents(work: Path) -> dict[str, str]:
    """Return the digest of every file that a person looks at, and every file that should not be there."""
    found = {path.relative_to(work).as_posix(): path for path in work.rglob("*") if path.is_file()}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in sorted(found.items())
        if path.name != ".lock" and (path.name.startswith(".") or not name.startswith(UNCOMPARED))
    }


def differences(work: Path, right: Path) -> str:
    """Say which files of a work folder are not as they should be."""
    here, there = contents(work), contents(right)
    return ", ".join(name for name in sorted({*here, *there}) if here.get(name) != there.get(name))


def main(folder: Path, kills: int = 200, seed: int = 0, stages: str = ",".join(STAGES)) -> None:
    """Kill, and print a table of what became of it."""
    done = Campaign(folder, seed, tuple(stages.split(","))).go_on(kills)
    kinds = Counter((one.stage, one.signal, one.target, bool(one.wrong)) for one in done)
    for (stage, how, target, wrong), number in sorted(kinds.items()):
        print(f"{stage:12} {how:8} {target:7} {'WRONG' if wrong else 'right'} {number:4}")
    for one in done:
        if one.wrong:
            print(one)
    late = sum(one.ended == 0 for one in done)
    print(
        f"{sum(not one.wrong for one in done)} of {len(done)} right; {late} had ended before they were killed"
    )


if __name__ == "__main__":
    typer.run(main)
