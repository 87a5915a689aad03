"""Pictures, label images and tables of cells in a folder that napari shows by one command."""

import shutil
from pathlib import Path

import pandas as pd

from pipeline.data.masks import Segmentation
from pipeline.data.pictures import Picture
from pipeline.exchange import open_in_napari

SCRIPT = "open_in_napari.py"


def write_napari(folder: Path, picture: Picture, segmentation: Segmentation, cells: pd.DataFrame) -> None:
    """Write one picture: ``<channel>.tif``, ``cells.tif``, ``nuclei.tif`` and ``features.csv``.

    Parameters
    ----------
    cells : DataFrame
        What is known of the cells; the index is their labels, which napari looks for in a column ``index``.
    """
    import tifffile

    folder.mkdir(parents=True)
    for channel in picture.channels:
        tifffile.imwrite(folder / f"{channel}.tif", picture.plane(channel), compression="zlib")
    for name, labels in (("cells", segmentation.cells), ("nuclei", segmentation.nuclei)):
        tifffile.imwrite(folder / f"{name}.tif", labels, compression="zlib")
    cells.rename_axis("index").to_csv(folder / "features.csv", lineterminator="\n")


def write_script(folder: Path) -> None:
    """Write the script that opens them."""
    shutil.copyfile(str(open_in_napari.__file__), folder / SCRIPT)
