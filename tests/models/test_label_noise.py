"""Suspected label errors are not trained on, and nothing of a scored fold says which ones are suspected."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from models.blocks import Block
from models.cross_fitting import CrossFitter
from models.label_noise import deleted, masks, subsets, suspected_errors
from models.stack_model import STACK
from models.stacking import WITHOUT_SELECTION, StackedLocations
from tests.models.tables import Tables, make_tables

FAST = {"kinds": ("linear",)}


@pytest.fixture(scope="module")
def four() -> Tables:
    return make_tables(96, folds=4)


def fitter(tables: Tables, Y: np.ndarray) -> CrossFitter:
    return CrossFitter([Block.of("net", tables.X["net"])], Y, tables.fold)


def test_wrong_labels_are_suspected() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((400, 3)) < [0.3, 0.1, 0.05]
    probability = np.clip(0.8 * truth + 0.1 + rng.normal(0, 0.1, truth.shape), 0.01, 0.99)
    given = truth.copy()
    given[:10, 0] ^= True
    found = suspected_errors(probability, given)
    assert found[:10, 0].sum() >= 6
    assert found.sum() - found[:10, 0].sum() <= 2


@pytest.mark.parametrize("without", [(1,), (1, 3)])
def test_masks_of_a_fit_do_not_depend_on_the_labels_of_the_folds_it_leaves_out(
    four: Tables, without: tuple[int, ...]
) -> None:
    one, other = four.Y.to_numpy(), four.Y.to_numpy().copy()
    hidden = np.isin(four.fold, without)
    other[hidden] = ~other[hidden]
    kept = [masks(fitter(four, Y), [], confident=True)[without][~hidden] for Y in (one, other)]
    assert np.array_equal(*kept)
    assert not kept[0].all()
    fully = [masks(fitter(four, Y), [], confident=True)[()] for Y in (one, other)]
    assert not np.array_equal(*fully)


def test_there_is_a_mask_for_every_set_of_folds_that_is_left_out() -> None:
    assert subsets(3) == [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]


def test_a_filter_that_would_take_most_positives_is_not_applied_to_the_location(four: Tables) -> None:
    Y = four.Y.to_numpy()
    greedy = np.ones(Y.shape, dtype=bool)
    greedy[Y[:, 2], 2] = False
    greedy[np.flatnonzero(Y[:, 0])[:3], 0] = False
    gone = deleted(fitter(four, Y), {"greedy": greedy}, confident=False)["greedy"]
    assert gone.sum(axis=0).tolist() == [3, 0, 0]


def test_too_few_folds_for_confident_learning_are_refused(tables: Tables) -> None:
    with pytest.raises(ValueError, match="confident learning needs 4 folds, there are 3"):
        masks(fitter(tables, tables.Y.to_numpy()), [], confident=True)


def test_predictions_of_a_fold_do_not_depend_on_its_labels_with_a_selection(four: Tables) -> None:
    shuffled = four.Y.copy()
    inside = four.fold == 1
    shuffled.iloc[inside] = np.roll(four.Y[inside].to_numpy(), 7, axis=0)
    predicted = [
        StackedLocations(**FAST).fit(four.X, Y, four.fold, confident=True).out_of_fold_
        for Y in (four.Y, shuffled)
    ]
    for name in (STACK, WITHOUT_SELECTION):
        one, other = (some[name] for some in predicted)
        assert np.array_equal(one.probability[inside], other.probability[inside])
        assert np.array_equal(one.chosen[inside], other.chosen[inside])


def test_not_learning_wrong_labels_helps_on_the_right_ones() -> None:
    tables = make_tables(300, folds=4)
    wrong = np.random.default_rng(0).random(tables.Y.shape) < 0.15
    noisy = tables.Y ^ wrong
    stack = StackedLocations(**FAST).fit(tables.X, noisy, tables.fold, keep={"known": ~wrong})
    truth = tables.Y.to_numpy()
    with_it, without = (
        average_precision_score(truth, stack.out_of_fold_[name].probability)
        for name in (STACK, WITHOUT_SELECTION)
    )
    assert with_it > without
    assert np.array_equal(stack.deleted_["known"], wrong)
