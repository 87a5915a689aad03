"""Names are written and read by one grammar."""

import pytest
from scenes import in_one_row, scene

from features import (
    Column,
    aggregate,
    catalogue,
    describe,
    measure_field,
    parse,
    picture_columns,
    touches_border,
)


def test_a_name_says_region_family_output_channels_and_statistic():
    assert parse("nucleus__haralick__contrast_d2__protein__p90") == Column(
        "nucleus", "haralick", "contrast_d2", ("protein",), "p90"
    )
    assert parse("cell__colocalization__pearson__protein__er").channels == ("protein", "er")
    assert parse("cell__morphology__area__mean") == Column("cell", "morphology", "area", (), "mean")
    assert parse("cell__intensity__mean__protein") == Column("cell", "intensity", "mean", ("protein",))
    assert parse("cell__some__mean").output == "mean"
    assert parse("cnn__densenet121__e0041") == Column("cnn", "densenet121", "e0041")


def test_every_column_is_an_identifier_that_parses_back_to_itself_and_has_words():
    for name in picture_columns():
        assert name.isidentifier()
        assert str(parse(name)) == name
        assert len(describe(name)) > 15


@pytest.mark.parametrize(
    "name", ["area", "cell__area", "a__b__c__d__e__f", "cell__Morphology__area", "cell__a___b__c"]
)
def test_a_name_outside_the_grammar_is_refused(name):
    with pytest.raises(ValueError, match=f"column '{name}' does not read region__family__output"):
        parse(name)


def test_descriptions_are_plain_words():
    assert describe("nucleus__haralick__contrast_d4__protein__p90") == (
        "contrast of the grey-level co-occurrence matrix at distance 4 px of the protein in the nucleus, "
        "90th percentile over cells (pixels of 0.32 µm where the pixel size is known)"
    )
    assert describe("cell__morphology__area").startswith("area of the cell, in µm² (px²")
    assert describe("picture__population__cells") == "number of cells in the picture"
    assert describe("cnn__densenet121__e0041") == "dimension 41 of the embedding of the network densenet121"
    assert describe("cnn__some_net__logit_nuclear_membrane__max") == (
        "log-odds of nuclear membrane by the network some_net, maximum over cells"
    )
    assert describe("cnn__some_net__e0000_top3") == (
        "dimension 0 of the embedding of the network some_net, mean of the 3 largest over cells"
    )
    assert describe("cnn__some_net__area") == "area of the network some_net"
    assert "of the protein and the ER" in describe("cell__colocalization__pearson__protein__er")
    assert describe("cell__intensity__nucleus_share__protein__mean") == (
        "share of the protein's intensity that lies in the nucleus, mean over cells"
    )
    assert describe("cell__intensity__nucleus_share__microtubules").startswith("share of the microtubules' ")
    assert describe("cell__colocalization__distance_2__protein__er").startswith(
        "mean distance from bright ER to bright protein regions, in µm"
    )
    assert describe("cell__morphology__area__beyond") == (
        "area of the cell, share of cells far above the median"
    )


@pytest.mark.parametrize(
    "name", ["cell__morphology__beauty", "cell__intensity__mean", "field__morphology__area"]
)
def test_a_column_nobody_measures_is_refused(name):
    with pytest.raises(ValueError, match=f"column '{name}' names no registered feature"):
        describe(name)


def test_picture_columns_are_those_of_aggregate_and_then_of_the_field():
    given = scene()
    row = in_one_row(aggregate(given.by_family(), touches_border=touches_border(given.cells)))
    assert [*row, *in_one_row(measure_field(given.picture))] == picture_columns()
    families = ["morphology", "lbp"]
    row = in_one_row(
        aggregate(given.by_family(families=families), touches_border=touches_border(given.cells))
    )
    field = measure_field(given.picture, families=families)
    assert list(field) == ["lbp"]
    assert [*row, *in_one_row(field)] == picture_columns(families)


def test_the_catalogue_has_a_row_per_output_and_region():
    table = catalogue(["morphology"])
    area = table[(table["output"] == "area") & (table["region"] == "nucleus")].iloc[0]
    assert area["unit"].startswith("µm²")
    assert area["invariances"] == "flip, gain, neighbours, offset, rotation, translation"
    assert "regionprops" in area["source"]
