"""The command `import`."""

from pipeline.commands.command_line import command
from pipeline.commands.console import RichProgress, following, made, say, some, written
from pipeline.core.names import counted
from pipeline.stages.exchange_options import ImportOptions


@command(ImportOptions)
def import_(options: ImportOptions) -> None:
    """Turn another program's list of pictures into samples.csv, and its labels into labels.csv.

    Pictures stay where they are. Further columns become `Metadata_…`, which stay with samples, cells and
    features. Samples whose pictures are missing or outside --root are left out, and listed in problems.csv
    with reason and remedy.

    Example: python run.py import cellprofiler load_data.csv --channel protein=OrigAGP --out mine
    """
    from pipeline.core.stage import execute
    from pipeline.stages.import_samples import ImportSamples

    done = execute(ImportSamples(), options, RichProgress())
    made(done)
    for note in done.notes:
        say(note)
    samples, labels = options.out / "samples.csv", options.out / "labels.csv"
    what = f"{done.samples:,} of {counted(done.rows, 'sample')} with all their pictures"
    if done.fresh:
        written(samples, what)
    else:
        say(f"Up to date: {samples} ({what})")
    if done.labelled:
        say(f"With a label: {done.labelled:,} of {done.samples:,}: {labels}")
    if done.problems:
        say(f"{len(done.problems):,} left out, with reason and remedy: {options.out / 'problems.csv'}")
        some([f"{one.sample}: {one.reason}; {one.remedy}" for one in done.problems])
    following("extract", "--images", done.root, "--samples", samples, "--work", "WORK")
