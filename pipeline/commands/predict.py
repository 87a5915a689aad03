"""The command `predict`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import Images, Jobs, Samples


class Format(StrEnum):
    """How predictions are written."""

    csv = "csv"
    kaggle = "kaggle"


def predict(
    images: Images,
    model: Annotated[
        Path, typer.Option(help="Folder of a trained model, such as WORK/model.", show_default=False)
    ],
    output: Annotated[Path, typer.Option(help="The csv file to write.", show_default=False)],
    samples: Samples = None,
    format: Annotated[  # noqa: A002 - the option's name
        Format, typer.Option(help="csv: names and probabilities; kaggle: Id,Predicted with class indices.")
    ] = Format.csv,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for masks and features of these pictures; OUTPUT.work unless given."),
    ] = None,
    embeddings: Annotated[
        list[Path] | None,
        typer.Option(
            help="Ready table of embeddings the model was trained with; repeatable. Embeddings made by "
            "`embed` or `train-cnn` are computed and need none."
        ),
    ] = None,
    outputs: Annotated[
        list[Path] | None,
        typer.Option(help="Another network's answers about these pictures, as given to train; repeatable."),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=FILE: where an embedding's weights lie now, if not where they did in training."
        ),
    ] = None,
    nuclei_weights: Annotated[
        str | None, typer.Option(help="Where cellpose's weights lie now, if not where they did in training.")
    ] = None,
    cell_weights: Annotated[str | None, typer.Option(help="The same, for whole cells.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Where cellpose runs: cpu (the default) or cuda.")
    ] = None,
    jobs: Jobs = None,
) -> None:
    """Name the locations of the protein in new pictures.

    The pictures are segmented, measured and embedded exactly as the model's training pictures were.
    The csv holds the chosen locations and every location's probability. A sample that cannot be read is
    left out and listed in problems.csv of the work folder.

    Example: python run.py predict --images new/images --model demo/work/model --output predictions.csv
    """
    from pipeline.commands.console import RichProgress, console
    from pipeline.stages.predict import PredictOptions, parse_weights
    from pipeline.stages.predict import predict as run

    given = {"nuclei_weights": nuclei_weights, "cell_weights": cell_weights, "device": device}
    options = PredictOptions(
        images=images,
        samples=samples,
        model=model,
        output=output,
        format=format.value,
        work=work or output.with_name(output.name + ".work"),
        embeddings=tuple(embeddings or ()),
        outputs=tuple(outputs or ()),
        weights=parse_weights(weights or []),
        segmenter_options={name: value for name, value in given.items() if value is not None},
        jobs=jobs,
    )
    summary = run(options, RichProgress())
    console.print(f"{summary.rows} pictures predicted: {output}")
    if summary.extracted.problems:
        count = len(summary.extracted.problems)
        console.print(f"{count} skipped, with reason and remedy: {options.work / 'problems.csv'}")
