"""Follow targets through footage: boxes to text files, and optionally a video with the boxes drawn in."""

import dataclasses
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from contextlib import closing as closing_of
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.draw import Box, draw_target
from pipelines.errors import SSTrackError
from pipelines.tracking.ahead import read_ahead
from pipelines.tracking.boxes_out import BoxesOut
from pipelines.tracking.footage import open_footage
from pipelines.tracking.load import load_tracker
from pipelines.tracking.video_out import VideoOut

if TYPE_CHECKING:
    from sstrack.tracking.state import Prediction

_TRAIL = 40
"""Frames whose centres a rendered trail joins."""


@dataclass(frozen=True)
class FollowedFrame:
    """The answers for one frame, one per target in the order of the given boxes."""

    frame: int
    """Index, the first is 0."""
    boxes: tuple[Box, ...]
    """xywh in pixels."""
    scores: tuple[float, ...]
    """0..1; 1 on the first frame."""
    absent: tuple[bool, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        targets = zip(self.boxes, self.scores, self.absent, strict=True)
        return {
            "frame": self.frame,
            "targets": [
                {"box": [round(value, 3) for value in box], "score": round(score, 4), "absent": absent}
                for box, score, absent in targets
            ],
        }


@dataclass(frozen=True)
class Followed:
    """Where the answers are."""

    model: str
    source: str
    frames: int
    fps: float
    """Frames per second of tracking, reading and drawing left out."""
    boxes: tuple[str, ...]
    """One text file per target: an x,y,w,h line per frame, the first is the given box."""
    render: str | None
    interrupted: bool
    """A person ended it: Ctrl-C on a stream or camera, or the window closed; what was seen is written."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return dataclasses.asdict(self)


def follow(
    model: str,
    source: str,
    boxes: Sequence[Box],
    out: Path,
    *,
    render: Path | None = None,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    fast: bool = False,
    threads: int | None = None,
    each: Callable[[FollowedFrame], None] | None = None,
    watch: Callable[[NDArray[np.uint8]], bool] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Followed:
    """Track `boxes` of the first frame through `source`.

    Args:
        model: a model URI, see `resolve_model`.
        source: what `open_footage` opens.
        boxes: one per target, xywh in pixels, 0-based top-left.
        out: text file to write, whole or not at all; with several targets `name.1.txt`, `name.2.txt`, ….
        render: video to write, with boxes, scores and trails.
        options: see `load_tracker`, as for `device`, `fast` and `threads`.
        each: called with every frame's answers as soon as they are there.
        watch: called with every frame, boxes drawn in; False ends the tracking, and what was seen is written.
        progress: called with frames done and frames in all (0 when unknown).

    Raises SSTrackError: no such model, nothing to read, a box outside the frame, an unreadable frame.
    """
    if not boxes:
        raise SSTrackError("no target given; give the box of at least one")
    tracker = load_tracker(model, options, device=device, fast=fast, threads=threads)
    places = [out] if len(boxes) == 1 else [out.with_suffix(f".{n}{out.suffix}") for n in range(1, len(boxes) + 1)]
    trails: deque[tuple[Box, ...]] = deque(maxlen=_TRAIL)
    done, seconds, interrupted = 0, 0.0, False
    try:
        footage = open_footage(source)
        first = next(footage.frames, None)
        if first is None:
            raise ValueError(f"{footage.name} has no frames")
        states = [tracker.start(first, box) for box in boxes]
        with ExitStack() as closing:
            text = closing.enter_context(BoxesOut(places))
            video = closing.enter_context(VideoOut(render, first, footage.rate)) if render else None
            # Not for live sources: what waits in a queue is old, and a thread that waits for a stream cannot be ended.
            later = footage.frames if footage.endless else closing.enter_context(closing_of(read_ahead(footage.frames)))
            try:
                for index, frame in enumerate(itertools.chain([first], later)):
                    if index == 0:
                        answer = FollowedFrame(0, tuple(boxes), (1.0,) * len(boxes), (False,) * len(boxes))
                    else:
                        started = time.perf_counter()
                        stepped = tracker.step_many(states, [frame] * len(states))
                        seconds += time.perf_counter() - started
                        states = [state for state, _ in stepped]
                        answer = _answer(index, [prediction for _, prediction in stepped])
                    text.add(answer.boxes)
                    trails.append(answer.boxes)
                    done = index + 1
                    drawn = _drawn(frame, trails, answer) if video or watch else frame
                    if video:
                        video.add(drawn)
                    if each:
                        each(answer)
                    if progress:
                        progress(done, max(footage.count, done))
                    if watch and not watch(drawn):
                        interrupted = True
                        break
            except KeyboardInterrupt:
                if not footage.endless:
                    raise
                interrupted = True  # the usual end of a camera or stream: what was seen is written
    except ValueError as error:
        lost = f" ({done} frames were tracked, nothing is written)" if done else ""
        raise SSTrackError(f"{error}{lost}") from error
    fps = (done - 1) / seconds if seconds > 0 else 0.0
    written = tuple(str(place) for place in places)
    return Followed(model, footage.name, done, fps, written, str(render) if render else None, interrupted)


def _answer(index: int, found: "Sequence[Prediction]") -> FollowedFrame:
    return FollowedFrame(
        index,
        tuple(one.box for one in found),
        tuple(one.score for one in found),
        tuple(one.absent for one in found),
    )


def _drawn(frame: NDArray[np.uint8], history: Iterable[tuple[Box, ...]], answer: FollowedFrame) -> NDArray[np.uint8]:
    for number, trail in enumerate(zip(*history, strict=True)):
        score, absent = answer.scores[number], answer.absent[number]
        frame = draw_target(frame, trail, score, number, absent=absent, of=len(answer.boxes))
    return frame
