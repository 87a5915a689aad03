"""Differences between conditions: what moved is found and nothing else, over wells and within plates."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import permutation_test, ttest_ind

from models.effects import Plan, compare, smallest_p, well_means

LOCATIONS = ["Nucleoplasm", "Nucleoli", "Cytosol", "Mitochondria", "Golgi apparatus"]


def make_wells(
    seed: int,
    *,
    proteins: int = 12,
    wells: int = 4,
    plates: int = 2,
    moved: int = 0,
    sizes: tuple[int, int] = (1, 1),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make well means of proteins of which some move from nucleoli to the cytosol; plates have effects."""
    rng = np.random.default_rng(seed)
    values, keys = [], []
    for protein in range(proteins):
        base = rng.normal(0, 1, len(LOCATIONS))
        for plate in range(plates):
            effect = rng.normal(0, 1, len(LOCATIONS))
            for condition, size in zip(("DMSO", "Drug"), sizes, strict=True):
                shift = np.array([0, -3, 3, 0, 0]) * (condition == "Drug" and protein < moved)
                noise = rng.normal(0, 0.4, (size * wells, len(LOCATIONS)))
                values.append(expit(base + effect + shift + noise))
                keys += [(f"P{protein:02}", condition, f"plate {plate}")] * (size * wells)
    return (
        pd.DataFrame(np.vstack(values), columns=LOCATIONS),
        pd.DataFrame(keys, columns=["protein", "condition", "plate"]),
    )


def compared(values: pd.DataFrame, wells: pd.DataFrame, **plan: object) -> pd.DataFrame:
    return compare(values, (values > 0.5).astype(float), wells, Plan("DMSO", **plan))


def changed(table: pd.DataFrame) -> set[tuple[str, str]]:
    return set(table.loc[table["changed"], ["protein", "location"]].itertuples(index=False, name=None))


MOVED = {("P00", "Nucleoli"), ("P00", "Cytosol")}


def test_the_protein_that_moves_is_found_with_its_size() -> None:
    values, wells = make_wells(1, moved=1)
    table = compared(values, wells)
    assert changed(table) == MOVED
    row = table.query("protein == 'P00' and location == 'Cytosol'").iloc[0]
    controls = wells["protein"].eq("P00") & wells["condition"].eq("DMSO")
    assert row["low"] < row["difference"] < row["high"]
    assert row["difference"] == pytest.approx(row["probability"] - row["probability_control"])  # balanced
    assert row["low"] > 0
    assert row["hedges_g"] > 3
    assert row["called_control"] == (values[controls] > 0.5).mean()["Cytosol"]
    assert (row["wells"], row["wells_control"]) == (8, 8)


@pytest.mark.parametrize("test", ["welch", "permutation"])
def test_the_share_of_false_discoveries_is_as_stated(test: str) -> None:
    """Where nothing moves something is named in 5 % of experiments; where some does, 5 % of it is false."""
    nothing, shares, power, covered = [], [], [], []
    for seed in range(40):
        table = compared(*make_wells(seed), test=test)
        nothing.append(table["changed"].any())
        tested = table[table["reason"] == ""]
        covered.append(((tested["low"] <= 0) & (tested["high"] >= 0)).mean())
        found = changed(compared(*make_wells(seed, moved=3), test=test))
        true = {
            (protein, location) for protein, location in found if protein < "P03" and "N" not in location[:1]
        }
        true |= {
            (protein, "Nucleoli") for protein, location in found if protein < "P03" and location == "Nucleoli"
        }
        shares.append(1 - len(true) / len(found) if found else 0.0)
        power.append(len(true) / 6)
    assert np.mean(nothing) <= 0.15  # 5 % expected: 6 or fewer of 40 in 99 % of cases
    assert np.mean(shares) <= 0.10
    assert np.mean(power) > 0.7
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_on_one_plate_it_is_welchs_test() -> None:
    values, wells = make_wells(2, proteins=1, plates=1, sizes=(2, 1))
    table = compared(values, wells)
    drug = wells["condition"].eq("Drug").to_numpy()
    known = ttest_ind(values[drug], values[~drug], equal_var=False)
    difference = values[drug].mean() - values[~drug].mean()
    error = np.sqrt(values[drug].var() / 4 + values[~drug].var() / 8)
    half = (table["high"] - table["low"]) / 2
    assert table["difference"].to_numpy() == pytest.approx(difference.to_numpy())
    # the same standard error; degrees of freedom do not depend on the spreads
    assert (half / error.to_numpy()).std() == pytest.approx(0, abs=1e-6)
    assert np.corrcoef(np.log(table["p"]), np.log(known.pvalue))[0, 1] > 0.95


