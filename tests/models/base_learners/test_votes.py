"""What networks' sets of locations say together."""

import numpy as np

from models.base_learners.votes import Votes, certain, log_odds_of, means, scaled

SETS = np.array(
    [
        [[1, 0, 0], [1, 1, 0], [1, 1, 0]],
        [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    ],
    dtype=bool,
)


def columns(sets: np.ndarray = SETS) -> dict[str, list[float]]:
    votes = Votes(sets.astype(np.float32))
    names = ["size a", "size b", "size c", "named by any", "named by all", "same", "distance"]
    found = dict(zip(names, votes.agreement.T.tolist(), strict=True))
    for number, name in enumerate("xyz"):
        found[f"commonest {name}"], found[f"central {name}"] = votes.consensus[:, number].T.tolist()
    return found


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


def test_probabilities_are_scaled_in_order_and_votes_take_the_surest_for_certain() -> None:
    some = np.array([[0.0, 1e-5, 1e-4, 0.01, 0.5, 0.9, 0.99999, 1.0, np.nan]], np.float32)
    values = scaled(some)[0]
    assert (np.diff(values[:-1]) > 0).all()
    assert values[[0, 4, 7]].tolist() == [-0.5, 0.5, 1.5]
    np.testing.assert_allclose(log_odds_of(values[3:6]), [-np.log(99), 0, np.log(9)], rtol=1e-5, atol=1e-6)
    assert np.isnan(values[8])
    known = certain(scaled(some[:, :8]))
    assert known[0, [0, 1, 2, 6, 7]].tolist() == [0, 0, 0, 1, 1]
    assert (Votes.of(scaled(some[:, :8]), np.zeros(8, np.float32)).values[0, 0] == known[0]).all()


def test_a_silent_network_is_replaced_by_the_others_and_a_silent_row_by_other_rows() -> None:
    nan = np.nan
    table = np.array([[1, 0, nan, nan], [nan, nan, nan, nan], [1, 1, 0, 0]], np.float32)
    unknown = means(table, 2)
    assert unknown.tolist() == [np.float32(2 / 3), np.float32(1 / 3)]
    values = Votes.of(table, unknown).values
    assert values[0].tolist() == [[1, 0], [1, 0]]
    assert values[1].tolist() == [unknown.tolist()] * 2
    assert values[2].tolist() == [[1, 1], [0, 0]]
    assert not np.isnan(Votes.of(np.full((2, 4), nan, np.float32), means(table[:0], 2)).columns()).any()
