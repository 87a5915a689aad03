"""What the columns of a model mean: in words, and what is alike."""

import re

from features import describe
from features.naming import parse
from models.hyperparameters import START

BY = ("feature", "family", "block", "region", "channel", "statistic")
"""What importances can be summed over."""

HANDCRAFTED = "handcrafted"
"""Block of all features that are not a network's."""

_EMBEDDED = re.compile(r"cnn__\w+?__e\d+(_|$)")
NETWORK = "network (all channels)"
"""Channels of a column that a network made."""

NOT_MEASURED = "not measured by this version; extract again"


def in_words(column: str) -> str:
    """Say what a column is; a work folder may be older than the features that this version knows."""
    region, _, network = column.partition("__")
    if region == "cnn" and "__" not in network:
        return f"the embedding of the network {network}, all its numbers"
    if column.endswith(f"__{START}"):
        return f"what the network {network.removesuffix(f'__{START}')} says of it"
    try:
        return describe(column)
    except ValueError:
        return NOT_MEASURED


def key_of(column: str, by: str) -> str:
    """Return what a column is summed under in one of `BY`."""
    parts = parse(column)
    without = NETWORK if parts.region == "cnn" else "no channel"
    keys = {
        # the numbers of an embedding mean nothing one by one; log-odds of a location do
        "feature": f"cnn__{parts.family}" if _EMBEDDED.match(column) else column,
        "family": parts.family,
        "block": parts.family if parts.region == "cnn" else HANDCRAFTED,
        "region": parts.region,
        "channel": " and ".join(parts.channels) or without,
        "statistic": parts.statistic or "no statistic",
    }
    return keys[by]
