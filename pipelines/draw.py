"""Boxes, scores and trails drawn into pictures."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
COLOURS = ((40, 220, 120), (255, 160, 40), (80, 160, 255), (240, 80, 160), (230, 230, 60), (160, 110, 255))
"""RGB, one per target, then again from the first."""
_ABSENT = (150, 150, 150)


def draw_box(
    frame: NDArray[np.uint8], box: Box, colour: tuple[int, int, int] = COLOURS[0], label: str = ""
) -> NDArray[np.uint8]:
    """A copy of [H, W, 3] RGB `frame` with the xywh box on it, and `label` above the box."""
    x, y, w, h = box
    drawn = frame.copy()
    thickness = _thickness(frame)
    cv2.rectangle(drawn, (round(x), round(y)), (round(x + w), round(y + h)), colour, thickness)
    if label:
        scale = min(frame.shape[:2]) / 700 + 0.2
        place = (max(0, round(x)), max(round(25 * scale), round(y) - 2 * thickness))
        cv2.putText(drawn, label, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 3 * thickness, cv2.LINE_AA)
        cv2.putText(drawn, label, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)
    return drawn


def draw_target(
    frame: NDArray[np.uint8], trail: Sequence[Box], score: float, number: int, *, absent: bool, of: int
) -> NDArray[np.uint8]:
    """A copy of `frame` with the last box of `trail`, its score, and a line through the centres of all of them.

    `number` (of `of` targets, from 0) picks the colour and, where there are several, is written beside the score. An
    absent target is gray.
    """
    colour = _ABSENT if absent else COLOURS[number % len(COLOURS)]
    label = f"{number + 1}: {score:.2f}" if of > 1 else f"{score:.2f}"
    drawn = draw_box(frame, trail[-1], colour, label)
    centres = np.array([(x + w / 2, y + h / 2) for x, y, w, h in trail]).round().astype(np.int32)
    cv2.polylines(
        drawn, [centres[:, None]], isClosed=False, color=colour, thickness=_thickness(frame), lineType=cv2.LINE_AA
    )
    return drawn


def _thickness(frame: NDArray[np.uint8]) -> int:
    return max(1, round(min(frame.shape[:2]) / 200))
