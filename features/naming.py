"""The column grammar: write names that parse, parse names that were written.

``region__family__output[__channel[__channel]][__statistic]``; embeddings are ``cnn__<name>__e0000``.
Every token is ``[a-z0-9]+(_[a-z0-9]+)*``, so a name is a valid identifier and splits in one way only.
"""

import re
from dataclasses import dataclass

STATISTICS = ("mean", "std", "median", "p10", "p90", "max", "beyond")
"""How the cells of a picture are summarised; a name's last token if it is one of these."""

TOKEN = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")


@dataclass(frozen=True)
class Column:
    """What a column name says.

    Attributes
    ----------
    region : str
        Where it was measured: ``cell``, ``nucleus``, ``cytoplasm``, …, ``field``, ``picture`` or ``cnn``.
    family : str
        The feature family, or the network of an embedding.
    output : str
        The quantity within the family.
    channels : tuple of str
        None, one or two channels.
    statistic : str or None
        How cells were summarised; None for a cell's own value and for what is measured once per picture.
    """

    region: str
    family: str
    output: str
    channels: tuple[str, ...] = ()
    statistic: str | None = None

    def __str__(self) -> str:
        """Return the column's name."""
        tokens = (self.region, self.family, self.output, *self.channels)
        return "__".join(tokens if self.statistic is None else (*tokens, self.statistic))


def check_token(token: str, what: str) -> str:
    """Return `token` if the grammar allows it; ValueError otherwise, naming `what` it was meant for."""
    if not TOKEN.fullmatch(token):
        raise ValueError(f"{what} {token!r} must match [a-z0-9]+(_[a-z0-9]+)*")
    return token


def check_channels(channels: tuple[str, ...]) -> tuple[str, ...]:
    """Return channel names; ValueError if one breaks the grammar, occurs twice, or is a statistic's."""
    for channel in channels:
        check_token(channel, "channel")
        if channel in STATISTICS:
            raise ValueError(
                f"channel {channel!r} has the name of a statistic; statistics: {', '.join(STATISTICS)}"
            )
    if len(set(channels)) != len(channels):
        raise ValueError(f"channels occur twice: {', '.join(channels)}")
    return channels


def parse(name: str) -> Column:
    """Split a column name into what it says.

    Parameters
    ----------
    name : str
        For example ``nucleus__haralick__contrast_d2__protein__p90``.

    Returns
    -------
    Column
        Its parts; ``str(parse(name)) == name``.

    Raises
    ------
    ValueError
        If the name does not follow the grammar.
    """
    tokens = name.split("__")
    statistic = tokens.pop() if len(tokens) > 3 and tokens[-1] in STATISTICS else None
    if not 3 <= len(tokens) <= 5 or not all(TOKEN.fullmatch(token) for token in tokens):
        raise ValueError(
            f"column {name!r} does not read region__family__output[__channel[__channel]][__statistic]"
        )
    return Column(tokens[0], tokens[1], tokens[2], tuple(tokens[3:]), statistic)
