"""The commands to begin with: `demo` and `simulate`."""

from dataclasses import asdict

from pipeline.commands.command_line import command
from pipeline.commands.console import RichProgress, following, made, say, written
from pipeline.core.names import counted
from pipeline.stages.options import DemoOptions, SimulateOptions
from pipeline.stages.report_options import ReportOptions


@command(DemoOptions)
def demo(options: DemoOptions) -> None:
    """Run the main job on simulated pictures, offline, in a few minutes.

    Simulates pictures with labels, extracts features, embeds, trains, scores, explains, predicts pictures
    that were never seen, and makes the report; then says where everything is. `make demo` runs this.

    Example: python run.py demo --folder demo
    """
    from pipeline.core.stage import execute
    from pipeline.pages.report import Report
    from pipeline.stages.demo import demo as run

    progress, work = RichProgress(), options.folder / "work"
    summary = run(options, progress)
    asked = ReportOptions(work=work)
    execute(Report(), asked, progress)
    page = Report().outputs(asked)[0]
    made({**asdict(summary), "report": page})
    say("Everything is here")
    files = summary.files | {"report: open it in a browser": page}
    for what, path in files.items():
        say(f"  {what:<{max(map(len, files))}}  {path}")
    trained = summary.trained.trained
    say(
        f"{counted(len(trained), 'location')} trained ({', '.join(trained)}); "
        f"{len(summary.trained.left_out)} have too few pictures here."
    )
    name, score = next(iter(summary.scores.totals.items()))
    say(f"Out of fold, {name} is {score.value:.3f} ({score.low:.3f} to {score.high:.3f}).")
    say("Next, look at it:")
    images, new = options.folder / "data" / "images", options.folder / "new"
    cells = ["--images", new / "images", "--samples", new / "samples.csv", "--model", work / "model"]
    for words in (
        ["evaluate", "--work", work],
        ["importances", trained[0], "--work", work],
        ["overlay", "--images", images, "--work", work, "--sheet", options.folder / "overlay.png"],
        ["predict", *cells, "--per", "cell", "--output", options.folder / "cells.csv"],
        ["explore", "--work", work],
        ["status", "--work", work],
    ):
        following(*words, why="  ")


@command(SimulateOptions)
def simulate(options: SimulateOptions) -> None:
    """Simulate fields of cells: pictures, labels, groups and the true outlines.

    One to four pictures show the same simulated protein; they share cell line, locations and look, as
    pictures of one antibody do, and have one group in groups.csv. Killed and run again, it goes on where
    it was; asked for more pictures, it adds them.

    Example: python run.py simulate demo/data --pictures 60 --seed 1
    """
    from pipeline.core.stage import execute
    from pipeline.stages.simulate import Simulate

    done = execute(Simulate(), options, RichProgress())
    made(done)
    images = options.out / "images"
    if not done.fresh:
        say(f"Up to date: {options.out}")
    else:
        written(
            images,
            f"{counted(done.pictures, 'picture')}; beside it labels.csv, groups.csv, samples.csv, truth/",
        )
    if options.contact_sheet is not None:
        written(options.contact_sheet, "one example per location")
    following("extract", "--images", images, "--samples", options.out / "samples.csv", "--work", "WORK")
