"""The command `demo`."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo"),
    pictures: Annotated[int, typer.Option(min=60, help="Simulated pictures to train on.")] = 90,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same pictures and model.")] = 1,
) -> None:
    """Run the main job on simulated pictures, offline, in a few minutes.

    Simulates pictures with labels, extracts features, embeds, trains, scores, explains, and predicts pictures
    that were never seen; then says where everything is. `make demo` runs this.

    Example: python run.py demo --folder demo
    """
    from rich.table import Table

    from pipeline.commands.console import RichProgress, console
    from pipeline.stages.demo import demo as run

    summary = run(folder, pictures, seed, RichProgress())
    table = Table("what", "where", box=None, title="Everything is here", title_justify="left")
    for what, path in summary.files.items():
        table.add_row(what, str(path))
    console.print(table)
    console.print(
        f"{len(summary.trained.trained)} locations trained ({', '.join(summary.trained.trained)}); "
        f"{len(summary.trained.left_out)} have too few pictures here.",
        soft_wrap=True,
    )
    console.print("Next, look at it:")
    work = folder / "work"
    embedding = summary.files["embeddings of pictures"]
    for command in (
        f"evaluate --work {work}",
        f"importances '{summary.trained.trained[0]}' --work {work} --embeddings {embedding}",
        f"overlay --images {folder / 'data' / 'images'} --work {work} --sheet {folder / 'overlay.png'}",
        f"status --work {work}",
    ):
        console.print(f"  python run.py {command}", markup=False, soft_wrap=True)
