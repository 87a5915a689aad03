"""Robust z-scores and sphering: what they take out, what they leave, and what they say is unknown."""

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from models.normalisation import RobustZ, Sphering, within_plates


@parametrize_with_checks([RobustZ(), Sphering(), Sphering(shrinkage=0.5)])
def test_they_are_scikit_learn_transformers(estimator, check) -> None:
    check(estimator)


def plates_of(rows: int = 300, columns: int = 4, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Make three plates that differ by a factor and an offset of every column."""
    rng = np.random.default_rng(seed)
    plates = pd.Series(np.repeat(["A", "B", "C"], rows // 3))
    values = rng.normal(size=(rows, columns))
    effects = {"A": (1, 0), "B": (3, 10), "C": (0.5, -4)}
    factors, offsets = np.array([effects[plate] for plate in plates]).T
    table = values * factors[:, None] + offsets[:, None]
    return pd.DataFrame(table, columns=[f"c{k}" for k in range(columns)]), plates


def test_scores_are_those_of_medians_and_mads() -> None:
    values = np.array([[1.0], [2.0], [3.0], [4.0], [100.0]])
    assert RobustZ().fit_transform(values)[:, 0] == pytest.approx((values[:, 0] - 3) / 1.4826)


def test_a_factor_and_an_offset_of_a_plate_do_not_change_its_scores() -> None:
    table, plates = plates_of()
    every = np.ones(len(table), bool)
    plain = within_plates(table, plates, every, 2).table
    for plate in "ABC":
        moved = table.mask(np.broadcast_to(plates.eq(plate).to_numpy()[:, None], table.shape), 7 * table - 30)
        assert within_plates(moved, plates, every, 2).table.to_numpy() == pytest.approx(
            plain.to_numpy(), abs=1e-5
        )


def test_a_plate_does_not_see_the_others() -> None:
    table, plates = plates_of()
    every = np.ones(len(table), bool)
    whole = within_plates(table, plates, every, 2).table
    alone = plates.eq("B").to_numpy()
    only = within_plates(table[alone], plates[alone], every[alone], 2).table
    pd.testing.assert_frame_equal(whole[alone], only)


def test_controls_alone_say_what_zero_and_one_are() -> None:
    table, plates = plates_of(3000)
    controls = np.arange(len(table)) % 2 == 0
    treated = table + 40 * ~controls[:, None]
    scores = within_plates(treated, plates, controls, 2).table
    assert scores[controls].median().abs().max() < 1e-6
    assert (scores[~controls].to_numpy() > 5).all()
    same = within_plates(table, plates, controls, 2).table
    pd.testing.assert_frame_equal(scores[controls], same[controls])


def test_plates_with_too_few_controls_are_named_and_left_out() -> None:
    table, plates = plates_of()
    controls = plates.ne("C").to_numpy() | (np.arange(len(table)) >= 297)
    found = within_plates(table, plates, controls, 4)
    assert found.few == {"C": 3}
    assert list(found.table.index) == list(range(200))
    assert not within_plates(table, plates, controls, 3).few


def test_what_does_not_vary_is_zero_or_unknown_and_counted() -> None:
    """A constant column is 0 everywhere; what differs from constant controls has no unit, and says so."""
    table, plates = plates_of()
    table["same"] = 5.3
    table["odd"] = np.where(np.arange(300) == 7, 1.0, 0.2)
    table["empty"] = np.nan
    every = np.ones(300, bool)
    found = within_plates(table, plates, every, 2)
    assert (found.table["same"] == 0).all()
    assert found.unknown == {}
    assert found.table["empty"].isna().all()
    # most values are equal: the unit is that of the mean deviation
    assert found.table["odd"].iloc[7] == pytest.approx(100 / 1.2533, rel=1e-3)
    controls = np.arange(300) != 7
    unknown = within_plates(table, plates, controls, 2)
    assert unknown.unknown == {"odd": 1}
    assert np.isnan(unknown.table["odd"].iloc[7])
    assert (unknown.table["odd"].iloc[8:] == 0).all()


def test_a_missing_value_stays_missing_and_changes_no_other_column() -> None:
    table, plates = plates_of()
    holed = table.copy()
    holed.iloc[3, 1] = np.nan
    every = np.ones(300, bool)
    scores, plain = (within_plates(one, plates, every, 2).table for one in (holed, table))
    assert np.argwhere(scores.isna().to_numpy()).tolist() == [[3, 1]]
    pd.testing.assert_frame_equal(scores.drop(columns="c1"), plain.drop(columns="c1"))


def correlated(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, columns)) @ rng.normal(size=(columns, columns)) + 5


def test_sphered_references_have_no_correlations_and_stay_close_to_their_columns() -> None:
    values = correlated(4000, 6)
    sphered = Sphering(shrinkage=0).fit_transform(values)
    assert sphered.mean(axis=0) == pytest.approx(np.zeros(6), abs=1e-9)
    assert np.cov(sphered.T, bias=True) == pytest.approx(np.eye(6), abs=1e-9)
    own = [np.corrcoef(values[:, k], sphered[:, k])[0, 1] for k in range(6)]
    # any rotation of the sphered values is as white, but further from the columns
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
    other = sphered @ rotation
    assert np.sum(own) > np.sum(np.abs([np.corrcoef(values[:, k], other[:, k])[0, 1] for k in range(6)]))


def test_shrinkage_goes_from_sphering_to_standardising() -> None:
    values = correlated(500, 5)
    standard = (values - values.mean(0)) / values.std(0)
    assert Sphering(shrinkage=1).fit_transform(values) == pytest.approx(standard)
    strengths = [np.abs(np.corrcoef(Sphering(s).fit_transform(values).T)).sum() for s in (0, 0.1, 0.5, 1)]
    assert strengths == sorted(strengths)
    with pytest.raises(ValueError, match=r"shrinkage must be from 0 to 1, not 1\.5"):
        Sphering(1.5).fit(values)


def test_fewer_references_than_columns_do_not_blow_up_what_they_never_show() -> None:
    values = correlated(400, 60)
    few = Sphering().fit(values[:20])
    assert 0 < few.shrinkage_ < 1
    assert np.abs(few.transform(values)).max() < 100


def test_sphering_takes_out_what_controls_share_and_keeps_what_they_do_not() -> None:
    """A direction in which controls vary (a batch) shrinks beside one in which only others do."""
    rng = np.random.default_rng(0)
    batch, effect = np.eye(8)[0] + np.eye(8)[1], np.eye(8)[0] - np.eye(8)[1]
    controls = rng.normal(size=(300, 1)) * 10 * batch + rng.normal(size=(300, 8))
    sphering = Sphering().fit(controls)
    zero, moved, shifted = sphering.transform([np.zeros(8), 5 * effect, 5 * batch])
    assert np.linalg.norm(moved - zero) > 3 * np.linalg.norm(shifted - zero)


def test_unknown_and_constant_columns_become_zero_in_sphering() -> None:
    values = correlated(100, 4)
    values[:, 2] = 3.0
    values[5, 0] = np.nan
    sphered = Sphering().fit(values).transform(np.vstack([values, values[:1] + 1]))
    assert np.isfinite(sphered).all()
    assert (sphered[:, 2] == 0).all()
