"""Overlaps, centre errors and the shares that curves are made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sstrack.benchmarks.metrics.curves import (
    OVERLAPS,
    centre_errors,
    overlaps,
    shares_above,
    shares_within,
)
from sstrack.benchmarks.registry import benchmark
from sstrack.benchmarks.scores import Counted, Results
from sstrack.benchmarks.sequence import Truth

BOXES = arrays(np.float64, (6, 4), elements=st.floats(0.5, 200, allow_nan=False).map(lambda value: round(value, 3)))


@given(BOXES, BOXES)
def test_overlap_is_symmetric_and_between_0_and_1(a, b):
    assert np.allclose(overlaps(a, b), overlaps(b, a))
    assert ((overlaps(a, b) >= 0) & (overlaps(a, b) <= 1 + 1e-12)).all()


@given(BOXES, st.floats(-50, 50), st.floats(0.1, 8))
def test_overlap_ignores_where_the_picture_starts_and_its_scale(boxes, shift, scale):
    other = boxes + np.array([3, -2, 1, 1])
    moved = [(box + np.array([shift, shift, 0, 0])) * scale for box in (boxes, other)]
    assert np.allclose(overlaps(boxes, other), overlaps(*moved), atol=1e-6)


@given(BOXES, BOXES)
def test_both_ways_to_normalise_an_error_differ_by_rounding_only(a, b):
    plain, norm = centre_errors(a, b)
    again, norm_again = centre_errors(a, b, scaled_apart=False)
    assert np.array_equal(plain, again)
    assert np.allclose(norm, norm_again, rtol=1e-6, atol=1e-6)


def test_overlap_of_known_boxes():
    truth = np.array([[0, 0, 10, 10]] * 4, dtype=float)
    predicted = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 5, 5], [np.nan, 0, 1, 1]], dtype=float)
    assert overlaps(predicted, truth)[:3] == pytest.approx([1, 1 / 3, 0])
    assert np.isnan(overlaps(predicted, truth)[3])


def test_the_pixel_style_of_other_toolkits_is_the_same_overlap():
    rng = np.random.default_rng(5)
    a, b = rng.uniform(1, 60, (2, 500, 4))
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, :2] + a[:, 2:] - 1, b[:, :2] + b[:, 2:] - 1)
    shared = np.maximum(high - low + 1, 0).prod(axis=1)
    assert np.allclose(overlaps(a, b), shared / (a[:, 2:].prod(axis=1) + b[:, 2:].prod(axis=1) - shared))


def test_shares_are_strict_above_and_inclusive_within_and_never_count_nan():
    values = np.array([0.0, 0.5, 0.5, 1.0, np.nan])
    assert shares_above(values, np.array([0.0, 0.5, 1.0]), 5).tolist() == [0.6, 0.2, 0.0]
    assert shares_within(values, np.array([0.0, 0.5, 1.0]), 5).tolist() == [0.2, 0.6, 0.8]


def test_a_perfect_tracker_reaches_95_under_strict_thresholds():
    truth = Truth("s", np.tile([5.0, 5.0, 20.0, 20.0], (30, 1)))
    scores = benchmark("otb100").rule("official").score([truth], Results({"s": [truth.boxes]}), Counted())
    assert scores.metrics["AUC"] == pytest.approx(100 * 20 / 21)
    assert scores.metrics["mIoU"] == scores.metrics["P20"] == 100
    assert len(OVERLAPS) == 21


def test_the_folder_rule_leaves_out_the_first_frame_and_frames_without_truth():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [np.nan] * 4, [5, 0, 10, 10]], dtype=float)
    rule = benchmark("folder").rule(None)
    scores = rule.score([Truth("s", boxes)], Results({"s": [np.tile([0.0, 0, 10, 10], (4, 1))]}), Counted())
    assert scores.metrics["AO"] == pytest.approx(100 * (1 + 1 / 3) / 2)
    assert scores.metrics["SR50"] == 50
    with pytest.raises(ValueError, match="2 rows for 4 frames"):
        rule.score([Truth("s", boxes)], Results({"s": [boxes[:2]]}), Counted())
