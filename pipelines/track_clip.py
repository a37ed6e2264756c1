"""Follow one target through one clip: boxes to a text file, and optionally a video with the boxes drawn in."""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines import storage
from pipelines.errors import SSTrackError
from pipelines.evaluation.models import resolve_model
from pipelines.frames import count_frames, read_clip

Box = tuple[float, float, float, float]
COLOUR = (40, 220, 120)


@dataclass(frozen=True)
class TrackedClip:
    """Where the answers are."""

    model: str
    source: str
    frames: int
    fps: float
    """Frames per second of tracking, reading and drawing left out."""
    boxes: str
    """The text file: one x,y,w,h line per frame, the first is the given box."""
    render: str | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return dataclasses.asdict(self)


def track_clip(
    model: str,
    source: Path,
    box: Box,
    out: Path,
    *,
    render: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TrackedClip:
    """Track `box` of the first frame through `source`.

    Args:
        model: a model URI, see `resolve_model`.
        source: a folder of images or a video file.
        box: xywh in pixels, 0-based top-left.
        out: text file to write, whole or not at all.
        render: .mp4 to write, with a box on every frame.
        progress: called with frames done and frames in all (0 when a video does not say).

    Raises SSTrackError: no such model, nothing to read, a box outside the frame.
    """
    from sstrack.models.package import load_package
    from sstrack.tracking.tracker import Tracker

    net, recipe = load_package(resolve_model(model))
    tracker = Tracker(net, recipe.tracking)
    boxes: list[Box] = []
    seconds = 0.0
    try:
        total = count_frames(source)
        frames = read_clip(source)
        first = next(frames)
        state = tracker.start(first, box)
    except ValueError as error:
        raise SSTrackError(str(error)) from error
    with ExitStack() as closing:
        draw = closing.enter_context(_Video(render, first)) if render else None
        for index, frame in enumerate(_readable(itertools.chain([first], frames))):
            started = time.perf_counter()
            if index == 0:
                boxes.append(box)
            else:
                state, prediction = tracker.step(state, frame)
                boxes.append(prediction.box)
            seconds += time.perf_counter() - started
            if draw:
                draw.add(frame, boxes[-1])
            if progress:
                progress(index + 1, max(total, index + 1))
    storage.write_atomic(str(out), "".join(",".join(f"{value:.3f}" for value in row) + "\n" for row in boxes).encode())
    fps = (len(boxes) - 1) / seconds if seconds > 0 else 0.0
    return TrackedClip(model, str(source), len(boxes), fps, str(out), str(render) if render else None)


def draw_box(frame: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """A copy of [H, W, 3] RGB `frame` with the xywh box on it."""
    x, y, w, h = box
    thickness = max(1, round(min(frame.shape[:2]) / 200))
    corners = (round(x), round(y)), (round(x + w), round(y + h))
    return np.asarray(cv2.rectangle(frame.copy(), *corners, COLOUR, thickness), dtype=np.uint8)


def _readable(frames: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    try:
        yield from frames
    except ValueError as error:
        raise SSTrackError(str(error)) from error


class _Video:
    """An H.264 file that appears under its name when it is complete."""

    def __init__(self, path: Path, first: NDArray[np.uint8]) -> None:
        self._path = path
        self._size = first.shape[1] // 2 * 2, first.shape[0] // 2 * 2

    def __enter__(self) -> "_Video":
        import av

        self._av = av
        with storage.explained(self._path.parent, "make the folder"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
        self._partial = self._path.with_name(f".{self._path.name}.partial.mp4")
        with storage.explained(self._path):
            self._container = av.open(str(self._partial), "w")
        self._stream = self._container.add_stream("libx264", rate=Fraction(25))
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        return self

    def add(self, frame: NDArray[np.uint8], box: Box) -> None:
        """Append one RGB frame with its box; frames of another size are brought to the first one's."""
        drawn = draw_box(frame, box)
        if (drawn.shape[1], drawn.shape[0]) != self._size:
            drawn = np.asarray(cv2.resize(drawn, self._size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        self._container.mux(self._stream.encode(self._av.VideoFrame.from_ndarray(drawn, format="rgb24")))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._container.mux(self._stream.encode())
        self._container.close()
        if kind is None:
            self._partial.replace(self._path)
        else:
            self._partial.unlink(missing_ok=True)