def test_exchanges_are_those_of_scipy_where_there_is_one_plate() -> None:
    values, wells = make_wells(3, proteins=1, plates=1)
    table = compared(values, wells, test="permutation", least=0)
    drug = wells["condition"].eq("Drug").to_numpy()
    for name, p in zip(LOCATIONS, table["p"], strict=True):
        samples = values.loc[drug, name], values.loc[~drug, name]
        known = permutation_test(samples, lambda a, b: abs(a.mean() - b.mean()), alternative="greater")
        assert p == pytest.approx(known.pvalue)
    assert smallest_p(wells, Plan("DMSO")) == pytest.approx(2 / 70)


def test_effects_of_plates_are_no_effects_of_conditions() -> None:
    """An offset of a whole plate changes neither difference nor p, whatever the numbers of wells."""
    values, wells = make_wells(4, sizes=(2, 1))
    offset = values + 5 * wells["plate"].eq("plate 1").to_numpy()[:, None]
    for test in ("welch", "permutation"):
        plain, moved = (compared(one, wells, test=test, least=0) for one in (values, offset))
        for name in ("difference", "low", "high", "hedges_g", "p"):
            assert moved[name].to_numpy() == pytest.approx(plain[name].to_numpy())


def test_a_condition_on_plates_of_its_own_is_not_tested() -> None:
    values, wells = make_wells(5, proteins=2)
    wells["plate"] = wells["condition"]
    table = compared(values, wells)
    assert set(table["reason"]) == {"no plate has wells of both conditions"}
    assert not table["changed"].any()
    assert table["p"].isna().all()


def test_too_few_wells_and_rare_locations_are_not_tested() -> None:
    values, wells = make_wells(6, proteins=2, wells=1)
    table = compared(values, wells)
    assert set(table["reason"]) == {"fewer than 3 wells of a condition in plates that have both"}
    assert (compared(values, wells, minimum=2)["reason"] == "").all()
    values, wells = make_wells(6)
    values["Nucleoli"] *= 0.04
    table = compared(values, wells)
    assert set(table.query("location == 'Nucleoli'")["reason"]) == {"mean probability below 0.05"}
    assert set(table.query("location == 'Cytosol'")["reason"]) == {""}


def test_wells_that_are_all_alike_show_a_change_that_is_there_and_none_that_is_not() -> None:
    values, wells = make_wells(7, proteins=3)
    values[:] = 0.1
    values.loc[wells["protein"].eq("P01") & wells["condition"].eq("Drug"), "Cytosol"] = 0.9
    assert changed(compared(values, wells)) == {("P01", "Cytosol")}


def test_pictures_of_a_well_count_as_one() -> None:
    values, wells = make_wells(8)
    keys = wells.assign(well=[f"{number:04}" for number in range(len(wells))])
    repeated = pd.concat([values] * 5, ignore_index=True), pd.concat([keys] * 5, ignore_index=True)
    means, known = well_means(*repeated)
    once, _ = well_means(values, keys)
    assert len(means) == len(values)
    assert means.to_numpy() == pytest.approx(once.to_numpy())
    assert list(known.columns) == ["protein", "condition", "plate", "well"]


def test_every_condition_is_compared_with_the_control() -> None:
    values, wells = make_wells(9, moved=1)
    other = wells["condition"].where(wells.index % 2 == 0, wells["condition"].replace("Drug", "Another"))
    table = compared(values, wells.assign(condition=other))
    assert set(table["condition"]) == {"Another", "Drug"}
    assert set(table.loc[table["changed"], "protein"]) == {"P00"}
