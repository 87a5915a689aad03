"""The command `train-cnn`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.embed import Device
from pipeline.commands.options import Images, Jobs, Samples, Work


class LossName(StrEnum):
    """What a network is trained to make small."""

    bce = "bce"
    focal = "focal"


def train_cnn(
    images: Images,
    labels: Annotated[Path, typer.Option(help="csv table Id,Target, as for train.", show_default=False)],
    work: Work,
    samples: Samples = None,
    groups: Annotated[
        Path | None, typer.Option(help="csv table Id,group, as for train: the same gives the same folds.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the block of columns and of its networks.")] = "cnn",
    network: Annotated[
        str, typer.Option(help="densenet121, resnet18, resnet34, resnet50 or compact, the fastest.")
    ] = "densenet121",
    side: Annotated[int, typer.Option(min=32, help="Side in pixels that pictures are brought to.")] = 384,
    crop: Annotated[int, typer.Option(min=32, help="Side of the random views it is trained on.")] = 288,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the pictures, at most.")] = 30,
    patience: Annotated[
        int, typer.Option(min=1, help="Epochs without a better validation log-loss before it stops.")
    ] = 8,
    batch: Annotated[int, typer.Option(min=2, help="Pictures in a step.")] = 32,
    learning_rate: Annotated[
        float, typer.Option(help="Highest learning rate of the cosine schedule.")
    ] = 2e-3,
    loss: Annotated[LossName, typer.Option(help="bce, or focal: both weigh rare locations.")] = LossName.bce,
    folds: Annotated[int, typer.Option(min=3, help="As for train.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="As for train; also of the networks.")] = 0,
    device: Annotated[Device, typer.Option(help="cpu or cuda.")] = Device.cpu,
    jobs: Jobs = None,
) -> None:
    """Train networks on your pictures: one without each fold of the stack, and one on everything.

    Run extract first, and train afterwards with the same labels, groups, folds and seed. Each picture's
    log-odds in `embeddings/<name>.parquet` come from the network that did not see its fold, so train
    accepts them; predict uses the network of everything. Killed and run again, it goes on at the last
    finished epoch.

    Example: python run.py train-cnn --images demo/data/images --labels demo/data/labels.csv --work demo/work
    --network compact
    """
    from pipeline.commands.console import RichProgress, console
    from pipeline.networks.training import CnnHyperparameters
    from pipeline.stages.train_cnn import TrainCnnOptions
    from pipeline.stages.train_cnn import train_cnn as run

    options = TrainCnnOptions(
        images=images,
        samples=samples,
        labels=labels,
        groups=groups,
        work=work,
        folds=folds,
        seed=seed,
        name=name,
        device=device.value,
        settings=CnnHyperparameters(
            network=network,
            side=side,
            crop=crop,
            epochs=epochs,
            patience=patience,
            batch=batch,
            learning_rate=learning_rate,
            loss=loss.value,
        ),
        **({} if jobs is None else {"jobs": jobs}),
    )
    done = run(options, RichProgress())
    shown = ", ".join(f"{value:.3f}" for value in done.losses)
    console.print(f"{done.pictures} pictures, {done.folds} folds, {len(done.locations)} locations")
    console.print(f"Validation log-loss of each fold's network: {shown}")
    console.print(f"Out-of-fold log-odds: {done.table}", soft_wrap=True)
    console.print(f"Embeddings by the network of everything, for nearest: {done.whole}", soft_wrap=True)
    following = f"python run.py train --labels {labels} --work {work} --embeddings {done.table}"
    console.print(f"Next: {following}", soft_wrap=True)
