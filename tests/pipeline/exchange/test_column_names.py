"""Columns of features bear names that CellProfiler's users know, each its own, and lead back to ours."""

import json
from pathlib import Path

import pytest

import features
from pipeline.exchange.column_names import exported, is_feature, name_table

RECORDED = Path(__file__).parents[2] / "features" / "cp_measure.json"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("cell__intensity__mean__protein", "Cells_Intensity_MeanIntensity_protein"),
        ("nucleus__morphology__area", "Nuclei_AreaShape_Area"),
        ("cytoplasm__intensity__quantile_50__er", "Cytoplasm_Intensity_MedianIntensity_er"),
        ("cell__colocalization__manders_2__protein__er", "Cells_Correlation_Manders_er_protein"),
        ("cell__zernike__shape_4_2", "Cells_AreaShape_Zernike_4_2"),
        ("nucleus__haralick__contrast_d2__protein__p90", "Nuclei_Texture_contrast_d2_protein_p90"),
        ("perinuclear__intensity__mean__er", "Cells_Intensity_perinuclear_mean_er"),
        ("field__intensity__mean__er", "Image_Intensity_mean_er"),
        ("foreground__intensity__mean__er", "Image_Intensity_foreground_mean_er"),
        ("picture__population__cells", "Image_Count_Cells"),
    ],
)
def test_names_are_those_of_cellprofiler_where_the_measurement_is(ours, theirs):
    assert exported(ours) == theirs


def test_every_column_of_cells_and_pictures_has_a_name_of_its_own_that_leads_back():
    for columns in (features.cell_columns(), features.picture_columns()):
        table = name_table(columns)
        assert table["column"].tolist() == columns
        assert table.index.is_unique


def test_every_feature_of_a_cell_is_taken_for_one_by_pycytominer():
    names = name_table(features.cell_columns()).index
    assert all(name.startswith(("Cells_", "Nuclei_", "Cytoplasm_")) for name in names)


def test_names_that_would_be_one_are_refused():
    with pytest.raises(ValueError, match="two columns would be called 'Cells_Rods_a_b_c'"):
        name_table(["cell__rods__a__b__c", "cell__rods__a_b__c"])


def test_what_bears_cellprofilers_name_is_among_what_cp_measure_measures():
    """Its recorded names say neither object nor channel; of pairs it numbers the channels."""
    tables = [table for table in json.loads(RECORDED.read_text()).values() if isinstance(table, dict)]
    recorded = {name for table in tables for name in table}
    known = {name.split("_", 1)[-1] for name in recorded} | recorded
    table = name_table(features.cell_columns())
    claimed = table.index[table["is_cellprofilers"] & (table["channels"].isin(["", "protein"]))]
    assert len(claimed) > 100
    for name in claimed:
        measurement = name.split("_", 2)[2].removesuffix("_protein")
        assert measurement in known, name


def test_metadata_and_keys_are_no_features():
    assert not any(map(is_feature, ["Id", "label", "touches_border", "Metadata_Plate", "Metadata__a__b"]))
