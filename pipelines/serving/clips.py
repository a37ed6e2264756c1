"""One video file through the batch: its frames as they are decoded, an answer for each."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.footage.read import TooLarge, read_timed, stated_length
from pipelines.serving.batcher import Answer, Batcher, Box, Lane
from pipelines.serving.limits import Limits
from pipelines.serving.refusals import Refusal

_AHEAD = 2
"""Frames that are decoded while another one is in the network."""


@dataclass(frozen=True)
class ClipAnswer:
    """Where the target is in one frame of a video, and when that is shown."""

    answer: Answer
    seconds: float
    """Since the first frame."""
    size: tuple[int, int]
    """Width and height of the frames in pixels."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**self.answer.as_dict(), "seconds": round(self.seconds, 4)}


def track_clip(batcher: Batcher, way: str, video: Path, name: str, box: Box, limits: Limits) -> Generator[ClipAnswer]:
    """An answer for every frame of `video`, counted as `way`. Blocks its thread; closing it early frees the session.

    Raises Refusal, with `name`, for what is no video, one that breaks off, one beyond the limits, or a wrong box.
    """
    lane = Lane(way)
    pending: deque[tuple[Future[Answer], float, tuple[int, int]]] = deque()
    first = 0.0
    try:
        with closing(_frames(video, name, limits)) as frames:
            for number, (seconds, frame) in enumerate(frames):
                first = seconds if number == 0 else first
                _require_short(name, number + 1, seconds - first, limits)
                future = batcher.put(lane, frame, None if number else box)
                pending.append((future, seconds - first, (frame.shape[1], frame.shape[0])))
                if len(pending) > _AHEAD or number == 0:
                    yield _next(pending)
            if not pending and lane.state is None:
                raise Refusal(422, "video", f"{name} has no frames")
            while pending:
                yield _next(pending)
    except TooLarge as error:
        raise Refusal(413, "pixels", str(error)) from error
    except ValueError as error:
        said = str(error).replace(str(video), name)  # where the file lies here is nobody's business
        raise Refusal(422, "video", said) from error
    finally:
        batcher.close(lane)


def _next(pending: "deque[tuple[Future[Answer], float, tuple[int, int]]]") -> ClipAnswer:
    future, seconds, size = pending.popleft()
    return ClipAnswer(future.result(), seconds, size)


def _frames(video: Path, name: str, limits: Limits) -> Generator[tuple[float, NDArray[np.uint8]]]:
    """Frames with their seconds; where the container does not say, as if 25 were shown in a second."""
    _require_short(name, *stated_length(video, name), limits)
    frames: Iterator[tuple[float | None, NDArray[np.uint8]]] = read_timed(video, name, limits.frame_pixels)
    for number, (seconds, frame) in enumerate(frames):
        yield number / 25 if seconds is None else seconds, frame


def _require_short(name: str, frames: int, seconds: float, limits: Limits) -> None:
    if frames > limits.frames:
        raise Refusal(413, "frames", f"{name} has more frames than the {limits.frames} that are taken")
    if seconds > limits.seconds:
        raise Refusal(413, "seconds", f"{name} is longer than the {limits.seconds:g} seconds that are taken")
