"""The command `simulate`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import Jobs


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write; grown if it holds the same simulation.")],
    pictures: Annotated[int, typer.Option(min=1, help="How many pictures of four channels.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other proteins and cells.")] = 1,
    size: Annotated[int, typer.Option(help="Side of the square pictures in pixels.")] = 512,
    locations: Annotated[
        str, typer.Option(help="default (14 locations), all (28), or names separated by commas.")
    ] = "default",
    crowding: Annotated[
        float, typer.Option(help="Up to so many times as many cells in a field; 3 fills many fields.")
    ] = 1.0,
    contact_sheet: Annotated[
        Path | None, typer.Option(help="Also draw one example per location, side by side, into this PNG.")
    ] = None,
    jobs: Jobs = None,
) -> None:
    """Simulate fields of cells: pictures, labels, groups and the true outlines.

    One to four pictures show the same simulated protein; they share cell line, locations and look, as
    pictures of one antibody do, and have one group in groups.csv. Killed and run again, it goes on where
    it was; asked for more pictures, it adds them.

    Example: python run.py simulate demo/data --pictures 60 --seed 1
    """
    import os

    from pipeline.commands.console import RichProgress, console
    from pipeline.stages.simulate import parse_locations, write_contact_sheet
    from pipeline.stages.simulate import simulate as run

    chosen = parse_locations(locations)
    run(
        out,
        pictures,
        seed,
        size,
        locations=chosen,
        crowding=crowding,
        jobs=jobs or os.cpu_count() or 1,
        progress=RichProgress(),
    )
    console.print(
        f"{pictures} pictures in {out / 'images'}, with labels.csv, groups.csv, samples.csv and truth/"
    )
    if contact_sheet is not None:
        write_contact_sheet(contact_sheet, chosen, seed)
        console.print(f"one example per location: {contact_sheet}")
