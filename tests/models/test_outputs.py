"""A stack of networks' outputs: honest, resumable, and better than its inputs."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import clone

from models.base_learners.label_powerset import JointNetwork
from models.cross_fitting import MemoryStore
from models.folds import stratified_group_folds
from models.meta_learner import Head, nested_answers
from models.metrics import count
from models.outputs import Described, describe, nested_outputs, output_columns

SMALL = JointNetwork(hidden=16, epochs=4, batch=64)
HEAD = Head("stack", (0, 1, 2), always=False)


def published(rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Three networks that see the truth through noise of their own; probabilities."""
    rng = np.random.default_rng(0)
    truth = rng.random((rows, 3)) < [0.5, 0.3, 0.15]
    noise = rng.normal(0, 1.6, (rows, 3, 3))
    return expit(3 * truth[:, None, :] - 1.5 + noise).astype(np.float32), truth


def columns(outputs: np.ndarray) -> pd.DataFrame:
    return output_columns(outputs, ["a", "b", "c"], ["x", "y", "z"])


def described(outputs: np.ndarray) -> Described:
    return describe(outputs, ["a", "b", "c"], ["x", "y", "z"])


def test_columns_are_every_output_and_the_mean_of_each_location() -> None:
    outputs, _ = published(5)
    hard = columns((outputs > 0.5).astype(np.float32))
    assert list(hard.columns)[:4] == ["a x", "a y", "a z", "b x"]
    assert np.allclose(hard["mean y"], (outputs > 0.5)[:, :, 1].mean(axis=1))
    soft = columns(outputs)
    assert soft.to_numpy().min() >= 0
    assert soft.to_numpy().max() <= 1
    assert np.array_equal(np.argsort(soft["b z"]), np.argsort(outputs[:, 1, 2]))


def test_it_beats_the_best_of_its_inputs() -> None:
    outputs, truth = published()
    fold = stratified_group_folds(truth, pd.Series(np.arange(300)), 3)
    nested = nested_outputs(described(outputs), truth, fold, joint=[SMALL])
    answers = nested_answers(HEAD, nested.inner, nested.outer, truth, fold, "f1_shrunk")
    best = max(count(truth, outputs[:, place] > 0.5).macro_f1() for place in range(3))
    assert count(truth, answers.chosen).macro_f1() > best + 0.03


def test_answers_of_a_fold_do_not_depend_on_its_labels() -> None:
    outputs, truth = published(150)
    fold = (np.arange(150) % 3).astype(np.int16)
    shuffled = truth.copy()
    shuffled[fold == 1] = np.roll(truth[fold == 1], 7, axis=0)
    chosen = []
    for labels in (truth, shuffled):
        nested = nested_outputs(described(outputs), labels, fold, joint=[SMALL])
        chosen.append(nested_answers(HEAD, nested.inner, nested.outer, labels, fold, "f1_shrunk"))
    assert np.array_equal(chosen[0].probability[fold == 1], chosen[1].probability[fold == 1])
    assert not np.array_equal(chosen[0].probability[fold == 0], chosen[1].probability[fold == 0])


def test_an_interrupted_run_goes_on() -> None:
    outputs, truth = published(150)
    fold = (np.arange(150) % 3).astype(np.int16)
    known, store = described(outputs), MemoryStore()
    stops = iter(range(2))

    def stop(_: int) -> None:
        if next(stops, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nested_outputs(known, truth, fold, joint=[SMALL], store=store, finished=stop)
    ready: list[int] = []
    again = nested_outputs(known, truth, fold, joint=[SMALL], store=store, finished=ready.append)
    assert ready == [3] + [1] * 9  # three were kept, nine of twelve are fitted
    whole = nested_outputs(known, truth, fold, joint=[SMALL])
    assert again.outer.shape == (150, 3, 2)
    assert np.array_equal(again.outer, whole.outer)
    assert not np.isnan(whole.outer).any()


def test_locations_that_never_come_together_are_not_both_likely() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(400) < 0.5
    truth = np.stack([first, ~first], axis=1)
    seen = (truth + rng.normal(0, 0.7, truth.shape)).astype(np.float32)
    network = clone(SMALL).fit(seen, truth)
    both = np.full((1, 2), 1.0, np.float32)
    probability = expit(network.decision_function(np.concatenate([seen, both])))
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, atol=1e-5)
    assert ((probability[:400] > 0.5) == truth).mean() > 0.8
