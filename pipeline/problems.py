"""Samples that cannot be used: what is wrong and what would mend it."""

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from pipeline.records import replacing


@dataclass(frozen=True, order=True)
class Problem:
    """Why one sample was skipped.

    Attributes
    ----------
    sample : str
        The sample's id as found, safe or not.
    file : str
        The file at fault.
    reason, remedy : str
        What is wrong, and what the user can do.
    """

    sample: str
    file: str
    reason: str
    remedy: str


class SampleError(Exception):
    """One sample cannot be used; the run goes on without it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.sample}: {problem.file}: {problem.reason}; {problem.remedy}")
        self.problem = problem


def write_problems(path: Path, problems: Iterable[Problem]) -> None:
    """Write the skipped samples as csv, sorted; a file with only its header says that all went well."""
    with replacing(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(field.name for field in fields(Problem))
        writer.writerows(astuple(problem) for problem in sorted(set(problems)))
