"""The names of columns as CellProfiler and the programs around it write them, and the way back to ours.

``Cells_Intensity_MeanIntensity_protein``: what was measured, by its object, CellProfiler's group of
measurements, the measurement and the channels. A measurement bears CellProfiler's name only where it is
CellProfiler's; else it keeps ours.
"""

from collections.abc import Iterable

import pandas as pd

from features.naming import Column, parse

COMPARTMENTS = {"cell": "Cells", "nucleus": "Nuclei", "cytoplasm": "Cytoplasm"}
"""Objects of CellProfiler by our regions; other parts of a cell count as its."""

OF_PICTURES = ("field", "foreground", "picture")
"""Regions that are measured once a picture."""

GROUPS = {
    "colocalization": "Correlation",
    "haralick": "Texture",
    "lbp": "LBP",
    "morphology": "AreaShape",
    "neighbours": "Neighbors",
    "radial": "RadialDistribution",
}
"""CellProfiler's groups of measurements by our families; others are called as they are."""

_INTENSITY = {
    "integrated": "IntegratedIntensity",
    "mean": "MeanIntensity",
    "std": "StdIntensity",
    "minimum": "MinIntensity",
    "maximum": "MaxIntensity",
    "quantile_25": "LowerQuartileIntensity",
    "quantile_50": "MedianIntensity",
    "quantile_75": "UpperQuartileIntensity",
    "mad": "MADIntensity",
    "mass_displacement": "MassDisplacement",
    "edge_mean": "MeanIntensityEdge",
    "edge_std": "StdIntensityEdge",
}
_SHAPE = {
    "area": "Area",
    "perimeter": "Perimeter",
    "major_axis": "MajorAxisLength",
    "minor_axis": "MinorAxisLength",
    "eccentricity": "Eccentricity",
    "solidity": "Solidity",
    "extent": "Extent",
    "form_factor": "FormFactor",
    "equivalent_diameter": "EquivalentDiameter",
    "euler_number": "EulerNumber",
    **{f"hu_{order}": f"HuMoment_{order - 1}" for order in range(1, 8)},
}
_PAIRS = {"pearson": "Correlation", "slope": "Slope"}
_ONE_OF_A_PAIR = {"manders": "Manders", "rank_weighted": "RWC", "costes": "Costes"}
"""Of what has a value for each of two channels, CellProfiler names the channel first that it is of."""

CELLPROFILER = {
    **{("intensity", ours): f"Intensity_{theirs}_{{0}}" for ours, theirs in _INTENSITY.items()},
    **{("morphology", ours): f"AreaShape_{theirs}" for ours, theirs in _SHAPE.items()},
    **{
        ("zernike", f"shape_{n}_{m}"): f"AreaShape_Zernike_{n}_{m}"
        for n in range(10)
        for m in range(n % 2, n + 1, 2)
    },
    **{("colocalization", ours): f"Correlation_{theirs}_{{0}}_{{1}}" for ours, theirs in _PAIRS.items()},
    **{
        ("colocalization", f"{ours}_{one}"): f"Correlation_{theirs}_{channels}"
        for ours, theirs in _ONE_OF_A_PAIR.items()
        for one, channels in ((1, "{0}_{1}"), (2, "{1}_{0}"))
    },
}
"""By family and output, the names of measurements that are CellProfiler's; lengths are in µm where known."""

_COUNTS = {"picture__population__cells": "Image_Count_Cells"}


def exported(name: str) -> str:
    """Return what one of our columns is called in other programs.

    Parameters
    ----------
    name : str
        ``region__family__output[__channel[__channel]][__statistic]``.

    Returns
    -------
    str
        ``<Cells, Nuclei, Cytoplasm or Image>_<group>[_<region>]_<output>[_<channels>][_<statistic>]``.

    Raises
    ------
    ValueError
        If the name does not follow the grammar.
    """
    return _COUNTS.get(name) or _exported(parse(name))


def _exported(column: Column) -> str:
    owner = "Image" if column.region in OF_PICTURES else COMPARTMENTS.get(column.region, "Cells")
    if _is_cellprofilers(column):
        words = [CELLPROFILER[column.family, column.output].format(*column.channels)]
    else:
        group = GROUPS.get(column.family, column.family.replace("_", " ").title().replace(" ", ""))
        inside = [] if column.region in (*COMPARTMENTS, "field", "picture") else [column.region]
        words = [group, *inside, column.output, *column.channels]
    return "_".join([owner, *words, *filter(None, [column.statistic])])


def _is_cellprofilers(column: Column) -> bool:
    return column.region in COMPARTMENTS and (column.family, column.output) in CELLPROFILER


def is_feature(name: str) -> bool:
    """Say whether a column of a table of cells or pictures is a feature."""
    try:
        parse(name)
    except ValueError:
        return False
    return True


def name_table(columns: Iterable[str]) -> pd.DataFrame:
    """List what columns are called, and what their names say.

    Returns
    -------
    DataFrame
        Index ``name`` (theirs); columns ``column`` (ours), ``region, family, output, channels,
        statistic``, and ``is_cellprofilers``: whether CellProfiler measures the same.

    Raises
    ------
    ValueError
        If two columns would have one name.
    """
    rows = []
    for name in columns:
        part = parse(name)
        rows.append(
            {
                "name": exported(name),
                "column": name,
                "region": part.region,
                "family": part.family,
                "output": part.output,
                "channels": " ".join(part.channels),
                "statistic": part.statistic or "",
                "is_cellprofilers": _is_cellprofilers(part),
            }
        )
    table = pd.DataFrame(rows).set_index("name")
    twice = table.index[table.index.duplicated()]
    if len(twice):
        raise ValueError(
            f"two columns would be called '{twice[0]}': " + ", ".join(table.loc[twice[0], "column"])
        )
    return table
