"""The guard against embeddings that know the pictures they are cross-validated on."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest
from pipeline.core.weights import write_card
from pipeline.data.tables import unsaid
from pipeline.networks.leak_guard import TableCard, card_of, check_leaks, same_folds

FOLD = pd.Series({"a": 0, "b": 0, "c": 1, "d": 1})
PATH = Path("net.parquet")


def card(**fields: object) -> TableCard:
    return TableCard(name="net", columns=1, **fields)


def test_an_embedding_that_saw_none_of_the_pictures_passes_without_a_word() -> None:
    assert check_leaks({PATH: card(trained_on=("x", "y"))}, FOLD, unsaid, accept=False) == []


@pytest.mark.parametrize("unknown", [None, card()])
def test_unknown_training_pictures_mark_the_scores(unknown: TableCard | None) -> None:
    marks = check_leaks({PATH: unknown}, FOLD, unsaid, accept=False)
    assert marks == [
        "net.parquet: the pictures its network was trained on are unknown; scores may be optimistic"
    ]


def test_a_network_that_saw_one_picture_is_refused_unless_accepted_and_then_marked() -> None:
    cards = {PATH: card(trained_on=("c", "x"))}
    with pytest.raises(PipelineError, match=r"trained on 1 of these 4 pictures \(c, …\).*--accept-leak"):
        check_leaks(cards, FOLD, unsaid, accept=False)
    assert check_leaks(cards, FOLD, unsaid, accept=True)[0].endswith("scores are optimistic")


def test_how_many_pictures_a_network_saw_is_said_and_ids_written_otherwise_mark_the_scores() -> None:
    said: list[str] = []
    assert check_leaks({PATH: card(trained_on=("x", "y"))}, FOLD, said.append, accept=False) == []
    marks = check_leaks({PATH: card(trained_on=("x.png", "c.png"))}, FOLD, said.append, accept=False)
    assert "0 of the 2 ids in net.parquet are among the 4 pictures: it has 'x', a picture is 'a'" in said[0]
    assert "written otherwise (it has 'c.png', where the picture is 'c')" in marks[0]


def test_folds_match_whatever_their_numbers() -> None:
    everyone = tuple(FOLD.index)
    matching = card(trained_on=everyone, folds={"a": 5, "b": 5, "c": 2, "d": 2, "elsewhere": 2})
    assert check_leaks({PATH: matching}, FOLD, unsaid, accept=False) == []


@pytest.mark.parametrize(
    "folds",
    [{"a": 0, "b": 1, "c": 1, "d": 1}, {"a": 0, "b": 0, "c": 0, "d": 0}, {"a": 0, "b": 0, "c": 1}, None],
)
def test_other_folds_do_not_match(folds: dict[str, int] | None) -> None:
    other = card(trained_on=tuple(FOLD.index), folds=folds)
    assert not same_folds(other, FOLD)
    with pytest.raises(PipelineError, match="predict from memory"):
        check_leaks({PATH: other}, FOLD, unsaid, accept=False)


def test_a_card_of_another_table_is_no_card(tmp_path: Path) -> None:
    table = tmp_path / "net.parquet"
    table.write_bytes(b"one")
    write_card(table, card(trained_on=(), sha256=file_digest(table)))
    assert card_of(table) is not None
    table.write_bytes(b"two")
    assert card_of(table) is None


def test_a_damaged_card_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text("{}")
    with pytest.raises(PipelineError, match="damaged card"):
        card_of(tmp_path / "net.parquet")
