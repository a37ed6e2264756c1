"""The labelled boxes in a clip's record."""

import numpy as np
from numpy.typing import NDArray

from sstrack.clips.clip import Clip


def frame_boxes(clip: Clip) -> NDArray[np.float32]:
    """`[T, 4]` xywh pixels: the label of each frame, NaN where it has none."""
    boxes = np.full((clip.frames, 4), np.nan, np.float32)
    for frame, box in enumerate(clip.boxes or ()):
        if box is not None:
            boxes[frame] = box
    return boxes
