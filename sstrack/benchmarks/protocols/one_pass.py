"""One pass: start on the first true box, follow to the end, no help on the way."""

import numpy as np

from sstrack.benchmarks.protocols.base import BoxRun, Clock, Load, Runner, clock
from sstrack.benchmarks.sequence import Sequence


def run_one_pass(tracker: Runner, sequence: Sequence, load: Load, now: Clock = clock) -> BoxRun:
    """Boxes on every frame of `sequence`, the given box on its first."""
    boxes, seconds = np.empty((len(sequence), 4)), np.zeros(len(sequence))
    boxes[0] = sequence.first_box
    begun = now()
    state = tracker.start(load(sequence.frames[0]), sequence.first_box)
    seconds[0] = now() - begun
    for index, path in enumerate(sequence.frames[1:], start=1):
        begun = now()
        state, answer = tracker.step(state, load(path))
        seconds[index] = now() - begun
        boxes[index] = answer.box
    return BoxRun(boxes, seconds)
