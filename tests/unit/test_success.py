"""Overlap scores: IoU per frame and what is averaged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sstrack.benchmarks.metrics.success import average_overlap, overlap, score_like_got10k, success_plot, success_rate
from sstrack.benchmarks.sequence import Sequence, static_boxes

BOXES = arrays(
    np.float64,
    (6, 4),
    elements=st.floats(0.5, 200, allow_nan=False).map(lambda value: round(value, 3)),
)


@given(BOXES, BOXES)
def test_overlap_is_symmetric_and_between_0_and_1(a, b):
    assert np.allclose(overlap(a, b), overlap(b, a))
    assert ((overlap(a, b) >= 0) & (overlap(a, b) <= 1)).all()


@given(BOXES, st.floats(-50, 50), st.floats(0.1, 8))
def test_overlap_ignores_where_the_picture_starts_and_its_scale(boxes, shift, scale):
    other = boxes + np.array([3, -2, 1, 1])
    moved = [(box + np.array([shift, shift, 0, 0])) * scale for box in (boxes, other)]
    assert np.allclose(overlap(boxes, other), overlap(*moved), atol=1e-6)


def test_overlap_of_known_boxes():
    truth = np.array([[0, 0, 10, 10]] * 4 + [[np.nan] * 4], dtype=float)
    predicted = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 5, 5], [np.nan, 0, 1, 1], [0, 0, 1, 1]], dtype=float)
    assert overlap(predicted, truth)[:4] == pytest.approx([1, 1 / 3, 0, 0])
    assert np.isnan(overlap(predicted, truth)[4])
    with pytest.raises(ValueError, match=r"\(5, 4\)"):
        overlap(predicted, truth[:2])


def test_the_first_frame_and_frames_without_truth_do_not_count():
    iou = np.array([0.0, 1.0, np.nan, 0.5])
    assert average_overlap(iou) == pytest.approx(0.75)
    assert success_rate(iou, 0.5) == pytest.approx(0.5)
    assert np.isnan(average_overlap(np.array([1.0, np.nan])))


def test_the_mean_of_the_success_plot_is_close_to_the_average_overlap():
    iou = np.linspace(0.01, 0.99, 400)
    assert success_plot(iou).mean() == pytest.approx(average_overlap(iou), abs=0.03)


def test_scores_of_a_sequence_are_in_percent(tmp_path):
    truth = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [5, 0, 10, 10]], dtype=float)
    sequence = Sequence("s", tuple(tmp_path / f"{i}.jpg" for i in range(3)), truth, np.ones(3, dtype=bool))
    metrics = score_like_got10k(static_boxes(sequence), sequence).metrics
    assert metrics["AO"] == pytest.approx(100 * (1 + 1 / 3) / 2)
    assert metrics["SR50"] == 50
    with pytest.raises(ValueError, match="2 predicted boxes"):
        score_like_got10k(truth[:2], sequence)
