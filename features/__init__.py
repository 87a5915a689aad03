"""Arrays in, named numbers out: features of cells and pictures. No files, no configuration, no networks."""

from features.aggregation import aggregate, picture_columns
from features.catalogue import catalogue, describe, family_versions, summary
from features.measurement import CHANNELS, cell_columns, measure, measure_field, touches_border
from features.naming import STATISTICS, Column, parse

__all__ = [
    "CHANNELS",
    "STATISTICS",
    "Column",
    "aggregate",
    "catalogue",
    "cell_columns",
    "describe",
    "family_versions",
    "measure",
    "measure_field",
    "parse",
    "picture_columns",
    "summary",
    "touches_border",
]
