"""Corrected labels: on the disk at once, taken by `train`, the user's own table as it was."""

import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress
from pipeline.data.labels import read_labels
from pipeline.explorer.picture_queries import Query, found
from pipeline.explorer.starting import opened
from pipeline.stages.explore_options import ExploreOptions


def test_a_correction_is_in_the_table_for_train_and_not_in_the_users(explorer, trained):
    own = trained.root.parent / "labels.csv"
    before = own.read_bytes()
    row = explorer.index.position("p005")
    was = explorer.index.named(explorer.index.given[row])
    explorer.corrections.save(row, ["Golgi apparatus", "Nuclear membrane"])
    assert own.read_bytes() == before
    given, corrected = (read_labels(path).targets for path in (own, explorer.corrections.labels))
    assert corrected.columns[corrected.loc["p005"]].tolist() == ["Nuclear membrane", "Golgi apparatus"]
    pd.testing.assert_frame_equal(corrected.drop(index="p005"), given.drop(index="p005"))
    changes = pd.read_csv(explorer.corrections.changes)
    assert changes.to_dict("records") == [
        {"Id": "p005", "Before": "|".join(was), "After": "Nuclear membrane|Golgi apparatus"}
    ]
    assert (len(explorer.corrections), explorer.corrections.changed) == (1, 1)


def test_what_was_looked_at_comes_last_in_the_queue_and_its_gap_is_of_the_new_label(explorer):
    index, queue = explorer.index, Query()
    first = int(found(index, queue, None)[0])
    before = index.disagreement[first]
    explorer.corrections.save(first, index.named(index.chosen[first]))
    assert index.disagreement[first] < before
    assert index.wrong[first] == 0
    assert first not in found(index, Query(checked="no"), None)
    assert found(index, queue, None)[0] != first
    assert index.rank[first] == len(index.ids) - 1


def test_no_location_is_an_answer_too(explorer):
    row = explorer.index.position("p009")
    explorer.corrections.save(row, [])
    assert not read_labels(explorer.corrections.labels).targets.loc["p009"].any()


def test_undo_gives_the_label_back(explorer):
    row = explorer.index.position("p010")
    given = explorer.index.given[row].copy()
    explorer.corrections.save(row, ["Cytosol"])
    explorer.corrections.save(row, ["Golgi apparatus"])
    explorer.corrections.undo(row)
    assert (explorer.index.given[row] == given).all()
    assert len(explorer.corrections) == 0
    assert not explorer.index.checked[row]
    assert pd.read_csv(explorer.corrections.changes).empty


def test_corrections_are_there_when_it_is_started_again(trained):
    with opened(ExploreOptions(work=trained.root), SilentProgress()) as one:
        one.corrections.save(one.index.position("p011"), ["Golgi apparatus"])
    corrected = one.corrections.labels
    try:
        for labels in (None, corrected):  # also when a model was trained on the corrected table
            with opened(ExploreOptions(work=trained.root, labels=labels), SilentProgress()) as again:
                row = again.index.position("p011")
                assert again.index.named(again.index.given[row]) == ["Golgi apparatus"]
                assert again.index.checked[row]
        again.corrections.undo(row)
        own = read_labels(trained.root.parent / "labels.csv").targets
        pd.testing.assert_frame_equal(read_labels(corrected).targets, own)
    finally:
        corrected.unlink()
        again.corrections.changes.unlink()


def test_an_unknown_location_changes_nothing(explorer):
    with pytest.raises(PipelineError, match="unknown location 'Golgi'"):
        explorer.corrections.save(0, ["Golgi"])
    assert not explorer.corrections.labels.exists()
