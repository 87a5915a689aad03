"""Independent implementations give the same numbers."""

import mahotas
import numpy as np
import pytest
from scenes import CHANNELS, Scene, scene
from scipy import ndimage, stats
from skimage.feature import local_binary_pattern
from skimage.filters import threshold_otsu
from skimage.measure import regionprops
from sklearn.metrics import normalized_mutual_info_score

PIXELS = scene().picture / np.float64(255)
CELL = 7


def pixels(region: str, channel: str) -> np.ndarray:
    """List one channel's intensities in a region of the second cell."""
    given = scene()
    cell, nucleus = given.cells == CELL, given.nuclei == CELL
    mask = {"cell": cell, "nucleus": nucleus, "cytoplasm": cell & ~nucleus}[region]
    return PIXELS[CHANNELS.index(channel)].astype(np.float32).astype(np.float64)[mask]


@pytest.fixture(scope="module")
def row():
    return scene().measured().loc[CELL]


@pytest.mark.parametrize("region", ["cell", "nucleus", "cytoplasm"])
def test_sizes_and_shapes_are_those_of_regionprops(row, region):
    given = scene()
    labels = {"cell": given.cells, "nucleus": given.nuclei, "cytoplasm": given.cells * (given.nuclei == 0)}
    theirs = next(one for one in regionprops(labels[region]) if one.label == CELL)
    ours = row.filter(regex=f"^{region}__morphology__").rename(lambda name: name.split("__")[2])
    expected = {
        "area": theirs.area,
        "perimeter": theirs.perimeter,
        "major_axis": theirs.axis_major_length,
        "minor_axis": theirs.axis_minor_length,
        "eccentricity": theirs.eccentricity,
        "solidity": theirs.solidity,
        "extent": theirs.extent,
        "equivalent_diameter": theirs.equivalent_diameter_area,
        "euler_number": theirs.euler_number,
        **{f"hu_{order + 1}": value for order, value in enumerate(theirs.moments_hu)},
    }
    assert ours[list(expected)].to_dict() == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert ours["feret_max"] == pytest.approx(theirs.feret_diameter_max, rel=0.02)


def test_feret_diameters_of_a_rectangle_are_its_diagonal_and_its_short_side():
    cells = np.zeros((60, 96), np.int32)
    cells[10:14, 20:32] = 1
    one = Scene(scene().picture, cells, cells).measured(families=["morphology"]).iloc[0]
    assert one["cell__morphology__feret_min"] == pytest.approx(4)
    assert one["cell__morphology__feret_max"] == pytest.approx(np.hypot(3, 12))


@pytest.mark.parametrize("region", ["cell", "nucleus", "cytoplasm"])
@pytest.mark.parametrize("channel", CHANNELS)
def test_intensities_are_those_of_numpy_and_scipy(row, region, channel):
    values = pixels(region, channel)
    histogram, _ = np.histogram(values, 64)
    expected = {
        "integrated": values.sum(),
        "mean": values.mean(),
        "std": values.std(),
        "skewness": stats.skew(values),
        "kurtosis": stats.kurtosis(values),
        "minimum": values.min(),
        "maximum": values.max(),
        "quantile_05": np.quantile(values, 0.05),
        "quantile_50": np.median(values),
        "quantile_95": np.quantile(values, 0.95),
        "mad": stats.median_abs_deviation(values),
        "variation": stats.variation(values),
        "entropy": stats.entropy(histogram, base=2),
    }
    ours = {name: row[f"{region}__intensity__{name}__{channel}"] for name in expected}
    assert ours == pytest.approx(expected, rel=1e-6)


def test_the_border_is_the_inner_boundary_and_displacement_that_of_the_centre_of_mass(row):
    cell = scene().cells == CELL
    edge = cell & ~ndimage.binary_erosion(cell)
    assert row["cell__intensity__edge_mean__er"] == pytest.approx(PIXELS[3][edge].mean(), rel=1e-6)
    gap = np.subtract(ndimage.center_of_mass(PIXELS[3] * cell), ndimage.center_of_mass(cell))
    assert row["cell__intensity__mass_displacement__er"] == pytest.approx(np.hypot(*gap), rel=1e-5)


