"""What networks' answers say together: how many locations each names, and how far they agree.

A network that has met the protein in training repeats its locations to the letter, and so do the
others; where networks guess, their sets differ. Trees can therefore trust the same answer more or
less, if they are told how far the whole sets agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Chosen = NDArray[np.bool_]


@dataclass(frozen=True)
class Agreement:
    """How far sets of locations agree.

    Attributes
    ----------
    rows : ndarray of float32, shape (rows, networks + 4)
        Locations in each network's set; locations named by any network, and by all; the most networks with
        one and the same set; locations in which two networks differ, summed over all pairs.
    commonest : ndarray of float32, shape (rows, locations)
        That most number of networks if the commonest set holds the location, else 0 (of sets equally
        common, that of the first network).
    central : ndarray of float32, shape (rows, locations)
        Whether the set with the least distance from all others holds the location.
    """

    rows: NDArray[np.float32]
    commonest: NDArray[np.float32]
    central: NDArray[np.float32]


def agreement(chosen: Chosen) -> Agreement:
    """Compare every row's sets of locations; `chosen` has shape (rows, networks, locations)."""
    distance = _distances(chosen)
    same = (distance == 0).sum(axis=2)
    rows = np.arange(len(chosen))
    commonest = chosen[rows, same.argmax(axis=1)]
    central = chosen[rows, distance.sum(axis=2).argmin(axis=1)]
    most = same.max(axis=1)
    named = [chosen.any(axis=1).sum(axis=1), chosen.all(axis=1).sum(axis=1)]
    numbers = np.column_stack([chosen.sum(axis=2), *named, most, distance.sum(axis=(1, 2)) // 2])
    return Agreement(
        numbers.astype(np.float32),
        (commonest * most[:, None]).astype(np.float32),
        central.astype(np.float32),
    )


def agreement_columns(found: Agreement, networks: Sequence[str], locations: Sequence[str]) -> pd.DataFrame:
    """Lay out the numbers of `Agreement` as columns.

    Returns
    -------
    DataFrame of float32
        ``size <network>``, ``named by any``, ``named by all``, ``same``, ``distance``; per location
        ``commonest <location>`` and ``central <location>``.
    """
    sizes = [f"size {name}" for name in networks]
    each = [f"{kind} {name}" for name in locations for kind in ("commonest", "central")]
    both = np.stack([found.commonest, found.central], axis=2).reshape(len(found.rows), -1)
    names = [*sizes, "named by any", "named by all", "same", "distance", *each]
    return pd.DataFrame(np.hstack([found.rows, both]), columns=names)


def _distances(chosen: Chosen) -> NDArray[np.int16]:
    """Count the locations in which two networks differ, shape (rows, networks, networks)."""
    networks = chosen.shape[1]
    distance = np.zeros((len(chosen), networks, networks), dtype=np.int16)
    for one in range(networks):
        for other in range(one):
            differ = (chosen[:, one] != chosen[:, other]).sum(axis=1)
            distance[:, one, other] = distance[:, other, one] = differ
    return distance
