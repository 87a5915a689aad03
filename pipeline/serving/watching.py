"""A folder that a microscope fills: complete pictures are answered once, a line of JSON each.

The file of answers is the only memory: a picture counts as answered while its files have the sizes and times
that its line has. Files that change are answered again, so that one that was read too early mends itself.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.core.errors import PipelineError, Problem
from pipeline.core.files import text_digest
from pipeline.data.layouts import Layout
from pipeline.data.samples import Sample, list_samples
from pipeline.serving.answers import Answer
from pipeline.serving.predictor import Predictor

NO_SAMPLE = "no usable sample"
"""How it is told that a folder holds no picture, which may come."""

_DIGITS = 16


class Watched(Answer):
    """A line of the file of answers.

    Attributes
    ----------
    files : str
        Digest of the names, sizes and times of the picture's files.
    lag : float
        Seconds from the last change of its files to its answer.
    behind : int
        Complete pictures that were not answered yet when this one was.
    """

    files: str
    lag: float
    behind: int


class Record:
    """The file of answers, which is continued.

    Raises
    ------
    PipelineError
        If the file holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[str, str] = {}
        self.unlikeness: list[tuple[str, float | None]] = []
        """Of every line that was there: digest of the model, and its score."""
        if path.exists():
            self._read()
        path.parent.mkdir(parents=True, exist_ok=True)

    def _read(self) -> None:
        """Read what was answered; half a line, of a run that was killed, is removed."""
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                said = json.loads(line)
                self.done[said["id"]] = said["files"]
                self.unlikeness.append((said["model"], said["unlikeness"]))
            except (ValueError, KeyError, TypeError) as error:
                raise PipelineError(
                    f"{self.path}: line {number} is no answer of watch; give another --output"
                ) from error
        if content and not whole and not content.startswith(b'{"id":'):
            raise PipelineError(f"{self.path}: holds no answers of watch; give another --output")
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))

    def add(self, answer: Watched) -> None:
        """Append an answer, on the disk when this returns."""
        with self.path.open("ab") as stream:
            stream.write(answer.model_dump_json().encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        self.done[answer.id] = answer.files


class Watch:
    """Looks at a folder again and again, and answers what is new and complete.

    Parameters
    ----------
    predictor : Predictor
    images : Path
    output : Path
    table : Path, optional
        As for `find_samples`.
    settled : float
        Seconds that files must not have changed.
    jobs : int
        Pictures that are answered at once.
    queue : int
        Pictures that are answered between two looks, at most: the newest. Older ones are put off until no
        newer ones wait, so that a picture that comes now is answered after two such rounds at the latest.
    """

    def __init__(
        self,
        predictor: Predictor,
        images: Path,
        output: Path,
        table: Path | None = None,
        *,
        settled: float = 1.0,
        jobs: int = 1,
        queue: int = 16,
    ) -> None:
        self._predictor, self._images, self._table = predictor, images, table
        self._settled, self._jobs, self._queue = settled, jobs, queue
        self._seen: dict[str, tuple[str, float]] = {}
        self.record = Record(output)
        self.stream = predictor.stream()
        for model, score in self.record.unlikeness:
            self.stream.add(score if model == predictor.info.digest else None)
        self.waiting: dict[str, str] = {}
        self.behind = 0

    @property
    def _expected(self) -> tuple[str, ...]:
        """Channels without which a picture is not complete."""
        layout: Layout = self._predictor.layout
        known = self._predictor.info.channels
        return tuple(one for one in layout.used if one in known and one not in layout.optional)

    def look(self) -> Iterator[Watched]:
        """Answer the newest of what is complete now and was not answered, in the order in which it came."""
        ready = sorted(self._ready(), key=lambda one: one[2])
        self.behind = len(ready)
        if not ready:
            return
        now = ready[-self._queue :]
        self.waiting |= {one.id: "newer pictures come first" for one, _, _ in ready[: -self._queue]}
        with ThreadPoolExecutor(self._jobs) as pool:
            for (_, files, changed), answer in zip(
                now, pool.map(self._predictor.answer_sample, [one for one, _, _ in now]), strict=True
            ):
                self.behind -= 1
                lag, drift = max(0.0, time.time() - changed), self.stream.take(answer)
                said = dict(answer) | {"drift": drift, "files": files, "lag": lag, "behind": self.behind}
                made = Watched(**said)
                self.record.add(made)
                yield made

    def _ready(self) -> Iterator[tuple[Sample, str, float]]:
        """Return samples that are complete and no longer written, with the digest and time of their files."""
        samples, problems = self._listed()
        self.waiting = {one.sample: one.reason for one in problems}
        now = time.monotonic()
        for sample in samples:
            try:
                files, changed = _state(sample)
            except OSError:  # gone again, or not there yet
                continue
            if self.record.done.get(sample.id) == files:
                continue
            if lacking := [one for one in self._expected if one not in sample.channels]:
                self.waiting[sample.id] = f"lacks {', '.join(lacking)}"
                continue
            before, since = self._seen.get(sample.id, ("", now))
            if before != files:
                since = now
            self._seen[sample.id] = files, since
            if before == files and now - since >= self._settled:
                yield sample, files, changed
            else:
                self.waiting[sample.id] = "is being written"

    def _listed(self) -> tuple[list[Sample], list[Problem]]:
        try:
            return list_samples(self._images, self._table, self._predictor.layout)
        except PipelineError as error:
            if NO_SAMPLE not in str(error):
                raise
            return [], []


def _state(sample: Sample) -> tuple[str, float]:
    """Return a digest of the names, sizes and times of a sample's files, and the last time."""
    found = [(name, path.stat()) for name, path in sample.files.items()]
    digest = text_digest([(name, one.st_size, one.st_mtime_ns) for name, one in found])
    return digest[:_DIGITS], max(one.st_mtime for _, one in found)


def keep_watching(watch: Watch, every: float, until: float | None, tell: Callable[[Watched], None]) -> int:
    """Look at a folder until nothing came for `until` seconds, if ever; return the number of answers."""
    count, last = 0, time.monotonic()
    while until is None or time.monotonic() - last < until:
        before = count
        for answer in watch.look():
            tell(answer)
            count, last = count + 1, time.monotonic()
        if count == before:
            time.sleep(every)
    return count
