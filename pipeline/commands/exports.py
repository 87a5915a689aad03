"""The command `export`."""

from pipeline.commands.command_line import command
from pipeline.commands.console import RichProgress, made, say, some, written
from pipeline.core.names import counted
from pipeline.core.stage import execute
from pipeline.core.workspace import Workspace
from pipeline.stages.exchange_options import ExportOptions

OPENED_BY = {
    "anndata": "adata = anndata.read_h5ad('{out}'); scanpy.pp.scale(adata); scanpy.pp.pca(adata)",
    "cellprofiler": "CellProfiler Analyst, CytoTable (preset cellprofiler_csv), or any spreadsheet: {out}",
    "cytotable": "profiles = pandas.read_parquet('{out}'); pycytominer.normalize(profiles)",
    "omezarr": "napari {out}/<Id>.ome.zarr (with the plugin napari-ome-zarr), or Fiji, QuPath, vizarr",
    "napari": "python {out}/open_in_napari.py <Id>",
}


@command(ExportOptions)
def export(options: ExportOptions) -> None:
    """Write what `extract` measured in the files of other programs.

    **anndata**: one `.h5ad` for scanpy. **cytotable**: one `.parquet` for pycytominer. **cellprofiler**: the
    csv tables of CellProfiler's ExportToSpreadsheet. **omezarr**: every picture with its cells as OME-Zarr.
    **napari**: a folder that napari shows, with what was measured of each cell.

    Columns are called as in CellProfiler, such as `Cells_Intensity_MeanIntensity_protein`; `columns.csv`
    (`var` in anndata) says which column of this program each one is. anndata and omezarr need the packages
    of requirements_export.txt.

    Example: python run.py export cytotable --work demo/work --out demo/cells.parquet

    Example: python run.py export napari --work demo/work --out demo/napari --id protein_00003_1
    """
    from pipeline.stages.export import Export

    done = execute(Export(), options, RichProgress())
    made(done)
    what = f"{counted(done.rows, options.per)}, {counted(done.features, 'feature')}"
    if done.pictures:
        what = f"{counted(done.pictures, 'picture')}, {what}"
    if done.fresh:
        written(options.out, what)
    else:
        say(f"Up to date: {options.out} ({what})")
    if done.left_out:
        say(f"{counted(done.left_out, 'feature')} without any value left out")
    if done.problems:
        say(f"{len(done.problems):,} skipped, with reason and remedy: {Workspace(options.work).problems}")
        some([f"{one.sample}: {one.told}" for one in done.problems])
    say(f"Open it: {OPENED_BY[options.format].format(out=options.out)}")
