"""One trained stack, shared by the tests of this folder."""

import pandas as pd
import pytest

from models.stacking import StackedLocations
from tests.models.tables import Tables, make_predictions, make_tables


@pytest.fixture(scope="session")
def tables() -> Tables:
    return make_tables()


@pytest.fixture(scope="session")
def stack(tables: Tables) -> StackedLocations:
    return StackedLocations().fit(tables.X, tables.Y, tables.fold)


@pytest.fixture(scope="session")
def joined(tables: Tables) -> pd.DataFrame:
    """All blocks' columns side by side, as a prediction needs them."""
    return pd.concat(list(tables.X.values()), axis=1)


@pytest.fixture(scope="session")
def networks() -> Tables:
    return make_predictions()


@pytest.fixture(scope="session")
def stack_of_networks(networks: Tables) -> StackedLocations:
    return StackedLocations(of_networks=("nets",)).fit(networks.X, networks.Y, networks.fold)
