"""The command `features`: what is measured, in words."""

from rich.box import SIMPLE
from rich.table import Table

from pipeline.commands.command_line import command
from pipeline.commands.console import made, print_table, say
from pipeline.core.errors import PipelineError
from pipeline.core.names import near
from pipeline.stages.options import FeaturesOptions

Row = tuple[str, ...]


@command(FeaturesOptions)
def features(options: FeaturesOptions) -> None:
    """List the families of features that `extract` measures, one family's outputs, or explain one column.

    Every column reads `region__family__output[__channel[__channel]][__statistic]`.

    Example: `python run.py features --family radial`

    Example: `python run.py features --column nucleus__haralick__contrast_d2__protein__p90`
    """
    import features as library

    try:
        if options.column is not None:
            words = library.describe(options.column)
            made({"column": options.column, "words": words})
            say(words)
            return
        header, rows = _outputs(options.family) if options.family else _families()
    except ValueError as error:
        typed = options.column or options.family or ""
        known = library.picture_columns() if options.column else library.family_versions()
        meant = " or ".join(near(typed, known))
        raise PipelineError(f"{error}; did you mean {meant}?" if meant else str(error)) from error
    made([dict(zip(header, row, strict=True)) for row in rows])
    if options.markdown:
        for row in (header, ("---",) * len(header), *rows):
            say(f"| {' | '.join(row)} |")
        return
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    for number, name in enumerate(header):
        table.add_column(name, no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    print_table(table)


def _families() -> tuple[Row, list[Row]]:
    """Summarise the families: what, where, and how many numbers."""
    import features as library

    header = ("family", "numbers per cell", "what it is", "regions")
    table = library.summary()[["family", "per_cell", "description", "regions"]]
    return header, [tuple(str(value) for value in row) for row in table.itertuples(index=False)]


def _outputs(family: str) -> tuple[Row, list[Row]]:
    """List one family's outputs with unit and words, and its sources."""
    import features as library

    table = library.catalogue([family])
    outputs = table.groupby(["output", "unit", "description"], sort=False)["region"]
    rows: list[Row] = [(*map(str, about), ", ".join(regions)) for about, regions in outputs]
    rows += [("source", "", str(source), "") for source in table["source"].unique()]
    return ("output", "unit", "what it is", "regions"), rows
