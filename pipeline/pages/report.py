"""The stage `report`: one HTML file of what was trained, how good it is, what decides, and what fails."""

from dataclasses import asdict
from pathlib import Path

from pipeline.core.files import text_digest, write_text
from pipeline.core.stage import Progress, Stage, Summary, execute, file_inputs, option_inputs, read_record
from pipeline.core.workspace import Workspace, untrained
from pipeline.pages import gallery
from pipeline.pages.findings import find
from pipeline.pages.templating import digest, render
from pipeline.stages.evaluate import Evaluate, Scores
from pipeline.stages.explain_options import ImportancesOptions
from pipeline.stages.importances import Importances
from pipeline.stages.options import EvaluateOptions
from pipeline.stages.report_options import ReportOptions
from pipeline.stages.status import recorded_options, trained_tables

VERSION = 1
"""Raise it when the same results give another page."""


class ReportSummary(Summary):
    """How large the page is, how many pictures it shows, and why it shows none."""

    megabytes: float
    pictures: int
    without: str = ""


class Report(Stage[ReportOptions, ReportSummary]):
    """Score and explain where that is not up to date, and write report.html."""

    name = "report"
    options = ReportOptions
    summary = ReportSummary

    def inputs(self, options: ReportOptions) -> dict[str, str]:
        """Return fingerprints of the model, its predictions, and of what else the page shows."""
        work = Workspace(options.work, options.name)
        if not work.out_of_fold.is_file() or not (work.model / "card.json").is_file():
            raise untrained(work)
        files = {"model": work.model / "card.json", "out-of-fold predictions": work.out_of_fold}
        beside = {"quality of pictures": work.quality, "problems": work.problems, "features": work.features}
        files |= {name: path for name, path in beside.items() if path.is_file()}
        if options.answers is not None:
            files["answers"] = options.answers
        records = {"extraction": work.record("extract")}
        made = {name: record for name, path in records.items() if (record := read_record(path)) is not None}
        return {
            **file_inputs(files),
            **{name: text_digest(record.inputs) for name, record in made.items()},
            "scoring": text_digest(scoring(work).model_dump(mode="json")),
            **option_inputs(options, "errors", "pictures"),
            "version of the page": f"{VERSION} {digest('base.html', 'report.html')}",
        }

    def outputs(self, options: ReportOptions) -> tuple[Path, ...]:
        """Return the page."""
        return (options.output or Workspace(options.work, options.name).report,)

    def run(self, options: ReportOptions, progress: Progress) -> ReportSummary:
        """Gather what other stages have found, and write the page: the same from wherever it is asked for."""
        options = options.model_copy(update={"work": options.work.absolute()})
        work = Workspace(options.work, options.name)
        scores: Scores = execute(Evaluate(), scoring(work), progress)
        execute(Importances(), explaining(work), progress)
        found = find(work, options, scores, explaining(work), progress)
        shown = gallery.draw(work, found.pictures, found.cells, progress)
        page = render("report.html", f=found, **asdict(shown))
        write_text(self.outputs(options)[0], page)
        return ReportSummary(
            megabytes=len(page.encode()) / 1e6, pictures=len(shown.pictures), without=shown.without
        )


def scoring(work: Workspace) -> EvaluateOptions:
    """Return the options that a training is scored with: as before, and always with what each part adds."""
    asked = recorded_options(Evaluate(), work) or EvaluateOptions(work=work.root, name=work.name)
    return asked.model_copy(update={"ablation": work.base_log_odds.is_file(), "plot": None, "against": None})


def explaining(work: Workspace) -> ImportancesOptions:
    """Return the options that a training is explained with: the tables that it was trained on."""
    before = recorded_options(Importances(), work)
    number = {} if before is None else {"pictures": before.pictures}
    return ImportancesOptions.model_validate(
        {"work": work.root, "name": work.name, **trained_tables(work), **number}
    )
