"""The command `download`."""

from pipeline.commands.command_line import command
from pipeline.commands.console import RichProgress, following, made, say, skipped, some, written
from pipeline.core.names import counted
from pipeline.stages.exchange_options import DownloadOptions


@command(DownloadOptions)
def download(options: DownloadOptions) -> None:
    """Fetch pictures with labels: of the Human Protein Atlas, or of the Kaggle competition of 2018.

    Writes images/, samples.csv, labels.csv and LICENCE.txt. What is fetched is checked against its sha256
    whenever the command runs again (registry.txt); stopped and run again, it goes on where it was. HPA's
    labels are those of its table of locations: one set for all pictures of a gene.

    Example: python run.py download hpa --gene CCNB1 --out hpa --dry-run
    """
    from pipeline.core.stage import execute
    from pipeline.stages.download import Download, estimate

    if options.dry_run:
        done = estimate(options, RichProgress())
        about = f"about {_bytes(done.size)}" if done.size else "of unknown size"
        say(f"Would fetch {counted(done.pictures, 'picture')} in four colours, {about}")
    else:
        done = execute(Download(), options, RichProgress())
        what = f"{counted(done.pictures, 'picture')} in four colours, {_bytes(done.size)}"
        if done.fresh:
            written(options.out / "images", f"{what}; beside it samples.csv, labels.csv")
        else:
            say(f"Up to date: {options.out} ({what})")
    made(done)
    say(f"With a label: {done.labelled:,} of {done.pictures:,}")
    if done.unnamed:
        say("Locations that the 28 do not have are left out of Target (column Others of labels.csv):")
        some([f"{name}: {counted(number, 'picture')}" for name, number in done.unnamed.items()], 5)
    skipped(done.problems, options.out / "problems.csv", "not fetched")
    say(done.licence)
    if not options.dry_run:
        images, samples = options.out / "images", options.out / "samples.csv"
        following("extract", "--images", images, "--samples", samples, "--work", "WORK")


def _bytes(number: int) -> str:
    """Return a number of bytes as people say it."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} bytes"
