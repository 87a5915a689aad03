"""Ablations: the whole stack is the reported one, and every variant is as honest."""

import numpy as np

from models.ablation import BaseLogOdds, ablations
from models.stack_model import STACK
from models.stacking import StackedLocations
from tests.models.tables import Tables

RULE = "half_f1"


def base(stack: StackedLocations, tables: Tables, Y: np.ndarray | None = None) -> BaseLogOdds:
    sources = stack.model_.sources
    return BaseLogOdds(
        nested=stack.nested_,
        targets=tables.Y.to_numpy() if Y is None else Y,
        fold=tables.fold,
        blocks=[["features", "net"][block] for block, _ in sources],
        kinds=[kind for _, kind in sources],
        always=stack.model_.meta_learners[STACK].meta.always,
    )


def test_the_whole_stack_is_the_reported_one_and_every_part_is_named(
    stack: StackedLocations, tables: Tables
) -> None:
    variants = dict(ablations(base(stack, tables), RULE))
    whole, reported = variants["the stack"], stack.out_of_fold_[STACK]
    assert np.array_equal(whole.probability, reported.probability)
    assert np.array_equal(whole.chosen, reported.chosen)
    assert {"block features alone", "block net alone", "base learners linear alone"} < set(variants)
    assert "without base learners linear" in variants
    assert "without block net" not in variants  # of two blocks, that is the other one alone
    assert {"thresholds by f1", "thresholds by nested", "thresholds of 0.5"} < set(variants)
    assert "mean of base learners, no meta-learner" in variants
    differing = [name for name, some in variants.items() if not np.array_equal(some.chosen, whole.chosen)]
    assert len(differing) >= 6


def test_a_location_alone_is_its_binary_model(stack: StackedLocations, tables: Tables) -> None:
    own = dict(ablations(base(stack, tables), RULE))["meta-learner per location"]
    binary = stack.out_of_fold_["Vesicles"]
    assert np.array_equal(own.probability[:, 2], binary.probability[:, 0])


def test_no_variant_knows_the_labels_of_the_fold_it_predicts(stack: StackedLocations, tables: Tables) -> None:
    inside = tables.fold == 1
    other = tables.Y.to_numpy().copy()
    other[inside] = ~other[inside]
    # Base learners are the same for both; their predictions for outer fold 1 hold nothing of that fold.
    one, two = (dict(ablations(base(stack, tables, Y), RULE)) for Y in (None, other))
    assert len(one) == 16
    for name, some in one.items():
        assert np.array_equal(some.chosen[inside], two[name].chosen[inside])
    assert not np.array_equal(one["the stack"].probability, two["the stack"].probability)
