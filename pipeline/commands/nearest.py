"""The command `nearest`."""

from pipeline.commands.console import say, show_table, written
from pipeline.commands.options import command
from pipeline.stages.options import NearestOptions


@command(NearestOptions)
def nearest(options: NearestOptions) -> None:
    """Show the labelled pictures that a network sees as most like one picture.

    They are the network's evidence: look at them beside the picture and judge whether they show the same.
    The similarity is 1 for the same embedding and 0 for no more alike than by chance.

    Example: python run.py nearest --id protein_00003_1 --embeddings demo/work/embeddings/builtin.parquet
    --labels demo/data/labels.csv --work demo/work --images demo/data/images --sheet nearest.png
    """
    from pipeline.stages.nearest import nearest as run

    found = run(options)
    rows = [
        (row["Id"], row["locations"], row["group"], f"{row['similarity']:.3f}")
        for row in found.table.to_dict("records")
    ]
    show_table(("picture", "locations", "group", "similarity"), rows, words=3)
    votes = ", ".join(f"{name} {share:.2f}" for name, share in found.votes.items())
    say(f"Share of the similarity: {votes or 'none is alike'}")
    if options.sheet is not None:
        written(options.sheet)
