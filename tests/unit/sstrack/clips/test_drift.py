"""Drift of scores: nothing moves by chance alone, a shift is seen, what is missing is left out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sstrack.clips.drift import LEAST, drift

FLOATS = st.lists(st.floats(-1e6, 1e6), min_size=LEAST, max_size=60)


@given(FLOATS)
def test_the_same_values_have_not_moved(values: list[float]):
    (found,) = drift({"luma": values}, {"luma": values[::-1]})
    assert found.distance == 0 and not found.moved
    assert found.before == found.after


@given(FLOATS, FLOATS)
def test_the_distance_is_that_of_the_distribution_functions_and_symmetric(first: list[float], second: list[float]):
    (found,), (back,) = drift({"a": first}, {"a": second}), drift({"a": second}, {"a": first})
    at = np.array(first + second)
    shares = [(np.array(each)[None] <= at[:, None]).mean(axis=1) for each in (first, second)]
    assert np.isclose(found.distance, np.abs(shares[0] - shares[1]).max())
    assert found.distance == back.distance


def test_chance_moves_one_in_a_thousand_and_a_shift_is_seen():
    rng = np.random.default_rng(1)
    moved = sum(drift({"a": rng.normal(size=60)}, {"a": rng.normal(size=40)})[0].moved for _ in range(1000))
    assert moved <= 5
    (found,) = drift({"a": rng.normal(size=60)}, {"a": rng.normal(2, 1, size=40)})
    assert found.moved and found.after > found.before


def test_too_few_values_and_missing_ones_say_nothing():
    assert not drift({"a": [1.0] * LEAST}, {"a": [1.0] * (LEAST - 1)})
    assert not drift({"a": [1.0] * LEAST}, {"a": [float("nan")] * LEAST})
    assert not drift({"a": [1.0] * LEAST}, {"b": [1.0] * LEAST})
