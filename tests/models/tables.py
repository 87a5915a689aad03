"""Small tables with known structure, for tests of the stack."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from models.base_learners.votes import scaled
from models.folds import stratified_group_folds

LOCATIONS = ("Nucleoplasm", "Cytosol", "Vesicles")


@dataclass(frozen=True)
class Tables:
    """Two blocks of columns, targets, and folds over groups of two rows."""

    X: dict[str, pd.DataFrame]
    Y: pd.DataFrame
    fold: NDArray[np.int16]


def make_tables(rows: int = 90, seed: int = 0, folds: int = 3) -> Tables:
    """Make targets that the columns of both blocks predict, with some missing values."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(rows // 2, 3)).repeat(2, axis=0)
    ids = pd.Index([f"p{number:03}" for number in range(rows)], name="Id")
    Y = pd.DataFrame(latent > [0.2, 0.5, 0.9], index=ids, columns=LOCATIONS)
    features = latent @ rng.normal(size=(3, 24)) + rng.normal(size=(rows, 24))
    features[rng.random(features.shape) < 0.03] = np.nan
    vectors = latent @ rng.normal(size=(3, 6)) + rng.normal(size=(rows, 6))
    X = {
        "features": pd.DataFrame(features, index=ids, columns=[f"f{i}" for i in range(24)]),
        "net": pd.DataFrame(vectors, index=ids, columns=[f"e{i}" for i in range(6)]),
    }
    groups = pd.Series(np.arange(rows) // 2)
    return Tables(X, Y, stratified_group_folds(Y.to_numpy(), groups, folds))


def make_predictions(rows: int = 300, seed: int = 0) -> Tables:
    """Make predictions of three networks that see the truth through noise of their own, as the only block."""
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"p{number:03}" for number in range(rows)], name="Id")
    truth = rng.random((rows, 3)) < [0.5, 0.3, 0.15]
    log_odds = 3 * truth[:, None, :] - 1.5 + rng.normal(0, 1.6, (rows, 3, 3))
    names = [f"{network} {location}" for network in "abc" for location in LOCATIONS]
    outputs = pd.DataFrame(scaled(expit(log_odds)).reshape(rows, -1), index=ids, columns=names)
    fold = stratified_group_folds(truth, pd.Series(np.arange(rows)), 3)
    return Tables({"nets": outputs}, pd.DataFrame(truth, index=ids, columns=LOCATIONS), fold)
