"""Options that several commands share, with one help text each."""

from pathlib import Path
from typing import Annotated

import typer

Images = Annotated[
    Path,
    typer.Option(
        help="Folder of pictures: `<Id>_{red,green,blue,yellow}.png` (or .tif, .tiff, .jpg).",
        show_default=False,
    ),
]
Samples = Annotated[
    Path | None,
    typer.Option(
        help="Table for any other naming: Id, one path per channel (microtubules, protein, nucleus, er), "
        "and optionally pixel_size_um and group."
    ),
]
Work = Annotated[Path, typer.Option(help="Folder of everything that is computed.", show_default=False)]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Processes; all processors unless given. Results do not depend on it."),
]
