"""Threshold adjacency statistics against mahotas, and by hand."""

import mahotas
import numpy as np
import pytest
from scenes import scene

from features.families.adjacency import adjacency
from features.kernels.ranks import otsu


@pytest.mark.parametrize("channel", [1, 2, 3])  # in 0 the mean is a grey level itself: rounding decides
def test_statistics_are_the_second_half_of_mahotas_backwards(channel):
    given = scene()
    plane = np.where(given.cells == 7, given.picture[channel].astype(float), -1e6)
    limit = otsu(np.sort(plane[given.cells == 7]))
    theirs = mahotas.features.pftas(plane, T=limit)[27:].reshape(3, 9)[:, ::-1]
    row = given.measured(families=["adjacency"]).loc[7]
    ours = row.to_numpy().reshape(4, 3, 9)[channel]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_neighbours_are_counted_within_the_mask_only():
    plane = np.array([[0, 0, 0, 0, 0], [0, 4, 4, 4, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]], np.float32)
    mask = plane > 0
    mask[1, 3] = False
    shares = adjacency(plane, mask, np.sort(plane[mask]).astype(float), 2.0)
    np.testing.assert_array_equal(shares[1], np.full(9, np.nan))
    plane[1, 1:3] = 5
    shares = adjacency(plane, mask, np.sort(plane[mask]).astype(float), 0.5)
    assert shares[2].tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0]


def test_a_flat_plane_has_no_ranges():
    mask = np.pad(np.ones((4, 4), bool), 1)
    assert np.isnan(adjacency(mask.astype(np.float32), mask, np.ones(16), np.inf)).all()
