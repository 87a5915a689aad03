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
    "perinuclear": "in the ring of the cytoplasm around the nucleus",
    "periphery": "in the ring of the cytoplasm inside the border",
    "field": "over the whole picture at half size",
    "foreground": "over the bright foreground of the picture at half size",
}
SHAPE_WORDS = {"cell": "of the cell", "nucleus": "of the nucleus", "cytoplasm": "of the cytoplasm"}
CHANNEL_WORDS = {
    "protein": "the protein",
    "microtubules": "the microtubules",
    "nucleus": "the DNA",
    "er": "the ER",
}
COMMON = f"pixels of {COMMON_UM} µm where the pixel size is known"
STATISTIC_WORDS = {
    "mean": "mean",
    "std": "standard deviation",
    "median": "median",
    "p10": "10th percentile",
    "p90": "90th percentile",
    "max": "maximum",
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
            "description": output.words,
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
    words = feature.outputs[parts.output].words
    words = f"{words}{_about(parts.channels)} {_where(feature, parts.region)}"
    unit = UNITS[feature.outputs[parts.output].unit]
    words = words if unit == "1" else f"{words}, in {unit}"
    words = f"{words} ({COMMON})" if feature.resampled and " px" in words else words
    if parts.statistic is None:
        return words
    return f"{STATISTIC_WORDS[parts.statistic]} over the picture's cells of {words}"


def _of_network(parts: Column) -> str:
    """Say what a column of an embedding holds: a number of it, or a network's own answer."""
    output, _, top = parts.output.partition("_top")
    if output.startswith("logit_"):
        location = output.removeprefix("logit_").replace("_", " ")
        words = f"the log-odds of {location} by the network {parts.family}"
    elif output.startswith("e") and output[1:].isdecimal():
        words = f"number {int(output[1:])} of the embedding of the network {parts.family}"
    else:
        words = f"{output} of the network {parts.family}"
    if top:
        return f"mean of the {top} largest over the picture's cells of {words}"
    if parts.statistic is None:
        return words
    return f"{STATISTIC_WORDS[parts.statistic]} over the picture's cells of {words}"


def _registered(parts: Column) -> Feature:
    """Find the feature that a column is an output of."""
    for feature in REGISTRY:
        if (feature.family, parts.output in feature.outputs) == (parts.family, True):
            subjects = {"shape": 0, "channel": 1, "pair": 2}[feature.per]
            if parts.region in feature.regions and len(parts.channels) == subjects:
                return feature
    raise ValueError(f"column {str(parts)!r} names no registered feature; `features` lists them all")


def _about(channels: tuple[str, ...]) -> str:
    named = [CHANNEL_WORDS.get(channel, channel) for channel in channels]
    return f" of {' and '.join(named)}" if named else ""


def _where(feature: Feature, region: str) -> str:
    return (SHAPE_WORDS if feature.per == "shape" else REGION_WORDS)[region]
