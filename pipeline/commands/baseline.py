"""The command `baseline`."""

from pipeline.commands.console import say, show_table
from pipeline.commands.options import command
from pipeline.core.names import counted
from pipeline.stages.options import BaselineOptions


@command(BaselineOptions)
def baseline(options: BaselineOptions) -> None:
    """Score people as if they were a model: each annotator, their majority vote, and all pooled.

    Prints macro-F1 in both conventions, and per location F1 and Krippendorff's alpha; with --work also how
    much better the trained model's out-of-fold predictions are on the same pictures.

    Example: python run.py baseline --labels labels.csv --answers expert_guesses.csv
    """
    from pipeline.stages.baseline import baseline as run

    found = run(options)
    for name, row in found.annotators.iterrows():
        say(
            f"{name}: {counted(int(row['pictures']), 'picture')}, macro-F1 {row['macro_f1']:.3f} over "
            f"{counted(int(row['over']), 'location')} (undefined skipped), {row['macro_f1_all']:.3f} over "
            f"all 28 (undefined 0), micro-F1 {row['micro_f1']:.3f}, exactly right {row['exact']:.0%}"
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
