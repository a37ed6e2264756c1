"""Tracks without labels: a box followed forward through frames and back again, as far as both ways agree."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sstrack.boxes import iou
from sstrack.tracking.tracker import Tracker


def closed_track(
    tracker: Tracker, frames: Sequence[NDArray[np.uint8]], box: tuple[float, float, float, float], agree: float
) -> NDArray[np.float64]:
    """Follow `box` from the first frame on, then back from where it was found, and keep what both ways agree on.

    Where the ways disagree anywhere, the first half of the frames is tried, then the first quarter.

    Args:
        tracker: what follows; nothing is learnt from it or taught to it.
        frames: uint8 `[H, W, 3]` RGB of one size, at least two.
        box: xywh pixels on the first frame.
        agree: overlap (IoU, 0..1) that the two ways need on every frame, the first one included.

    Returns: boxes `[T, 4]` xywh pixels for the first T frames; T is 0 where even the first quarter does not close.
    """
    forward = _follow(tracker, frames, box)
    for part in (1, 2, 4):
        count = len(frames) // part
        if count < 2:
            break
        back = _follow(tracker, frames[:count][::-1], forward[count - 1])[::-1]
        if bool((iou(torch.from_numpy(forward[:count]), torch.from_numpy(back.copy())) >= agree).all()):
            return forward[:count]
    return np.zeros((0, 4))


def _follow(tracker: Tracker, frames: Sequence[NDArray[np.uint8]], box: Sequence[float]) -> NDArray[np.float64]:
    """Boxes `[T, 4]`, the first one as given."""
    state = tracker.start(frames[0], box)
    boxes = [tuple(float(value) for value in box)]
    for frame in frames[1:]:
        state, found = tracker.step(state, frame)
        boxes.append(found.box)
    return np.array(boxes, np.float64)
