"""A stream that leaves what the training pictures are like is noticed soon; one that does not, seldom."""

import numpy as np
import pytest

from models.drift import QUIET, StreamDrift


def first_alarm(stream: StreamDrift, scores: np.ndarray) -> int | None:
    return next((number for number, score in enumerate(scores, 1) if stream.add(float(score))), None)


def streams(shift: float, pictures: int, known: int = 50, good: int = 50) -> list[int | None]:
    """Return when each of 40 streams of normal scores alarms, which are shifted after some good ones."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        stream = StreamDrift(rng.normal(size=known))
        assert first_alarm(stream, rng.normal(size=good)) is None
        found.append(first_alarm(stream, rng.normal(shift, size=pictures)))
    return found


def test_false_alarms_are_no_more_frequent_than_said():
    """The mean over streams is cut at 4,000 pictures, and is at least the bound nevertheless."""
    ends = [4000 if end is None else end for end in streams(0, 4000, good=0)]
    assert np.mean(ends) >= QUIET


@pytest.mark.parametrize(("shift", "most"), [(1.0, 60), (2.0, 15), (4.0, 8)])
def test_a_drift_is_noticed_the_sooner_the_larger_it_is(shift, most):
    ends = [201 if end is None else end for end in streams(shift, 200)]
    assert np.median(ends) <= most
    assert np.quantile(ends, 0.8) <= 200


def test_pictures_more_usual_than_those_of_the_training_are_no_drift():
    assert streams(-3, 200) == [None] * 40


def test_a_drift_that_is_over_is_told_to_be_over():
    rng = np.random.default_rng(0)
    stream = StreamDrift(rng.normal(size=100))
    assert first_alarm(stream, np.full(20, 9.0)) is not None
    for score in rng.normal(size=300):
        stream.add(float(score))
    assert not stream.is_off
    assert first_alarm(stream, np.full(20, 9.0)) is not None


def test_scores_on_whose_rank_nothing_is_known_never_alarm():
    assert first_alarm(StreamDrift([]), np.ones(500)) is None
