"""A folder that a microscope fills: complete pictures are answered once, a line of JSON each.

The file of answers is the only memory: a picture counts as answered while its files have the sizes and times
that its line has. Files that change are answered again, so that one that was read too early mends itself.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.core.errors import NoSampleError, PipelineError, Problem, SampleError
from pipeline.core.files import text_digest
from pipeline.data.discovery import files_below, is_picture, is_unnameable
from pipeline.data.layouts import Layout
from pipeline.data.samples import Sample, list_samples
from pipeline.serving.answers import Answer
from pipeline.serving.predictor import Predictor

_DIGITS = 16
_PATIENCE = 10
"""Times `settled`, after which it is told that no file makes a sample: the others may come."""


class Watched(Answer):
    """A line of the file of answers.

    Attributes
    ----------
    files : str
        Digest of the names, sizes and times of the picture's files; of the name alone where that is at fault.
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


@dataclass(frozen=True)
class _Due:
    """What may be answered: digest and last change of its files, what it lacks, how it is answered."""

    id: str
    files: str
    changed: float
    answer: Callable[[], Answer]
    lacking: tuple[str, ...] = ()


class Watch:
    """Looks at a folder again and again, and answers what is new and complete.

    Parameters
    ----------
    predictor : Predictor
    images : Path
    output : Path
    table : Path or None
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
        table: Path | None,
        *,
        settled: float,
        jobs: int,
        queue: int,
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
        self.trouble = ""
        """Why none of the pictures that lie there makes a sample, where that stays so."""
        self._unusable: float | None = None

    @property
    def _expected(self) -> tuple[str, ...]:
        """Channels without which a picture is not complete."""
        layout: Layout = self._predictor.layout
        known = self._predictor.info.channels
        return tuple(one for one in layout.used if one in known and one not in layout.optional)

    def look(self) -> Iterator[Watched]:
        """Answer the newest of what is complete now and was not answered, in the order in which it came."""
        ready = sorted(self._ready(), key=lambda one: one.changed)
        self.behind = len(ready)
        if not ready:
            return
        now = ready[-self._queue :]
        self.waiting |= {one.id: "newer pictures come first" for one in ready[: -self._queue]}
        with ThreadPoolExecutor(self._jobs) as pool:
            for due, answer in zip(now, pool.map(lambda one: one.answer(), now), strict=True):
                self.behind -= 1
                lag, drift = max(0.0, time.time() - due.changed), self.stream.take(answer)
                said = dict(answer) | {"drift": drift, "files": due.files, "lag": lag, "behind": self.behind}
                made = Watched(**said)
                self.record.add(made)
                yield made

    def _ready(self) -> Iterator[_Due]:
        """Return what is complete, no longer written and not answered."""
        now = time.monotonic()
        for one in self._found():
            if self.record.done.get(one.id) == one.files:
                continue
            if one.lacking:
                self.waiting[one.id] = f"lacks {', '.join(one.lacking)}"
                continue
            before, since = self._seen.get(one.id, ("", now))
            if before != one.files:
                since = now
            self._seen[one.id] = one.files, since
            if before == one.files and now - since >= self._settled:
                yield one
            else:
                self.waiting[one.id] = "is being written"

    def _found(self) -> Iterator[_Due]:
        """Return the samples, and what can be none because of its name, as it is now."""
        samples, problems = self._listed()
        refused = {one.sample: one for one in reversed(problems) if is_unnameable(one)}
        self.waiting = {one.sample: one.reason for one in problems if one.sample not in refused}
        for problem in refused.values():
            yield self._refused(problem)
        for sample in samples:
            try:
                files, changed = _state(sample)
            except OSError:  # gone again, or not there yet
                continue
            lacking = tuple(one for one in self._expected if one not in sample.channels)
            answer = partial(self._predictor.answer_sample, sample)
            yield _Due(sample.id, files, changed, answer, lacking)

    def _refused(self, problem: Problem) -> _Due:
        try:
            changed = (self._images / problem.file).stat().st_mtime
        except OSError:
            changed = time.time()
        answer = partial(self._predictor.refusal, problem.sample, SampleError(problem))
        return _Due(problem.sample, text_digest([problem.reason])[:_DIGITS], changed, answer)

    def _listed(self) -> tuple[list[Sample], list[Problem]]:
        try:
            found = list_samples(self._images, self._table, self._predictor.layout)
        except NoSampleError as error:
            self._tell_unusable(error)
            return [], error.problems
        self._unusable, self.trouble = None, ""
        return found

    def _tell_unusable(self, error: NoSampleError) -> None:
        """Say why no file makes a sample: if pictures lie there, none is answered, and that stays so."""
        answered = any(map(is_unnameable, error.problems))
        if answered or not any(map(is_picture, files_below(self._images))):
            self._unusable, self.trouble = None, ""
            return
        now = time.monotonic()
        self._unusable = now if self._unusable is None else self._unusable
        if now - self._unusable >= _PATIENCE * self._settled:
            self.trouble = self.trouble or str(error)


def _state(sample: Sample) -> tuple[str, float]:
    """Return a digest of the names, sizes and times of a sample's files, and the last time."""
    found = [(name, path.stat()) for name, path in sample.files.items()]
    digest = text_digest([(name, one.st_size, one.st_mtime_ns) for name, one in found])
    return digest[:_DIGITS], max(one.st_mtime for _, one in found)


def keep_watching(
    watch: Watch,
    every: float,
    until: float | None,
    tell: Callable[[Watched], None],
    warn: Callable[[str], None],
) -> int:
    """Look at a folder until nothing came for `until` seconds, if ever; return the number of answers.

    `tell` gets every answer, `warn` why no picture can be answered, once, and "" when some can again.
    """
    count, last, warned = 0, time.monotonic(), ""
    while until is None or time.monotonic() - last < until:
        before = count
        for answer in watch.look():
            tell(answer)
            count, last = count + 1, time.monotonic()
        if watch.trouble != warned:
            warned = watch.trouble
            warn(warned)
        if count == before:
            time.sleep(every)
    return count
