"""The command `overlay`."""

from pipeline.commands.console import RichProgress, written
from pipeline.commands.options import command
from pipeline.core.names import counted
from pipeline.stages.options import OverlayOptions


@command(OverlayOptions)
def overlay(options: OverlayOptions) -> None:
    """Draw the outlines of cells (white) and nuclei (yellow) on the pictures, for looking.

    Microtubules are red, the protein green, the nucleus blue. Needs the label images that `extract` left
    in the work folder; writes `WORK/overlays/<Id>.png`, or one contact sheet.

    Example: python run.py overlay --images demo/data/images --work demo/work --sheet sheet.png --columns 5
    """
    from pipeline.stages.overlay import overlay as run

    paths = run(options, RichProgress())
    if len(paths) == 1:
        written(paths[0])
    else:
        written(paths[0].parent, counted(len(paths), "picture"))
