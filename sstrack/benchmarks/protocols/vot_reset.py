"""VOT's reset-based protocol: a tracker that has lost the target starts again five frames later."""

import numpy as np

from sstrack.benchmarks.metrics.raster import overlap_classic
from sstrack.benchmarks.metrics.vot_reset import SKIP
from sstrack.benchmarks.protocols.base import Clock, Load, RegionRun, Runner, clock
from sstrack.benchmarks.regions import FAILED, INITIALISED, UNKNOWN, box_regions
from sstrack.benchmarks.sequence import Sequence


def run_with_resets(tracker: Runner, sequence: Sequence, load: Load, now: Clock = clock) -> RegionRun:
    """Code 1 where the tracker starts, boxes, code 2 where overlap with the truth is 0, code 0 on four frames after.

    It starts on the box around the true polygon. Overlap is rasterised inside the image as the Matlab toolkit does.
    """
    truth = sequence.truth
    assert truth.regions is not None and truth.size is not None
    right, bottom = truth.size[0] - 1, truth.size[1] - 1
    frames = len(sequence)
    boxes, seconds = np.full((frames, 4), np.nan), np.zeros(frames)
    codes = np.full(frames, UNKNOWN, dtype=np.int64)
    state = None
    restart = 0
    for index, path in enumerate(sequence.frames):
        if state is None and index < restart:
            continue
        begun = now()
        frame = load(path)
        if state is None:
            if np.isnan(sequence.boxes[index]).any():
                restart = index + 1
                continue
            state = tracker.start(frame, sequence.boxes[index])
            codes[index] = INITIALISED
        else:
            state, answer = tracker.step(state, frame)
            boxes[index] = answer.box
            codes[index] = -1
            gt = truth.regions.take(np.array([index]))
            shown = box_regions(boxes[index : index + 1], codes[index : index + 1])
            if not overlap_classic(shown, gt, (right, bottom))[0, 0] > 0:
                codes[index], state, restart = FAILED, None, index + SKIP
        seconds[index] = now() - begun
    return RegionRun(box_regions(boxes, codes), seconds)
