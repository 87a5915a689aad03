"""The command `embed`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import Jobs, Samples, Work


class Per(StrEnum):
    """What is embedded."""

    picture = "picture"
    cell = "cell"


class Device(StrEnum):
    """Where a network runs."""

    cpu = "cpu"
    cuda = "cuda"


def embed(
    work: Work,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures, as for extract; not needed with --table.", show_default=False),
    ] = None,
    samples: Samples = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="builtin: the small network that comes with the project, trained on simulated pictures. "
            "Or the architecture of --checkpoint: bestfitting-densenet121, bestfitting-densenet121-large, "
            "densenet121, resnet18, resnet34 or resnet50; not needed where a card (.json) lies beside it."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="File of torch weights (a state_dict) of --network; no code in it is run."),
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(
            help="ONNX network, with a TOML of the same name beside it: channels, side, mean, std, and the "
            "names of its outputs as embedding and outputs."
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(help="Ready table of embeddings keyed by Id (parquet, csv or npz); checked and taken."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the block; that of the network or file unless given.")
    ] = None,
    trained_on: Annotated[
        str | None,
        typer.Option(
            help="csv with the ids of the pictures the network was trained on, or none if it saw none of "
            "yours; unknown unless given. train uses it to refuse leaks."
        ),
    ] = None,
    per: Annotated[
        Per, typer.Option(help="cell: crops of the cells that extract found; mean, maximum and top 3.")
    ] = Per.picture,
    side: Annotated[
        int | None,
        typer.Option(min=32, help="Side in pixels of a checkpoint's input; its network's own unless given."),
    ] = None,
    device: Annotated[Device, typer.Option(help="cpu or cuda.")] = Device.cpu,
    jobs: Jobs = None,
) -> None:
    """Turn pictures into numbers by a network; or check and take a ready table of embeddings.

    Writes `embeddings/<name>.parquet` (Id, `cnn__<name>__e0000` … and, where the network answers
    locations, `cnn__<name>__logit_<location>`), and `embeddings/<name>.json`, the card: network, sha256
    of its weights, preprocessing, and the pictures it was trained on. Killed and run again, it goes
    on where it was. Give the table to `train --embeddings`.

    Example: python run.py embed --images demo/data/images --work demo/work --network builtin
    """
    from pipeline.commands.console import RichProgress, console
    from pipeline.stages.embed import EmbedOptions
    from pipeline.stages.embed import embed as run

    options = EmbedOptions(
        work=work,
        images=images,
        samples=samples,
        network=network,
        checkpoint=checkpoint,
        onnx=onnx,
        table=table,
        name=name,
        trained_on=trained_on,
        per=per.value,
        side=side,
        device=device.value,
        **({} if jobs is None else {"jobs": jobs}),
    )
    done = run(options, RichProgress())
    console.print(f"{done.pictures} pictures, {done.columns} columns: {done.path}", soft_wrap=True)
    console.print(f"Its network was trained on: {done.training}", markup=False, soft_wrap=True)
    if done.constant:
        console.print(f"{len(done.constant)} constant columns left out: {', '.join(done.constant[:5])} …")
    if done.problems:
        console.print(f"{len(done.problems)} pictures skipped or without a row: {work / 'problems.csv'}")
    console.print(
        f"Next: python run.py train --labels LABELS --work {work} --embeddings {done.path}", soft_wrap=True
    )
