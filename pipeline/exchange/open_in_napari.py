"""Show exported pictures in napari, with their cells and what was measured of each.

    python open_in_napari.py [ID ...]

needs napari (https://napari.org), and nothing of the program that wrote this folder. Hover over a cell to
read its numbers; "Layers > Visualize > Features table widget" lists all of them.
"""

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import tifffile

COLOURS = {"microtubules": "red", "protein": "green", "nucleus": "blue", "er": "yellow"}

Layer = tuple[Any, dict[str, Any], str]
"""Data, options and type of a layer, as napari takes them."""


def layers(folder: Path) -> list[Layer]:
    """Read one picture's folder.

    Parameters
    ----------
    folder : Path
        Holds ``cells.tif``, ``nuclei.tif``, ``features.csv``, whose column ``index`` is the label of the cell
        in both, and ``<channel>.tif``.

    Returns
    -------
    list of tuple
        A layer for every channel, and one each for cells and nuclei, with the table of features.
    """
    table = pd.read_csv(folder / "features.csv")
    sizes = table.get("Metadata_pixel_size_um", pd.Series(dtype=float))
    size = sizes.dropna()[:1].tolist() or [1.0]
    shown: list[Layer] = []
    for channel, colour in COLOURS.items():
        path = folder / f"{channel}.tif"
        if path.is_file():
            plane = tifffile.imread(path)
            limits = (float(plane.min()), max(float(plane.max()), float(plane.min()) + 1e-6))
            options = {"name": channel, "colormap": colour, "blending": "additive", "contrast_limits": limits}
            shown.append((plane, options | {"scale": size * 2}, "image"))
    for name in ("cells", "nuclei"):
        labels = tifffile.imread(folder / f"{name}.tif")
        shown.append((labels, {"name": name, "features": table, "scale": size * 2, "opacity": 0.4}, "labels"))
    return shown


def main() -> None:
    """Open the pictures that are named, or the first one."""
    import napari

    here = Path(__file__).parent
    known = sorted(path.parent.name for path in here.glob("*/features.csv"))
    viewer = napari.Viewer()
    for name in sys.argv[1:] or known[:1]:
        for data, options, kind in layers(here / name):
            getattr(viewer, f"add_{kind}")(data, **options)
    napari.run()


if __name__ == "__main__":
    main()
