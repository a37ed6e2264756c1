"""VOT2020's protocol: one run per anchor, forward to the end or backward to the first frame."""

import numpy as np

from sstrack.benchmarks.metrics.vot_anchor import anchor_frames
from sstrack.benchmarks.protocols.base import Clock, Load, RegionRun, Runner, clock
from sstrack.benchmarks.regions import INITIALISED, box_regions
from sstrack.benchmarks.sequence import Sequence


def run_from_anchor(tracker: Runner, sequence: Sequence, anchor: int, load: Load, now: Clock = clock) -> RegionRun:
    """Code 1, then a box per frame in the order of tracking. ValueError where the anchor frame has no truth."""
    order = anchor_frames(sequence.truth, anchor)
    given = sequence.boxes[anchor]
    if np.isnan(given).any():
        raise ValueError(f"sequence {sequence.name!r}: anchor frame {anchor} has no target to start on")
    boxes, seconds = np.full((len(order), 4), np.nan), np.zeros(len(order))
    begun = now()
    state = tracker.start(load(sequence.frames[anchor]), given)
    seconds[0] = now() - begun
    for index, frame in enumerate(order[1:], start=1):
        begun = now()
        state, answer = tracker.step(state, load(sequence.frames[frame]))
        seconds[index] = now() - begun
        boxes[index] = answer.box
    codes = np.full(len(order), -1, dtype=np.int64)
    codes[0] = INITIALISED
    return RegionRun(box_regions(boxes, codes), seconds)
