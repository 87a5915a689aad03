"""The stage `report`: one HTML file of what was trained, how good it is, what decides, and what fails."""

from pathlib import Path

from pipeline.core.files import write_text
from pipeline.core.stage import Progress, Stage, Summary, execute, file_inputs
from pipeline.core.workspace import Workspace
from pipeline.pages.templating import render
from pipeline.pages.thumbnails import pictures_of, thumbnail  # noqa: F401 - in the next commit
from pipeline.stages.evaluate import Evaluate
from pipeline.stages.options import EvaluateOptions
from pipeline.stages.report_options import ReportOptions
from pipeline.stages.status import recorded_options

VERSION = 1
"""Raise it when the same results give another page."""


class ReportSummary(Summary):
    """How large the page is, and how many pictures it shows."""

    megabytes: float
    pictures: int


class Report(Stage[ReportOptions, ReportSummary]):
    """Write report.html."""

    name = "report"
    options = ReportOptions
    summary = ReportSummary

    def inputs(self, options: ReportOptions) -> dict[str, str]:
        """Return fingerprints of the model and of its out-of-fold predictions."""
        work = Workspace(options.work, options.name)
        files = {"model": work.model / "card.json", "out-of-fold predictions": work.out_of_fold}
        return {**file_inputs(files), "version of the page": str(VERSION)}

    def outputs(self, options: ReportOptions) -> tuple[Path, ...]:
        """Return the page."""
        return (options.output or Workspace(options.work, options.name).report,)

    def run(self, options: ReportOptions, progress: Progress) -> ReportSummary:
        """Gather what other stages have found, score where it is not up to date, and write the page."""
        work = Workspace(options.work, options.name)
        asked = recorded_options(Evaluate(), work) or EvaluateOptions(work=work.root, name=work.name)
        scores = execute(Evaluate(), asked, progress)
        page = render("report.html", scores=scores)
        write_text(self.outputs(options)[0], page)
        return ReportSummary(megabytes=len(page.encode()) / 1e6, pictures=0)
