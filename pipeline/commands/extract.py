"""The command `extract`."""

from typing import Annotated

import typer

from pipeline.commands.options import Images, Jobs, Samples, Work


def extract(
    images: Images,
    work: Work,
    samples: Samples = None,
    segmenter: Annotated[
        str,
        typer.Option(help="cellpose (its weights come with the project), or watershed, without a network."),
    ] = "cellpose",
    families: Annotated[
        str | None, typer.Option(help="Feature families to measure, separated by commas; all unless given.")
    ] = None,
    nuclei_weights: Annotated[
        str | None,
        typer.Option(
            help="For cellpose: a file of weights or an official name in its cache, if not the shipped ones."
        ),
    ] = None,
    cell_weights: Annotated[str | None, typer.Option(help="The same, for whole cells.")] = None,
    nuclei_diameter: Annotated[
        float | None,
        typer.Option(min=1, help="For cellpose: diameter of nuclei in pixels; estimated once unless given."),
    ] = None,
    cell_diameter: Annotated[float | None, typer.Option(min=1, help="The same, of whole cells.")] = None,
    device: Annotated[str | None, typer.Option(help="For cellpose: cpu (the default) or cuda.")] = None,
    strict: Annotated[bool, typer.Option(help="Exit with status 1 if any sample was skipped.")] = False,
    jobs: Jobs = None,
) -> None:
    """Find cells and nuclei in every picture and measure them.

    Writes `masks/<Id>.tif` (page 1 cells, page 2 nuclei), cells.parquet, features.parquet, and problems.csv
    with every sample that was skipped and what would mend it. Killed and run again, it goes on where
    it was; run again without changes, it does nothing.

    Example: python run.py extract --images demo/data/images --work demo/work
    """
    from pipeline.commands.console import RichProgress, console
    from pipeline.stages.extract import ExtractOptions
    from pipeline.stages.extract import extract as run

    given = {
        "nuclei_weights": nuclei_weights,
        "cell_weights": cell_weights,
        "nuclei_diameter": nuclei_diameter,
        "cell_diameter": cell_diameter,
        "device": device,
    }
    options = ExtractOptions(
        images=images,
        samples=samples,
        work=work,
        segmenter=segmenter,
        segmenter_options={name: value for name, value in given.items() if value is not None},
        families=tuple(families.split(",")) if families else None,
        **({} if jobs is None else {"jobs": jobs}),
    )
    summary = run(options, RichProgress())
    done = f"{summary.measured} measured now" if summary.measured else "nothing to do: all up to date"
    console.print(f"{summary.pictures} pictures, {summary.cells} cells ({done}): {work / 'features.parquet'}")
    if summary.problems:
        console.print(f"{len(summary.problems)} skipped, with reason and remedy: {work / 'problems.csv'}")
        for problem in summary.problems[:3]:
            console.print(
                f"  {problem.sample}: {problem.file}: {problem.reason}; {problem.remedy}", markup=False
            )
        if strict:
            raise typer.Exit(1)
