"""What cp_measure also defines agrees with what it answered for the same cell (see `make_cp_measure.py`)."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from scenes import scene
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from features.families.zernike import ORDERS

CELL = 7
REGIONS = ("cell", "nucleus")
CLOSE = 1e-6

INTENSITY = {
    "integrated": "IntegratedIntensity",
    "mean": "MeanIntensity",
    "std": "StdIntensity",
    "minimum": "MinIntensity",
    "maximum": "MaxIntensity",
    "quantile_25": "LowerQuartileIntensity",
    "quantile_50": "MedianIntensity",
    "quantile_75": "UpperQuartileIntensity",
    "mad": "MADIntensity",
    "mass_displacement": "MassDisplacement",
    "edge_mean": "MeanIntensityEdge",
    "edge_std": "StdIntensityEdge",
}
SHAPE = {
    "area": "Area",
    "perimeter": "Perimeter",
    "major_axis": "MajorAxisLength",
    "minor_axis": "MinorAxisLength",
    "eccentricity": "Eccentricity",
    "solidity": "Solidity",
    "extent": "Extent",
    "form_factor": "FormFactor",
    "equivalent_diameter": "EquivalentDiameter",
    "euler_number": "EulerNumber",
    **{f"hu_{order}": f"HuMoment_{order - 1}" for order in range(1, 8)},
}
HARALICK = {
    "energy": "AngularSecondMoment",
    "contrast": "Contrast",
    "correlation": "Correlation",
    "variance": "Variance",
    "homogeneity": "InverseDifferenceMoment",
    "sum_average": "SumAverage",
    "sum_variance": "SumVariance",
    "sum_entropy": "SumEntropy",
    "entropy": "Entropy",
    "difference_entropy": "DifferenceEntropy",
    "information_1": "InfoMeas1",
    "information_2": "InfoMeas2",
}
"""Without difference variance: theirs is mahotas' default, ours IBSI's (`test_oracles` switches mahotas)."""
COLOCALIZATION = {
    "pearson": ("pearson", "Pearson"),
    "slope": ("pearson", "Slope"),
    "manders_1": ("manders_fold", "Manders_1"),
    "manders_2": ("manders_fold", "Manders_2"),
    "rank_weighted_1": ("rwc", "RWC_1"),
    "rank_weighted_2": ("rwc", "RWC_2"),
    "costes_1": ("costes", "Costes_1"),
    "costes_2": ("costes", "Costes_2"),
}


@pytest.fixture(scope="module")
def row():
    return (
        scene()
        .measured(families=["morphology", "intensity", "zernike", "haralick", "colocalization"])
        .loc[CELL]
    )


@pytest.fixture(scope="module")
def theirs():
    return json.loads((Path(__file__).parent / "cp_measure.json").read_text())


@pytest.mark.parametrize("region", REGIONS)
def test_intensities_are_those_of_cp_measure(row, theirs, region):
    expected = {
        name: theirs[f"{region} intensity"][f"Intensity_{other}"] for name, other in INTENSITY.items()
    }
    ours = {name: row[f"{region}__intensity__{name}__protein"] for name in INTENSITY}
    assert ours == pytest.approx(expected, rel=CLOSE)


@pytest.mark.parametrize("region", REGIONS)
def test_sizes_and_shapes_are_those_of_cp_measure(row, theirs, region):
    expected = {name: theirs[f"{region} sizeshape"][other] for name, other in SHAPE.items()}
    ours = {name: row[f"{region}__morphology__{name}"] for name in SHAPE}
    assert ours == pytest.approx(expected, rel=CLOSE, abs=1e-16)


@pytest.mark.parametrize("region", REGIONS)
def test_feret_diameters_are_cp_measures_once_taken_between_centres_of_pixels(row, theirs, region):
    given = scene()
    points = np.argwhere((given.cells if region == "cell" else given.nuclei) == CELL)
    corners = points[ConvexHull(points).vertices]
    table = theirs[f"{region} feret"]
    assert pdist(corners).max() == pytest.approx(table["MaxFeretDiameter"], rel=CLOSE)
    # ours runs from side to side of the outermost pixels: between nothing and one diagonal longer
    for name, key in (("feret_max", "MaxFeretDiameter"), ("feret_min", "MinFeretDiameter")):
        assert 0 < row[f"{region}__morphology__{name}"] - table[key] <= 1.0


def test_zernike_moments_are_those_of_cp_measure_where_it_loses_no_pixel_of_the_circle(row, theirs):
    for n, m in ORDERS:
        ours = row[f"cell__zernike__shape_{n}_{m}"]
        assert ours == pytest.approx(theirs["cell zernike"][f"Zernike_{n}_{m}"], rel=2e-6)
    lost = theirs["nucleus zernike"]["Zernike_0_0"] / row["nucleus__zernike__shape_0_0"]
    assert lost == pytest.approx(180 / 181, rel=CLOSE)


def test_zernike_moments_of_intensity_are_cp_measures_once_over_the_number_of_pixels(row, theirs):
    mean = row["cell__intensity__mean__protein"]
    for n, m in ORDERS[1:]:
        ours = row[f"cell__zernike__intensity_{n}_{m}__protein"] * mean
        expected = theirs["cell radial_zernikes"][f"RadialDistribution_ZernikeMagnitude_{n}_{m}"]
        assert ours == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("distance", [1, 2, 4])
@pytest.mark.parametrize("region", REGIONS)
def test_haralick_is_that_of_cp_measure_on_our_grey_levels(row, theirs, region, distance):
    table = theirs[f"{region} texture {distance}"]
    for name, other in HARALICK.items():
        expected = np.mean([value for key, value in table.items() if key.split("_")[0] == other])
        ours = row[f"{region}__haralick__{name}_d{distance}__protein"]
        assert ours == pytest.approx(expected, rel=CLOSE)


@pytest.mark.parametrize("region", REGIONS)
def test_colocalization_is_that_of_cp_measure(row, theirs, region):
    measured = {name: f"{region}__colocalization__{name}__protein__er" for name in COLOCALIZATION}
    names = [name for name, column in measured.items() if column in row.index]
    assert len(names) == (8 if region == "cell" else 3)
    for name in names:
        function, other = COLOCALIZATION[name]
        expected = theirs[f"{region} {function}"][f"Correlation_{other}"]
        assert row[measured[name]] == pytest.approx(expected, rel=CLOSE)


@pytest.mark.skipif(
    importlib.util.find_spec("cp_measure") is None,
    reason="cp_measure is not installed: its centrosome refuses the pinned pillow; recorded answers are used",
)
def test_the_recorded_answers_are_what_cp_measure_gives(theirs):
    from make_cp_measure import answers

    for part, table in answers().items():
        assert theirs[part] == pytest.approx(table, rel=1e-8, nan_ok=True)
