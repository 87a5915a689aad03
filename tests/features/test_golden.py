"""Numbers stay what they were, until their family's version says otherwise."""

import json

import pytest
from make_golden import FOLDER, golden_path, numbers

from features import family_versions


@pytest.mark.parametrize("family", sorted(family_versions()))
def test_a_family_gives_its_golden_values(family):
    assert golden_path(family).exists(), (
        "run `PYTHONPATH=. python tests/features/make_golden.py` and look at what it writes"
    )
    golden = json.loads(golden_path(family).read_text())
    assert numbers(family) == pytest.approx(golden, rel=1e-5, abs=1e-6, nan_ok=True)


def test_no_golden_values_are_left_of_families_or_versions_that_are_gone():
    assert {path.name for path in FOLDER.iterdir()} == {
        golden_path(family).name for family in family_versions()
    }
