"""The registry in words: versions, the table of features, and what a single column means."""

import sys
from collections.abc import Mapping, Sequence

import pandas as pd

from features.aggregation import POPULATION
from features.inputs import COMMON_UM
from features.measurement import CHANNELS, columns, selected
from features.naming import Column, parse
from features.registry import REGISTRY, UNITS, Feature

REGION_WORDS = {
    "cell": "in the cell",
    "nucleus": "in the nucleus",
    "cytoplasm": "in the cytoplasm",
    "perinuclear": "in the perinuclear ring",
    "periphery": "in the peripheral ring",
    "field": "in the whole picture at half resolution",
    "foreground": "in the foreground of the picture at half resolution",
}
FAMILY_WORDS = {
    "adjacency": "fine texture (threshold adjacency)",
    "colocalization": "colocalization",
    "division": "signs of cell division",
    "edges": "edges",
    "filaments": "filaments",
    "filters": "texture by scale (filter energies)",
    "granules": "dots, clumps, rings, rods and discs",
    "granularity": "grain size (granularity)",
    "haralick": "texture (Haralick)",
    "intensity": "intensity",
    "lbp": "fine texture (local binary patterns)",
    "morphology": "size and shape",
    "neighbours": "contact with neighbouring cells",
    "nucleoli": "nucleolus-like bodies",
    "objects": "bright spots and objects",
    "outline": "roughness of the outline",
    "places": "distance from nucleus, border and centrosome",
    "population": "number of cells and how they vary",
    "radial": "radial distribution",
    "relations": "correlation with other channels by scale",
    "rods": "rods and rings",
    "topology": "connectedness (Euler number)",
    "zernike": "coarse pattern (Zernike moments)",
    "zones": "coarse texture (runs and zones)",
}
"""What each family is about, in a few words: for lists and plots. A new family is called by its name."""
CHANNEL_WORDS = {"protein": "protein", "microtubules": "microtubules", "nucleus": "DNA", "er": "ER"}
COMMON = f"pixels of {COMMON_UM} µm where the pixel size is known"
STATISTIC_WORDS = {
    "mean": "mean over cells",
    "std": "standard deviation over cells",
    "median": "median over cells",
    "p10": "10th percentile over cells",
    "p90": "90th percentile over cells",
    "max": "maximum over cells",
    "beyond": "share of cells far above the median",
}


def family_versions() -> Mapping[str, int]:
    """Return the version of every family: it grows whenever one of its functions is added or changed."""
    versions: dict[str, int] = {}
    for feature in REGISTRY:
        versions[feature.family] = versions.get(feature.family, 0) + feature.version
    return versions


def catalogue(families: Sequence[str] | None = None) -> pd.DataFrame:
    """List the features of some families, of all if None.

    Returns
    -------
    DataFrame
        One row per output and region: family, region, output, per, unit, scale (of the pixels that
        it is counted in), description, source, invariances.

    Raises
    ------
    ValueError
        If a family is unknown.
    """
    rows = [
        {
            "family": feature.family,
            "region": region,
            "output": name,
            "per": feature.per,
            "unit": UNITS[output.unit],
            "scale": COMMON if feature.resampled else "the picture's own pixels",
            "description": _phrase(feature, output.words, GENERIC[feature.per]),
            "source": feature.source,
            "invariances": ", ".join(sorted(output.invariances)),
        }
        for feature in selected(families)
        for region in feature.regions
        for name, output in feature.outputs.items()
    ]
    return pd.DataFrame(rows)


def summary() -> pd.DataFrame:
    """List the families.

    Returns
    -------
    DataFrame
        One row per family: family, description (the first line of its module), regions, per, and the
        numbers it gives per cell and per field with the usual four channels.
    """
    table = catalogue()
    rows = []
    for family, outputs in table.groupby("family", sort=False):
        module = next(feature.function.__module__ for feature in REGISTRY if feature.family == family)
        rows.append(
            {
                "family": family,
                "description": (sys.modules[module].__doc__ or "").partition("\n")[0],
                "regions": ", ".join(dict.fromkeys(outputs["region"])),
                "per": ", ".join(dict.fromkeys(outputs["per"])),
                "per_cell": len(columns([str(family)], CHANNELS, of_field=False)),
                "per_field": len(columns([str(family)], CHANNELS, of_field=True)),
            }
        )
    return pd.DataFrame(rows)


def describe(column: str) -> str:
    """Say in words what a column of cells, pictures or embeddings holds.

    Raises
    ------
    ValueError
        If the name does not parse or names no feature that is registered.
    """
    parts = parse(column)
    if parts.region == "cnn":
        return _of_network(parts)
    if parts.region == "picture" and parts.family == "population" and parts.output in POPULATION:
        return POPULATION[parts.output]
    feature = _registered(parts)
    output = feature.outputs[parts.output]
    channels = tuple(CHANNEL_WORDS.get(channel, channel) for channel in parts.channels)
    words = _over_cells(_phrase(feature, output.words, channels, parts.region), parts.statistic)
    if parts.statistic != "beyond" and UNITS[output.unit] != "1":
        words = f"{words}, in {UNITS[output.unit]}"
    return f"{words} ({COMMON})" if feature.resampled and " px" in output.words else words


GENERIC: dict[str, tuple[str, ...]] = {
    "shape": (),
    "channel": ("channel",),
    "pair": ("first channel", "second channel"),
}
"""How the catalogue calls the channels that an output is about."""


def _phrase(feature: Feature, words: str, channels: tuple[str, ...], region: str | None = None) -> str:
    """Fill in an output's words; the catalogue, which has a column of regions, asks for none."""
    if region is None:
        words = words.replace(", {where}", "").replace(" {where}", "")
    elif channels and "{" not in words:
        words += f" of {' and '.join(('{0}', '{1}')[: len(channels)])} {{where}}"
    elif not channels and len(feature.regions) > 1:
        words += f" of the {region}"
    named = [f"the {channel}" for channel in channels]
    first, second = (*channels, "", "")[:2]
    said = words.format(*named, a=first, b=second, where=REGION_WORDS.get(region or "", ""))
    return said.replace("s's ", "s' ")


def _of_network(parts: Column) -> str:
    """Say what a column of an embedding holds: a dimension of it, or a network's own prediction."""
    output, _, top = parts.output.partition("_top")
    if output.startswith("logit_"):
        location = output.removeprefix("logit_").replace("_", " ")
        words = f"log-odds of {location} by the network {parts.family}"
    elif output.startswith("e") and output[1:].isdecimal():
        words = f"dimension {int(output[1:])} of the embedding of the network {parts.family}"
    else:
        words = f"{output} of the network {parts.family}"
    return f"{words}, mean of the {top} largest over cells" if top else _over_cells(words, parts.statistic)


def _over_cells(words: str, statistic: str | None) -> str:
    return words if statistic is None else f"{words}, {STATISTIC_WORDS[statistic]}"


def _registered(parts: Column) -> Feature:
    """Find the feature that a column is an output of."""
    for feature in REGISTRY:
        there = parts.region in feature.regions and len(parts.channels) == len(GENERIC[feature.per])
        if there and feature.family == parts.family and parts.output in feature.outputs:
            return feature
    raise ValueError(f"column {str(parts)!r} names no registered feature; `features --family` lists outputs")
