"""The command `train-segmenter`."""

from pathlib import Path
from typing import Annotated

import typer


def train_segmenter(
    objects: Annotated[str, typer.Argument(help="nuclei or cells.")],
    images: Annotated[
        Path, typer.Option(help="Folder of <name>_image.png, or of pictures of four channels.")
    ],
    labels: Annotated[
        Path, typer.Option(help="Folder of <name>_label.png, or of <Id>.tif (page 1 cells, page 2 nuclei).")
    ],
    output: Annotated[Path, typer.Option(help="File of weights to write (.safetensors); its card too.")],
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Weights to adapt: a file, shipped:nuclei, shipped:cells, or nuclei, cyto2 or cyto3 "
            "in Cellpose's cache.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Updates; 200 adapt, 2000 teach from chance.")] = 2000,
    batch: Annotated[int, typer.Option(min=1, help="Tiles in each update: time is steps × tiles.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other tiles.")] = 0,
    data: Annotated[str, typer.Option(help="What the fields are, for the card.")] = "not stated",
    licence: Annotated[str, typer.Option(help="Licence of the fields, for the card.")] = "not stated",
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads; all unless given.")] = None,
) -> None:
    """Train a Cellpose network on annotated fields, or adapt one to your own microscope.

    With ten fields or more, every fifth of each type is kept for testing and scored in the end. Killed
    and run again, training goes on at its last checkpoint.

    To adapt: correct some of the masks that `extract` wrote (any editor of TIFFs), put them in a
    folder, and give the weights that made them with --from; shipped:nuclei and shipped:cells come with the
    project. Then extract with --nuclei-weights (or --cell-weights) my.safetensors.

    Example: python run.py train-segmenter nuclei --images fields --labels fields --output my.safetensors
    --from shipped:nuclei --steps 200
    """
    from pipeline.commands.console import RichProgress, console
    from pipeline.stages.train_segmenter import TrainSegmenterOptions
    from pipeline.stages.train_segmenter import train_segmenter as run

    origin = f" --from {start}" if start else ""
    options = TrainSegmenterOptions(
        objects=objects,
        images=images,
        labels=labels,
        output=output,
        start=start,
        steps=steps,
        batch=batch,
        seed=seed,
        data=data,
        licence=licence,
        command=f"train-segmenter {objects}{origin} --steps {steps} --batch {batch} --seed {seed}",
        threads=threads,
    )
    card = run(options, RichProgress())
    scores = ", ".join(f"{name} {value:.3f}" for name, value in card.scores.items())
    told = (
        f"on the fields kept for testing: {scores}" if scores else "too few fields to keep some for testing"
    )
    console.print(f"{output}: {card.objects}, {card.steps} steps; {told}", markup=False)
