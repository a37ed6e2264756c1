"""Box formats convert both ways; overlaps behave as overlaps."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from sstrack.boxes import (
    clip_to_frame,
    cxcywh_to_xywh,
    iou,
    iou_giou,
    xywh_to_cxcywh,
    xywh_to_xyxy,
    xyxy_to_xywh,
)

corner = st.floats(-1000, 1000, width=32)
side = st.floats(0.125, 1000, width=32)
boxes = st.tuples(corner, corner, side, side).map(lambda box: torch.tensor(box, dtype=torch.float64))


@given(boxes)
def test_conversions_round_trip(box: torch.Tensor) -> None:
    torch.testing.assert_close(xyxy_to_xywh(xywh_to_xyxy(box)), box)
    torch.testing.assert_close(cxcywh_to_xywh(xywh_to_cxcywh(box)), box)


@given(boxes, boxes)
def test_overlap_is_symmetric_bounded_and_one_with_itself(a: torch.Tensor, b: torch.Tensor) -> None:
    overlap, generalised = iou_giou(a, b)
    assert 0 <= overlap <= 1 and -1 <= generalised <= overlap
    torch.testing.assert_close(overlap, iou(b, a))
    torch.testing.assert_close(iou(a, a), torch.ones((), dtype=torch.float64))


def test_overlap_of_half_shifted_boxes_is_a_third() -> None:
    overlap, generalised = iou_giou(torch.tensor([0.0, 0.0, 2.0, 1.0]), torch.tensor([1.0, 0.0, 2.0, 1.0]))
    torch.testing.assert_close(overlap, torch.tensor(1 / 3))
    torch.testing.assert_close(generalised, torch.tensor(1 / 3))


def test_distant_boxes_have_no_overlap_and_negative_giou() -> None:
    overlap, generalised = iou_giou(torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([3.0, 0.0, 1.0, 1.0]))
    assert overlap == 0
    torch.testing.assert_close(generalised, torch.tensor(-0.5))


@given(boxes, st.floats(8, 2000), st.floats(8, 2000))
def test_clipped_boxes_lie_inside_the_frame_and_keep_a_smallest_side(
    box: torch.Tensor, width: float, height: float
) -> None:
    x, y, w, h = clip_to_frame(box, width, height, min_side=4.0).tolist()
    assert x >= 0 and y >= 0 and x + w <= width + 1e-6 and y + h <= height + 1e-6
    assert w >= 4 - 1e-9 and h >= 4 - 1e-9
