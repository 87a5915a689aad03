"""What networks' sets of locations say together."""

import numpy as np

from models.agreement import agreement, agreement_columns

SETS = np.array(
    [
        [[1, 0, 0], [1, 1, 0], [1, 1, 0]],
        [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    ],
    dtype=bool,
)


def columns(sets: np.ndarray = SETS) -> dict[str, list[float]]:
    return agreement_columns(agreement(sets), ["a", "b", "c"], ["x", "y", "z"]).to_dict("list")


def test_sets_are_counted_and_compared() -> None:
    found = columns()
    assert found["size b"] == [2, 0, 1]
    assert found["named by any"] == [2, 0, 3]
    assert found["named by all"] == [1, 0, 0]
    assert found["same"] == [2, 3, 1]
    assert found["distance"] == [2, 0, 6]


def test_the_commonest_set_counts_the_networks_that_share_it() -> None:
    found = columns()
    assert found["commonest y"] == [2, 0, 0]
    assert found["commonest z"] == [0, 0, 0]
    assert found["commonest x"] == [2, 0, 1]  # of three sets that occur once, the first network's


def test_the_central_set_differs_least_from_the_others() -> None:
    sets = np.array([[[1, 0, 0], [1, 1, 0], [1, 1, 1]]], dtype=bool)
    found = columns(sets)
    assert [found[f"central {name}"] for name in "xyz"] == [[1], [1], [0]]


def test_the_order_of_networks_matters_only_for_ties_and_their_own_sizes() -> None:
    rng = np.random.default_rng(0)
    sets = rng.random((40, 3, 3)) < 0.4
    one, other = columns(sets), columns(sets[:, ::-1])
    assert one["distance"] == other["distance"]
    assert one["same"] == other["same"]
    assert one["size a"] == other["size c"]
