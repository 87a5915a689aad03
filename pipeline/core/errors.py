"""Errors reported in one line: what the user can correct, and samples that cannot be used."""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from pipeline.core.files import write_text

RUN_AGAIN = "run again"
"""How the remedy of a passing trouble begins."""


_FORMULA = re.compile(r"^'*[=+\-@\t\r]")
_ESCAPED = re.compile(r"^'(?='*[=+\-@\t\r])")


class PipelineError(Exception):
    """Something the user can fix: a missing file, an unknown location, columns that do not match a model.

    The message is one line that names the file or value at fault and the remedy. The command line
    prints it and exits with status 2; any other exception is a defect and keeps its traceback.
    """


class NoSampleError(PipelineError):
    """No file of a folder, or row of a table, makes a sample: what is wrong with each is in `problems`."""

    def __init__(self, message: str, problems: "Iterable[Problem]" = ()) -> None:
        super().__init__(message)
        self.problems = [*problems]


@dataclass(frozen=True, order=True)
class Problem:
    """Why one sample, by its id as found, was skipped: the file at fault, what is wrong, what can be done."""

    sample: str
    file: str
    reason: str
    remedy: str

    @property
    def told(self) -> str:
        """The file, what is wrong, and what can be done, in a line."""
        return f"{self.file}: {self.reason}; {self.remedy}".removesuffix("; ")

    @property
    def is_passing(self) -> bool:
        """Whether it is no fault of the sample (no permission, no memory): tried again in the next run."""
        return self.remedy.startswith(RUN_AGAIN)


class SampleError(Exception):
    """One sample cannot be used; the run goes on without it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.sample}: {problem.told}")
        self.problem = problem


def write_problems(path: Path, stage: str, problems: Iterable[Problem]) -> None:
    """Write what a stage skipped as csv, sorted, in place of what it listed before.

    A file with only its header says that all went well. What a spreadsheet would run as a formula, such as an
    id that begins with "=", is written behind an apostrophe.
    """
    kept = [(name, problem) for name, problem in read_problems(path) if name != stage]
    rows = sorted(kept + [(stage, problem) for problem in set(problems)])
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["stage", *(field.name for field in fields(Problem))])
    for name, problem in rows:
        writer.writerow([_FORMULA.sub(r"'\g<0>", text) for text in (name, *astuple(problem))])
    if not path.exists() or path.read_bytes() != stream.getvalue().encode():
        write_text(path, stream.getvalue())


def read_problems(path: Path) -> list[tuple[str, Problem]]:
    """Read the skipped samples, each with the stage that skipped it; none where there is no file.

    Lines that are damaged do not count: the stage lists them again.
    """
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace").replace("\0", "")
    rows = [[_ESCAPED.sub("", cell) for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]
    return [(name, Problem(*problem)) for name, *problem in rows[1:] if len(problem) == len(fields(Problem))]
