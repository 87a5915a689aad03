"""Names: tokens, safe ids, near matches, plurals."""

import pytest

from pipeline.core.names import counted, is_safe_id, near, slug, unknown


def test_a_slug_is_a_token_of_column_names():
    assert slug("Rods & rings, 2 ") == "rods_rings_2"
    assert slug("--") == ""


@pytest.mark.parametrize(
    ("name", "safe"), [("a-1_b.c", True), (".hidden", False), ("a/b", False), ("", False)]
)
def test_an_id_is_safe_where_it_can_be_a_file_name(name, safe):
    assert is_safe_id(name) is safe


def test_what_was_meant_is_found_whatever_the_case():
    assert near("nucleolus", ["Nucleoli", "Cytosol"]) == ["Nucleoli"]
    assert near("zzz", ["Nucleoli"]) == []
    known = ["Golgi apparatus", "Nuclear bodies", "Nuclear speckles", "Nuclei"]
    assert near("golgi", known) == ["Golgi apparatus"]
    assert len(near("nuclear", known)) == 3  # a word of two names


def test_an_unknown_name_is_told_with_the_known_and_the_near_ones():
    assert unknown("family", "radal", ["radial", "zernike"]) == (
        "unknown family 'radal'; known: radial, zernike; did you mean radial?"
    )
    many = unknown("column", "x", [f"c{number}" for number in range(2000)])
    assert many == "unknown column 'x'; known: 2,000, such as c0, c1, c2"


def test_numbers_agree_with_their_noun():
    assert [counted(number, "picture") for number in (0, 1, 31002)] == [
        "0 pictures",
        "1 picture",
        "31,002 pictures",
    ]
