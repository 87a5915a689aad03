"""The command `nearest`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import Samples


def nearest(
    id: Annotated[  # noqa: A002 - the option's name
        str, typer.Option(help="The picture to look up.", show_default=False)
    ],
    embeddings: Annotated[
        Path,
        typer.Option(
            help="Table of embeddings of the labelled pictures, by one network: of `embed`, or of "
            "`train-cnn` the one that ends in _whole.",
            show_default=False,
        ),
    ],
    labels: Annotated[Path, typer.Option(help="csv table Id,Target.", show_default=False)],
    query: Annotated[
        Path | None,
        typer.Option(help="Table with the picture, if it is not in --embeddings; by the same network."),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Work folder of the labelled pictures: leaves out those of the picture's group."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many pictures to show.")] = 5,
    same_group: Annotated[
        bool, typer.Option("--same-group", help="Also show pictures of the picture's own group.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Also draw the picture and those found into this PNG; needs --images."),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the labelled pictures.")] = None,
    samples: Samples = None,
    query_images: Annotated[
        Path | None, typer.Option(help="Folder of the picture, if it is not in --images.")
    ] = None,
) -> None:
    """Show the labelled pictures that a network sees as most like one picture.

    They are the network's evidence: look at them beside the picture and judge whether they show the same.
    The similarity is 1 for the same embedding and 0 for no more alike than by chance.

    Example: python run.py nearest --id protein_00003_1 --embeddings demo/work/embeddings/builtin.parquet
    --labels demo/data/labels.csv --work demo/work --images demo/data/images --sheet nearest.png
    """
    from rich.table import Table

    from pipeline.commands.console import console
    from pipeline.stages.nearest import NearestOptions
    from pipeline.stages.nearest import nearest as run

    options = NearestOptions(
        id=id,
        embeddings=embeddings,
        labels=labels,
        query=query,
        work=work,
        top=top,
        same_group=same_group,
        images=images,
        samples=samples,
        query_images=query_images,
        sheet=sheet,
    )
    found = run(options)
    shown = Table(box=None, padding=(0, 1, 0, 0))
    for title in ("picture", "similarity", "locations", "group"):
        shown.add_column(title, justify="right" if title == "similarity" else "left", overflow="fold")
    for row in found.table.to_dict("records"):
        shown.add_row(row["Id"], f"{row['similarity']:.3f}", row["locations"], row["group"])
    console.print(shown)
    votes = ", ".join(f"{name} {share:.2f}" for name, share in found.votes.items())
    console.print(f"Share of the similarity: {votes or 'none is alike'}", markup=False)
    if sheet is not None:
        console.print(f"Drawn: {sheet}", soft_wrap=True)
