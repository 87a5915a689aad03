"""The command `overlay`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import Images, Samples, Work


def overlay(
    images: Images,
    work: Work,
    samples: Samples = None,
    sample_id: Annotated[
        list[str] | None, typer.Option("--id", help="Sample to draw; repeat it for more. All unless given.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Write one contact sheet here (.png), not a picture per sample.")
    ] = None,
    columns: Annotated[int, typer.Option(min=1, help="Samples in a row of the contact sheet.")] = 4,
    er: Annotated[bool, typer.Option("--er", help="Add the endoplasmic reticulum, in yellow.")] = False,
) -> None:
    """Draw the outlines of cells (white) and nuclei (yellow) on the pictures, for looking.

    Microtubules are red, the protein green, the nucleus blue. Needs the label images that `extract` left
    in the work folder; writes work/overlays/<Id>.png, or one contact sheet.

    Example: python run.py overlay --images demo/data/images --work demo/work --sheet sheet.png --columns 5
    """
    from pipeline.commands.console import RichProgress, console
    from pipeline.stages.overlay import OverlayOptions
    from pipeline.stages.overlay import overlay as run

    options = OverlayOptions(
        images=images,
        work=work,
        samples=samples,
        ids=tuple(sample_id or ()),
        sheet=sheet,
        columns=columns,
        er=er,
    )
    paths = run(options, RichProgress())
    where = paths[0] if len(paths) == 1 else f"{len(paths)} pictures in {paths[0].parent}"
    console.print(f"outlines drawn: {where}", markup=False)