def test_shares_of_the_nucleus_are_ratios_of_sums(row):
    nucleus, cytoplasm = pixels("nucleus", "protein"), pixels("cytoplasm", "protein")
    share = nucleus.sum() / pixels("cell", "protein").sum()
    area = len(nucleus) / len(pixels("cell", "protein"))
    inner, outer = nucleus.mean(), cytoplasm.mean()
    assert row["cell__intensity__nucleus_share__protein"] == pytest.approx(share, rel=1e-6)
    assert row["cell__intensity__nucleus_enrichment__protein"] == pytest.approx(share / area, rel=1e-6)
    contrast = (inner - outer) / (inner + outer)
    assert row["cell__intensity__nucleus_contrast__protein"] == pytest.approx(contrast, rel=1e-5)


@pytest.mark.parametrize("distance", [1, 2, 4])
@pytest.mark.parametrize("region", ["cell", "nucleus"])
def test_haralick_is_that_of_mahotas_with_the_standard_difference_variance(row, region, distance):
    given = scene()
    cell, nucleus = given.cells == CELL, given.nuclei == CELL
    mask = {"cell": cell, "nucleus": nucleus}[region]
    plane = PIXELS[1].astype(np.float32)
    low, high = float(plane[mask].min()), float(plane[mask].max())
    levels = np.minimum((plane.astype(float) - low) * (32 / (high - low)), 31).astype(np.uint8) + 1
    theirs = mahotas.features.haralick(
        np.where(mask, levels, 0), ignore_zeros=True, distance=distance, use_x_minus_y_variance=True
    )
    ours = row.filter(regex=rf"^{region}__haralick__\w+_d{distance}__protein$")
    np.testing.assert_allclose(ours, theirs.mean(axis=0), rtol=2e-6)
    if distance == 1:
        ranges = row.filter(regex=rf"^{region}__haralick__\w+_range__protein$")
        np.testing.assert_allclose(ranges, np.ptp(theirs, axis=0)[[1, 2, 4, 8]], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("radius", [1, 2])
def test_binary_patterns_are_those_of_scikit_image_where_the_neighbourhood_is_inside(radius):
    cell = scene().cells == CELL
    inside = ndimage.binary_erosion(cell, np.ones((2 * radius + 1, 2 * radius + 1)))
    rng = np.random.default_rng(0)
    plane = np.where(cell, rng.integers(1, 65535, cell.shape), 0).astype(np.uint16)
    theirs = local_binary_pattern(plane, 8, radius, method="uniform")[inside]
    shares = np.bincount(theirs.astype(int), minlength=10) / inside.sum()
    given = scene()
    table = Scene(np.array([plane] * 4), given.cells, given.nuclei).measured(families=["lbp"])
    ours = table.loc[CELL].filter(regex=rf"^cell__lbp__r{radius}_\w+__er$")
    np.testing.assert_allclose(ours, shares, rtol=1e-6)


@pytest.mark.parametrize("region", ["cell", "nucleus", "cytoplasm"])
def test_correlations_are_those_of_scipy(row, region):
    x, y = pixels(region, "protein"), pixels(region, "er")
    ours = row.filter(regex=f"^{region}__colocalization__.*__protein__er$").rename(
        lambda name: name.split("__")[2]
    )
    assert ours["pearson"] == pytest.approx(stats.pearsonr(x, y).statistic, rel=1e-5)
    assert ours["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-5)
    if region != "cell":
        return
    assert ours["slope"] == pytest.approx(stats.linregress(x, y).slope, rel=1e-5)
    alike = np.mean((x - x.mean()) * (y - y.mean()) > 0) - 0.5
    assert ours["icq"] == pytest.approx(alike, rel=1e-5)


@pytest.mark.parametrize("region", ["cell", "nucleus"])
def test_fixed_threshold_colocalization_is_that_of_cellprofiler(row, region):
    x, y = pixels(region, "microtubules"), pixels(region, "protein")
    high_x, high_y = x >= 0.15 * x.max(), y >= 0.15 * y.max()
    both = high_x & high_y
    rank_x, rank_y = (stats.rankdata(values, "dense").astype(int) - 1 for values in (x, y))
    ranks = max(rank_x.max(), rank_y.max()) + 1
    weight = (ranks - np.abs(rank_x - rank_y)) / ranks
    expected = {
        "manders_1": x[both].sum() / x[high_x].sum(),
        "manders_2": y[both].sum() / y[high_y].sum(),
        "overlap": (x * y)[both].sum() / np.sqrt((x**2)[both].sum() * (y**2)[both].sum()),
        "k_1": (x * y)[both].sum() / (x**2)[both].sum(),
        "k_2": (x * y)[both].sum() / (y**2)[both].sum(),
        "rank_weighted_1": (x * weight)[both].sum() / x[high_x].sum(),
        "rank_weighted_2": (y * weight)[both].sum() / y[high_y].sum(),
    }
    if region != "cell":
        expected = {name: value for name, value in expected.items() if name.startswith("manders")}
    ours = {name: row[f"{region}__colocalization__{name}__microtubules__protein"] for name in expected}
    assert ours == pytest.approx(expected, rel=1e-6)


def test_radial_numbers_are_those_of_a_slow_twin(row):
    given = scene()
    cell, nucleus = given.cells == CELL, given.nuclei == CELL
    away = ndimage.distance_transform_edt(~nucleus)
    depth = ndimage.distance_transform_edt(np.pad(cell, 1))[1:-1, 1:-1]
    relative = np.where(cell & ~nucleus, away / (away + depth + (depth == 0)), 0)
    centre = np.argwhere(nucleus).mean(axis=0)
    down, right = np.indices(cell.shape) - centre[:, None, None]
    wedge = np.floor(np.degrees(np.arctan2(down, right)) / 45).astype(int) % 8
    everywhere = PIXELS[1][relative > 0]
    for number in range(1, 5):
        ring = (relative > (number - 1) / 4) & (relative <= number / 4)
        inside = PIXELS[1][ring]
        means = [PIXELS[1][ring & (wedge == one)].mean() for one in np.unique(wedge[ring])]
        name = f"cell__radial__outward_{number}_{{}}__protein"
        assert row[name.format("share")] == pytest.approx(inside.sum() / everywhere.sum(), rel=1e-5)
        assert row[name.format("relative")] == pytest.approx(inside.mean() / everywhere.mean(), rel=1e-5)
        assert row[name.format("variation")] == pytest.approx(np.std(means) / np.mean(means), rel=1e-5)


def test_rings_are_what_lies_within_6_px_and_with_a_pixel_size_2_um():
    given = scene()
    cell, nucleus = given.cells == CELL, given.nuclei == CELL
    away = ndimage.distance_transform_edt(~nucleus)
    depth = ndimage.distance_transform_edt(np.pad(cell, 1))[1:-1, 1:-1]
    cytoplasm = cell & ~nucleus
    for size, width in ((None, 6), (0.5, 4)):
        row = given.measured(families=["intensity"], pixel_size_um=size).loc[CELL]
        around, inside = PIXELS[1][cytoplasm & (away <= width)], PIXELS[1][cytoplasm & (depth <= width)]
        assert row["perinuclear__intensity__std__protein"] == pytest.approx(around.std(), rel=1e-6)
        assert row["periphery__intensity__mean__protein"] == pytest.approx(inside.mean(), rel=1e-6)
        share = around.sum() / PIXELS[1][cell].sum()
        assert row["cell__intensity__perinuclear_share__protein"] == pytest.approx(share, rel=1e-6)
        contrast = (around.mean() - inside.mean()) / (around.mean() + inside.mean())
        ours = row["cell__intensity__perinuclear_to_periphery__protein"]
        assert ours == pytest.approx(contrast, rel=1e-5)


@pytest.fixture(scope="module")
def levels():
    """Grid levels of protein and ER in the second cell."""
    out = []
    for channel in ("protein", "er"):
        values = pixels("cell", channel)
        out.append(np.minimum((values - values.min()) * (16 / np.ptp(values)), 15).astype(int))
    return out


def test_kendall_and_mutual_information_are_those_of_scipy_and_scikit_learn(row, levels):
    tau = stats.kendalltau(*levels).statistic
    assert row["cell__colocalization__kendall__protein__er"] == pytest.approx(tau, rel=1e-5)
    information = normalized_mutual_info_score(*levels)
    assert row["cell__colocalization__mutual_information__protein__er"] == pytest.approx(
        information, rel=1e-5
    )


def test_distances_between_bright_regions_are_those_of_a_slow_twin(row):
    cell = scene().cells == CELL
    bright = {}
    for channel in ("nucleus", "er"):
        values = scene().picture[CHANNELS.index(channel)]
        bright[channel] = cell & (values > threshold_otsu(values[cell]))
    for name, one, other in (("distance_1", "nucleus", "er"), ("distance_2", "er", "nucleus")):
        expected = ndimage.distance_transform_edt(~bright[other])[bright[one]].mean()
        assert row[f"cell__colocalization__{name}__nucleus__er"] == pytest.approx(expected, rel=1e-5)
