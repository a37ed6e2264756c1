"""Follow targets through footage: boxes to text files, and optionally a video with the boxes drawn in."""

import dataclasses
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines import storage
from pipelines.errors import SSTrackError
from pipelines.evaluation.models import resolve_model
from pipelines.tracking.draw import Box, draw_target
from pipelines.tracking.footage import open_footage
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
    """Ctrl-C ended a stream or camera; what was seen is written."""

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
    each: Callable[[FollowedFrame], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Followed:
    """Track `boxes` of the first frame through `source`.

    Args:
        model: a model URI, see `resolve_model`.
        source: what `open_footage` opens.
        boxes: one per target, xywh in pixels, 0-based top-left.
        out: text file to write, whole or not at all; with several targets `name.1.txt`, `name.2.txt`, ….
        render: video to write, with boxes, scores and trails.
        options: fields of `TrackingConfig` to change.
        each: called with every frame's answers as soon as they are there.
        progress: called with frames done and frames in all (0 when unknown).

    Raises SSTrackError: no such model, nothing to read, a box outside the frame, an unreadable frame.
    """
    from pipelines.tracking.options import tracking_config
    from sstrack.models.package import load_package
    from sstrack.tracking.tracker import Tracker

    if not boxes:
        raise SSTrackError("no target given; give the box of at least one")
    net, recipe = load_package(resolve_model(model))
    tracker = Tracker(net, tracking_config(recipe.tracking, options or {}))
    history: list[tuple[Box, ...]] = []
    seconds, interrupted = 0.0, False
    try:
        footage = open_footage(source)
        first = next(footage.frames, None)
        if first is None:
            raise ValueError(f"{footage.name} has no frames")
        states = [tracker.start(first, box) for box in boxes]
        with ExitStack() as closing:
            video = closing.enter_context(VideoOut(render, first, footage.rate)) if render else None
            try:
                for index, frame in enumerate(itertools.chain([first], footage.frames)):
                    if index == 0:
                        answer = FollowedFrame(0, tuple(boxes), (1.0,) * len(boxes), (False,) * len(boxes))
                    else:
                        started = time.perf_counter()
                        stepped = tracker.step_many(states, [frame] * len(states))
                        seconds += time.perf_counter() - started
                        states = [state for state, _ in stepped]
                        answer = _answer(index, [prediction for _, prediction in stepped])
                    history.append(answer.boxes)
                    if video:
                        video.add(_drawn(frame, history[-_TRAIL:], answer))
                    if each:
                        each(answer)
                    if progress:
                        progress(index + 1, max(footage.count, index + 1))
            except KeyboardInterrupt:
                if not footage.endless:
                    raise
                interrupted = True  # the usual end of a camera or stream: what was seen is written
    except ValueError as error:
        done = f" ({len(history)} frames were tracked, nothing is written)" if history else ""
        raise SSTrackError(f"{error}{done}") from error
    places = [out] if len(boxes) == 1 else [out.with_suffix(f".{n}{out.suffix}") for n in range(1, len(boxes) + 1)]
    for place, row in zip(places, zip(*history, strict=True), strict=True):
        text = "".join(",".join(f"{value:.3f}" for value in box) + "\n" for box in row)
        storage.write_atomic(str(place), text.encode())
    fps = (len(history) - 1) / seconds if seconds > 0 else 0.0
    written = tuple(str(place) for place in places)
    return Followed(model, footage.name, len(history), fps, written, str(render) if render else None, interrupted)


def _answer(index: int, found: "Sequence[Prediction]") -> FollowedFrame:
    return FollowedFrame(
        index,
        tuple(one.box for one in found),
        tuple(one.score for one in found),
        tuple(one.absent for one in found),
    )


def _drawn(frame: NDArray[np.uint8], history: Sequence[tuple[Box, ...]], answer: FollowedFrame) -> NDArray[np.uint8]:
    for number, trail in enumerate(zip(*history, strict=True)):
        score, absent = answer.scores[number], answer.absent[number]
        frame = draw_target(frame, trail, score, number, absent=absent, of=len(answer.boxes))
    return frame
