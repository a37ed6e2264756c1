"""Running measurements of a video's tiny luma frames: a few numbers per frame are kept, the frames are not."""

import numpy as np
from numpy.typing import NDArray

_SPOTS = 12
"""How many of the most changed pixels say whether something moved; a small object covers only a few."""


class LumaTrack:
    """Feed uint8 [N, h, w] frames in order with `add`; `measures` then gives one float32 [5] row per frame.

    `lag` is the number of frames that `drift` looks back (half a second, say).
    """

    COLUMNS = ("mean", "spread", "change", "drift", "reach")

    def __init__(self, lag: int) -> None:
        self._lag = max(1, lag)
        self._rows: list[NDArray[np.float32]] = []
        self._recent: NDArray[np.int16] | None = None
        self._seen = 0

    def add(self, frames_NHW: NDArray[np.uint8]) -> None:
        """Measure more frames."""
        count = len(frames_NHW)
        if count == 0:
            return
        frames = frames_NHW.reshape(count, -1).astype(np.int16)
        recent = frames[:1] if self._recent is None else self._recent
        stack = np.concatenate([recent, frames])
        at = np.arange(len(recent), len(stack))
        reach = np.minimum(self._lag, np.arange(self._seen, self._seen + count))
        change = np.abs(stack[at] - stack[at - 1]).mean(axis=1)
        moved = np.abs(stack[at] - stack[at - reach])
        spots = min(_SPOTS, moved.shape[1])
        drift = np.partition(moved, -spots, axis=1)[:, -spots:].mean(axis=1)
        rows = np.stack([frames.mean(axis=1), frames.std(axis=1), change, drift, reach], axis=1)
        self._rows.append(rows.astype(np.float32))
        self._recent = stack[-self._lag :]
        self._seen += count

    def measures(self) -> NDArray[np.float32]:
        """float32 [N, 5]: mean and spread of luma (0-255); mean change from the frame before; mean change of the most
        changed spots since `reach` frames earlier; `reach`, which is below `lag` only at the start."""
        return np.concatenate(self._rows) if self._rows else np.zeros((0, len(self.COLUMNS)), np.float32)
