"""Single frames of a report: overlap over time as a strip of colour, where a target was lost, pictures of it."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.report.figures import SERIES
from pipelines.evaluation.report.trackers import Measured
from pipelines.frames import read_image
from sstrack.benchmarks.metrics.curves import overlaps
from sstrack.benchmarks.regions import FAILED
from sstrack.benchmarks.sequence import Sequence as Clip

Floats = NDArray[np.float64]

LOST, LOST_FOR = 0.1, 10
"""A target is lost where overlap stays at most `LOST` for this many frames, or to the end of the clip."""
_BINS = 160
_UNKNOWN = (176, 178, 184)
_TILE = (320, 240)
_AROUND = 3.0
"""At least so many sides of the target around it are shown."""
_TRUTH = (255, 255, 255)
_EDGE = (20, 20, 24)


@dataclass(frozen=True)
class Tile:
    """A picture of one frame."""

    frame: int
    """From 1, as people count."""
    what: str
    """Why this frame."""
    uri: str
    """A JPEG as a data URI."""


def overlap_of(tracker: Measured, name: str) -> Floats | None:
    """[T] overlap of the boxes by frame on one sequence, NaN where there is no truth or no answer was asked for; None
    without answers. Of masks and polygons: of the boxes around them."""
    answers, truth = boxes_of(tracker, name), tracker.truths.get(name)
    if answers is None or truth is None or len(truth) != len(answers):
        return None
    values = overlaps(answers, truth.boxes)
    values[~truth.known] = np.nan
    runs = tracker.results.runs.get(name)
    if runs:
        values[next(iter(runs.values())).codes == FAILED] = 0.0
    return values


def boxes_of(tracker: Measured, name: str) -> Floats | None:
    """[T, 4] boxes of the first run in the benchmark's coordinates, NaN where there is none; None without a run that
    covers the clip from its first frame."""
    if tracker.results.boxes.get(name):
        return tracker.results.boxes[name][0]
    runs = tracker.results.runs.get(name)
    truth = tracker.truths.get(name)
    first = None if not runs or truth is None else runs.get(1 if truth.anchors is None else 0)
    if first is None:
        return None
    boxes = first.boxes.copy()
    boxes[first.codes >= 0] = np.nan
    return boxes


def lost_at(overlap: Floats) -> int | None:
    """The first frame from which the target is lost; None where it never is. Frames without truth do not count."""
    known = np.flatnonzero(~np.isnan(overlap))
    low = overlap[known] <= LOST
    for start in np.flatnonzero(low):
        window = low[start : start + LOST_FOR]
        if window.all():
            return int(known[start])
    return None


def in_words(tracker: Measured, name: str, overlap: Floats) -> str:
    """Where a tracker lost its target on one sequence; where it was started again after failures, how often it was."""
    runs = tracker.results.runs.get(name)
    failures = np.flatnonzero(next(iter(runs.values())).codes == FAILED) if runs else np.empty(0, dtype=np.int64)
    if len(failures):
        return f"failed {len(failures)} times, first at frame {failures[0] + 1} of {len(overlap)}"
    lost = lost_at(overlap)
    return "never lost" if lost is None else f"lost at frame {lost + 1} of {len(overlap)}"


def strip(overlap: Floats) -> str:
    """A data URI of a PNG one pixel high: overlap over time, grey where there is nothing to compare with."""
    cells = np.array_split(overlap, min(_BINS, len(overlap)))
    known = [cell[~np.isnan(cell)] for cell in cells]
    shades = matplotlib.colormaps["cividis"]([cell.mean() if len(cell) else 0.0 for cell in known])[:, :3] * 255
    shades[[not len(cell) for cell in known]] = _UNKNOWN
    _, png = cv2.imencode(".png", np.ascontiguousarray(shades[None, :, ::-1].round().astype(np.uint8)))
    return f"data:image/png;base64,{base64.b64encode(png.tobytes()).decode()}"


def tiles(name: str, trackers: Sequence[tuple[int, Measured]]) -> list[Tile]:
    """Frames of one sequence that show how its first tracker did, boxes of all drawn in; empty without frames.

    Args:
        name: of the sequence.
        trackers: with their colours' indices; the first is the one that is looked at.
    """
    first = trackers[0][1]
    clip = first.clips.get(name)
    overlap = overlap_of(first, name)
    if clip is None or overlap is None or not (~np.isnan(overlap)).any():
        return []
    shift = np.array((clip.truth.origin, clip.truth.origin, 0, 0))
    boxes = {colour: boxes_of(tracker, name) for colour, tracker in trackers}
    drawn = {colour: rows - shift for colour, rows in boxes.items() if rows is not None and len(rows) == len(clip)}
    made: list[Tile] = []
    for number, what in _chosen(overlap).items():
        try:
            picture = _draw(clip, number, drawn)
        except ValueError:  # evaluation says which frame cannot be read, and gives no score
            continue
        made.append(Tile(number + 1, what, picture))
    return made


def _chosen(overlap: Floats) -> dict[int, str]:
    """Frame to why it is shown, in order of time."""
    last = int(np.flatnonzero(~np.isnan(overlap))[-1])
    lost = lost_at(overlap)
    found: dict[int, str] = {0: "given box"}
    if lost is None:
        worst = int(np.nanargmin(overlap))
        found |= {worst // 2: "on the way", worst: f"worst, overlap {overlap[worst]:.2f}"}
        found.setdefault(last, "end")
    else:
        found |= {max(lost - 1, 0): "just before", lost: "lost from here"}
        found.setdefault(min(lost + 2 * LOST_FOR, (lost + last + 1) // 2), "after")
    found[0] = "given box"
    return dict(sorted(found.items()))


def _draw(clip: Clip, number: int, drawn: Mapping[int, Floats]) -> str:
    frame = read_image(clip.frames[number])
    rows = [(clip.boxes[number], _TRUTH)]
    rows += [(boxes[number], _rgb(SERIES[colour % len(SERIES)])) for colour, boxes in drawn.items()]
    shown = [(box, colour) for box, colour in rows if np.isfinite(box).all()]
    x, y, scale = _window(frame.shape, [box for box, _ in shown])
    shown.reverse()  # the truth on top, then the first tracker
    width, height = _TILE
    view = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    tile = cv2.warpAffine(frame, view, (width, height), flags=way, borderValue=_EDGE)
    for thick, edge in ((4, True), (2, False)):
        for box, colour in shown:
            left, top, w, h = (box - (x, y, 0, 0)) * scale
            corners = (round(left), round(top)), (round(left + w), round(top + h))
            cv2.rectangle(tile, *corners, _EDGE if edge else colour, thick, cv2.LINE_AA)
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(tile, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"


def _window(shape: tuple[int, ...], boxes: Sequence[Floats]) -> tuple[float, float, float]:
    """Left, top and scale of the part of a frame that shows all boxes with something around the first of them."""
    height, width = shape[:2]
    aspect = _TILE[0] / _TILE[1]
    if not boxes:
        wide = max(width, height * aspect)
        return (width - wide) / 2, (height - wide / aspect) / 2, _TILE[0] / wide
    table = np.array(boxes)
    around = _AROUND * max(table[0, 2], table[0, 3])
    low = np.minimum(table[:, :2].min(axis=0), table[0, :2] + table[0, 2:] / 2 - around)
    high = np.maximum((table[:, :2] + table[:, 2:]).max(axis=0), table[0, :2] + table[0, 2:] / 2 + around)
    low, high = np.maximum(low, 0), np.minimum(high, (width, height))
    wide = float(max(high[0] - low[0], (high[1] - low[1]) * aspect, 32))
    wide = min(wide, max(width, height * aspect))
    size = np.array((wide, wide / aspect))
    corner = np.clip((low + high - size) / 2, 0, np.maximum(np.array((width, height)) - size, 0))
    corner = np.where(size > (width, height), (np.array((width, height)) - size) / 2, corner)
    return float(corner[0]), float(corner[1]), _TILE[0] / wide


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
