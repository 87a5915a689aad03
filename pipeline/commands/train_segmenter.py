"""The command `train-segmenter`."""

from pipeline.commands.console import RichProgress, say
from pipeline.commands.options import command
from pipeline.stages.options import TrainSegmenterOptions


@command(TrainSegmenterOptions)
def train_segmenter(options: TrainSegmenterOptions) -> None:
    """Train a Cellpose network on annotated fields, or fine-tune one to your own microscope.

    With ten fields or more, every fifth of each type is kept for testing and scored in the end. Killed
    and run again, training goes on at its last checkpoint.

    To fine-tune: correct some of the masks that `extract` wrote (any editor of TIFFs), put them in a
    folder, and give the weights that made them with --from; shipped:nuclei and shipped:cells come with the
    project. Then extract with --nuclei-weights (or --cell-weights) my.safetensors.

    Example: python run.py train-segmenter nuclei --images fields --labels fields --output my.safetensors
    --from shipped:nuclei --steps 200
    """
    from pipeline.stages.train_segmenter import train_segmenter as run

    card = run(options, RichProgress())
    scores = ", ".join(f"{name} {value:.3f}" for name, value in card.scores.items())
    told = f"on the fields kept for testing: {scores}" if scores else "too few fields to test"
    say(f"{options.output}: {card.objects}, {card.steps:,} steps; {told}")
