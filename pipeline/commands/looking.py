"""The commands for looking: `baseline`, `nearest`, `overlay`, `status`."""

from collections.abc import Mapping
from shlex import quote
from typing import TYPE_CHECKING

from pipeline.commands.command_line import command
from pipeline.commands.console import RichProgress, made, print_table, say, show_table, written
from pipeline.core.names import counted
from pipeline.core.workspace import Workspace
from pipeline.stages.options import BaselineOptions, NearestOptions, OverlayOptions, StatusOptions

if TYPE_CHECKING:
    from pipeline.stages.baseline import Baseline


@command(BaselineOptions)
def baseline(options: BaselineOptions) -> None:
    """Score human annotators like a model: each one, their majority vote, and all pooled.

    Prints macro-F1 in both conventions, and per location F1 and Krippendorff's alpha; with --work also how
    much better the trained model's out-of-fold predictions are on the same pictures.

    Example: python run.py baseline --labels labels.csv --answers expert_guesses.csv
    """
    from pipeline.stages.baseline import baseline as run

    found = run(options)
    made(_scored(found))
    for line in found.said:
        say(line)
    for name, row in found.annotators.iterrows():
        say(
            f"{name}: {counted(int(row['pictures']), 'picture')}, macro-F1 {row['macro_f1']:.3f} over "
            f"{counted(int(row['over']), 'location')} (undefined skipped), {row['macro_f1_all']:.3f} over "
            f"all {len(found.locations)} (undefined 0), micro-F1 {row['micro_f1']:.3f}, exactly right "
            f"{row['exact']:.0%}"
        )
    rows = [
        (str(name), *("-" if value != value else f"{value:.3f}" for value in row))
        for name, row in found.locations.iterrows()
    ]
    show_table(("location", "F1", "alpha with labels", "alpha among annotators"), rows)
    if found.comparison is not None:
        better = found.comparison.difference
        say(
            f"The trained model on the same {counted(found.comparison.pictures, 'picture')}, "
            f"{counted(found.comparison.locations, 'location')}: {better.value:+.3f} macro-F1 against the "
            f"majority vote ({better.low:+.3f} to {better.high:+.3f}, paired bootstrap)"
        )
    if found.problems:
        say(f"{counted(len(found.problems), 'row')} not used; the first: {found.problems[0].reason}")


def _scored(found: "Baseline") -> dict[str, object]:
    """Return the scores of annotators as an object."""
    return {
        "annotators": found.annotators,
        "locations": found.locations,
        "model": found.comparison,
        "problems": found.problems,
    }


@command(NearestOptions)
def nearest(options: NearestOptions) -> None:
    """Show the labelled pictures that a network sees as most like one picture.

    They are the network's evidence: look at them beside the picture and judge whether they show the same.
    The similarity is 1 for the same embedding and 0 for no more alike than by chance.

    Example: python run.py nearest --id protein_00003_1 --embeddings demo/work/embeddings/builtin.parquet
    --labels demo/data/labels.csv --work demo/work --images demo/data/images --sheet nearest.png
    """
    from pipeline.stages.nearest import nearest as run

    found = run(options)
    made({"nearest": found.table.to_dict("records"), "votes": found.votes, "sheet": options.sheet})
    for line in found.said:
        say(line)
    rows = [
        (row["Id"], row["locations"], row["group"], f"{row['similarity']:.3f}")
        for row in found.table.to_dict("records")
    ]
    show_table(("picture", "locations", "group", "similarity"), rows, words=3)
    votes = ", ".join(f"{name} {share:.2f}" for name, share in found.votes.items())
    say(f"Share of the similarity, by location: {votes or 'none is alike'}")
    if options.sheet is not None:
        written(options.sheet)


@command(OverlayOptions)
def overlay(options: OverlayOptions) -> None:
    """Draw the outlines of cells (white) and nuclei (yellow) on the pictures, for looking.

    Microtubules are red, the protein green, the nucleus blue. Needs the label images that `extract` left
    in the work folder; writes `WORK/overlays/<Id>.png`, or one contact sheet.

    Example: python run.py overlay --images demo/data/images --work demo/work --sheet sheet.png --columns 5
    """
    from pipeline.stages.overlay import overlay as run

    paths = run(options, RichProgress())
    made({"written": paths})
    if len(paths) == 1:
        written(paths[0])
    else:
        written(paths[0].parent, counted(len(paths), "picture"))


COLOURS = {"done": "green", "stale": "yellow", "missing": "red"}


@command(StatusOptions)
def status(options: StatusOptions) -> None:
    """Show which stages are done, stale (and why) or missing.

    A stage is stale when something it was made from has changed since: pictures, labels, options, or
    the version of a feature family. Run it again: only what changed is computed.

    Example: python run.py status --work demo/work
    """
    from rich.markup import escape
    from rich.table import Column, Table

    from pipeline.pages.history import recorded_command
    from pipeline.stages.status import status as look

    work, found = Workspace(options.work), look(options.work)
    before = {one.stage: recorded_command(work, one.stage) for one in found}
    steps = _next(work, {one.stage: one.state for one in found}, before)
    made({"stages": found, "next": steps})
    table = Table("stage", "state", Column("why", overflow="fold"), box=None)
    for stage in found:
        state = f"[{COLOURS[stage.state]}]{stage.state}[/]"
        table.add_row(escape(stage.stage), state, escape("\n".join(stage.reasons)))
    print_table(table)
    for command_line in steps:
        say(f"Next: {command_line}")


MISSING = {
    "extract": "extract --images IMAGES",
    "train": "train --labels LABELS",
    "evaluate": "evaluate",
    "importances": "importances",
}
"""What makes the stages of the main job, beside ``--work``."""


def _next(work: Workspace, states: Mapping[str, str], before: Mapping[str, str]) -> list[str]:
    """Return the commands that come next: what is stale or missing, else what to look at."""
    own = f"python run.py {{}} --work {quote(str(work.root))}"
    due = [stage for stage, state in states.items() if state != "done"]
    due = [stage for stage in due if before[stage] or stage in MISSING]
    steps = [before[one] or own.format(MISSING[one]) for one in due]
    if steps:
        return steps[:1] if due[0] in ("extract", "train") else steps
    return (
        [own.format("report"), own.format("explore")]
        if not work.report.is_file()
        else [own.format("explore")]
    )
