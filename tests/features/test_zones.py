"""Run, zone, dependence and difference matrices against published values and by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from features.families.zones import (
    EMPHASES,
    MATRICES,
    TONES,
    entries_of,
    matrices_of_planes,
    run_lengths,
    zones,
)

IBSI = Path(__file__).resolve().parents[3] / "shared" / "design" / "ibsi_reference.json"

PUBLISHED = {
    "run": ("GLRLM", "SRE LRE LGLRE HGLRE SRLGLE SRHGLE LRLGLE LRHGLE GLN GLNN RLN RLNN RP GLV RV RE"),
    "zone": ("GLSZM", "SAE LAE LGLZE HGLZE SALGLE SAHGLE LALGLE LAHGLE GLN GLNN SZN SZNN ZP GLV ZV ZE"),
    "dependence": (
        "NGLDM",
        "LDE HDE LGLCE HGLCE LDLGLE LDHGLE HDLGLE HDHGLE GLNU GLNUN DCNU DCNUN DCP GLV DCV DCENT",
    ),
}


@pytest.fixture(scope="module")
def published():
    if not IBSI.exists():
        pytest.skip("no reference values of the Image Biomarker Standardisation Initiative")
    return json.loads(IBSI.read_text())


@pytest.fixture(scope="module")
def ours(published):
    levels = np.array(published["intensity"]) * np.array(published["mask"])
    padded = np.pad(levels, ((0, 0), (1, 1), (1, 1))).astype(np.uint8)
    return matrices_of_planes(padded, 6).mean(axis=0)


@pytest.mark.parametrize("matrix", MATRICES)
def test_matrices_agree_with_the_standard_phantom(ours, published, matrix):
    family, names = PUBLISHED[matrix]
    start = list(MATRICES).index(matrix) * len(EMPHASES)
    for index, name in enumerate(names.split()):
        expected = published["reference"][family.lower()][f"{family}_{name}"]
        assert ours[start + index] == pytest.approx(expected, rel=6e-3), name


def test_tone_differences_agree_with_the_standard_phantom(ours, published):
    for name, value in zip(TONES, ours[-len(TONES) :], strict=True):
        expected = published["reference"]["ngtdm"][f"NGTDM_{name.upper()}"]
        assert value == pytest.approx(expected, rel=6e-3), name


LEVELS = np.array(
    [[0, 0, 0, 0, 0], [0, 1, 1, 2, 0], [0, 1, 2, 2, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0]], np.uint8
)


def as_set(entries: np.ndarray) -> set[tuple[int, ...]]:
    """Return entries without order."""
    return {tuple(entry) for entry in entries.tolist()}


def test_runs_of_a_small_picture_are_those_counted_by_hand():
    along, _, down, _ = run_lengths(LEVELS, 2)
    assert as_set(entries_of(along)) == {(1, 1, 1), (1, 2, 2), (2, 1, 1), (2, 2, 1)}
    assert as_set(entries_of(down)) == {(1, 2, 1), (1, 1, 3), (2, 1, 1), (2, 2, 1)}


def test_zones_are_eight_connected():
    assert as_set(zones(LEVELS, 2)) == {(1, 5, 1), (2, 3, 1)}
