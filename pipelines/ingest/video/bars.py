"""The black bars of a video, from a few of its keyframes: from one where there are none, so most videos pay little."""

from collections.abc import Iterator, Sequence

import av
import av.container
import av.error
import av.video
import numpy as np
from numpy.typing import NDArray

from pipelines.footage.turn import Turn
from sstrack.clips.letterbox import Bars, find_bars

_KEYFRAMES = 8


def bars_of(
    container: av.container.InputContainer,
    stream: av.video.VideoStream,
    turn: Turn,
    first: av.VideoFrame | None,
    ticks: Sequence[int],
) -> Bars:
    """Bars of the upright picture in decoded pixels, from the `first` frame and those at up to eight of `ticks` (of
    keyframes).

    Leaves the container at some place in its middle. No bars where no frame can be decoded.
    """
    last = len(ticks) - 1
    chosen = {ticks[number * last // (_KEYFRAMES - 1)] for number in range(_KEYFRAMES)} if ticks else set()
    return find_bars(_frames(container, stream, turn, first, sorted(chosen)))


def _frames(
    container: av.container.InputContainer,
    stream: av.video.VideoStream,
    turn: Turn,
    first: av.VideoFrame | None,
    ticks: Sequence[int],
) -> Iterator[NDArray[np.uint8]]:
    if first is not None:
        yield _upright(first, turn)
        ticks = [tick for tick in ticks if tick != first.pts]
    for tick in ticks:
        try:
            container.seek(tick, stream=stream)
            frame = next(container.decode(stream), None)
        except av.error.FFmpegError:
            continue  # damage is the decoder's business; the other frames tell
        if frame is not None:
            yield _upright(frame, turn)


def _upright(frame: av.VideoFrame, turn: Turn) -> NDArray[np.uint8]:
    gray = frame.to_ndarray(format="gray").astype(np.uint8, copy=False)
    return turn.apply(gray)
