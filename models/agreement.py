"""What networks' answers say together: how many locations each names, and how far they agree.

A network that has met the protein in training repeats its locations to the letter, and so do the
others; where networks guess, their sets differ. Trees can therefore trust the same answer more or
less, if they are told how far the whole sets agree.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Chosen = NDArray[np.bool_]


def agreement_columns(chosen: Chosen, networks: Sequence[str], locations: Sequence[str]) -> pd.DataFrame:
    """Describe every row's sets of locations beside each other.

    Parameters
    ----------
    chosen : ndarray of bool, shape (rows, networks, locations)
    networks, locations : sequence of str

    Returns
    -------
    DataFrame of float32
        ``size <network>``: locations in its set; ``named by any``, ``named by all``: locations;
        ``same``: the most networks with one and the same set; ``distance``: locations in which two networks
        differ, summed over all pairs; ``commonest <location>``: `same` if the commonest set holds the
        location, else 0 (of sets equally common, that of the first network); ``central <location>``: whether
        the set with the least distance from all others holds it.
    """
    distance = _distances(chosen)
    same = (distance == 0).sum(axis=2)
    rows = np.arange(len(chosen))
    commonest = chosen[rows, same.argmax(axis=1)]
    central = chosen[rows, distance.sum(axis=2).argmin(axis=1)]
    most = same.max(axis=1)
    numbers = {f"size {name}": chosen[:, place].sum(axis=1) for place, name in enumerate(networks)}
    numbers |= {
        "named by any": chosen.any(axis=1).sum(axis=1),
        "named by all": chosen.all(axis=1).sum(axis=1),
        "same": most,
        "distance": distance.sum(axis=(1, 2)) // 2,
    }
    for place, name in enumerate(locations):
        numbers[f"commonest {name}"] = commonest[:, place] * most
        numbers[f"central {name}"] = central[:, place]
    return pd.DataFrame(numbers, dtype=np.float32)


def _distances(chosen: Chosen) -> NDArray[np.int16]:
    """Count the locations in which two networks differ, shape (rows, networks, networks)."""
    networks = chosen.shape[1]
    distance = np.zeros((len(chosen), networks, networks), dtype=np.int16)
    for one in range(networks):
        for other in range(one):
            differ = (chosen[:, one] != chosen[:, other]).sum(axis=1)
            distance[:, one, other] = distance[:, other, one] = differ
    return distance
