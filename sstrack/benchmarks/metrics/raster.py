"""Overlap of rasterised regions, for many frames at once, as the two VOT toolkits draw them.

Both round corners to whole pixels and fill polygons row by row between the sorted crossings of the edges, ends
included. They differ in:

- `overlap_classic`, the C library behind the Matlab toolkit and pysot: halves round away from zero, a box is the
  polygon x, y to x + w, y + h, a horizontal edge is no crossing, a run between equal crossings is never drawn.
- `overlap_toolkit`, the python toolkit (0.8 to 0.9): halves round to even, a box is w x h pixels, a horizontal edge
  is a crossing, the last pair of equal crossings is drawn, two empty regions agree fully.

A region becomes horizontal pixel runs per row; the loops here go over corners and blocks, never over frames.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sstrack.benchmarks.regions import BOX, MASK, POLYGON, SPECIAL, Regions, mask_runs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_ROWS_AT_ONCE = 1 << 18
"""Bounds memory: temporaries of a block hold this many rows times the corners."""


@dataclass(frozen=True)
class Runs:
    """Pixels of N regions: disjoint runs in order of region, row, start."""

    region: Ints
    row: Ints
    start: Ints
    stop: Ints
    """Exclusive."""

    def areas(self, count: int) -> Floats:
        """[N] pixels per region."""
        return np.bincount(self.region, self.stop - self.start, minlength=count).astype(np.float64)


def overlap_toolkit(first: Regions, second: Regions, size: tuple[int, int]) -> Floats:
    """[T] intersection over union under the python toolkit's drawing, inside an image of `size` (width, height).

    A special region is empty, so it gives 0; 1 where both together span less than two columns or rows.
    """
    width, height = size
    a, b = draw_toolkit(first, size), draw_toolkit(second, size)
    shared = _shared(a, b, len(first), width, height)
    union = a.areas(len(first)) + b.areas(len(first)) - shared
    value = np.divide(shared, union, out=np.zeros(len(first)), where=union > 0)
    one, two = _toolkit_bounds(first), _toolkit_bounds(second)
    low, high = np.minimum(one[:, :2], two[:, :2]), np.maximum(one[:, 2:], two[:, 2:])
    inside = (np.maximum(low, 0) < np.minimum(high, (width - 1, height - 1))).all(axis=1)
    value = np.where(inside, value, 0.0)
    return np.where((low >= high).any(axis=1), 1.0, value)


def empty_toolkit(regions: Regions) -> NDArray[np.bool_]:
    """[T] whether the python toolkit calls a region empty: no pixels, a mask of a single column or row, no extent."""
    masks = (regions.kind == MASK)[:, None]
    with np.errstate(invalid="ignore"):
        return ~np.all(regions.boxes[:, 2:] > np.where(masks, 1, 0), axis=1)


def draw_toolkit(regions: Regions, size: tuple[int, int]) -> Runs:
    """Runs of each region inside the image."""
    width, height = size
    parts: list[tuple[Ints, Ints, Ints, Ints]] = []
    frames = np.flatnonzero(regions.kind == BOX)
    if len(frames):
        x, y, w, h = np.round(regions.table(frames).astype(np.float32)).astype(np.float64).T
        top, bottom = np.clip(y, 0, height), np.clip(y + h, 0, height)
        parts.append(_rows_of(frames, top, bottom, np.clip(x, 0, width), np.clip(x + w, 0, width)))
    for frames, points in _polygons(regions):
        rounded = np.round(points.astype(np.float32)).astype(np.float64)
        parts.extend(_fill(frames, rounded, width, height, flat_edges=True))
    for frame in np.flatnonzero(regions.kind == MASK):
        row, start, stop = mask_runs(regions.of(frame))
        start, stop = np.clip(start, 0, width), np.clip(stop, 0, width)
        keep = (stop > start) & (row >= 0) & (row < height)
        parts.append((np.full(int(keep.sum()), frame), row[keep], start[keep], stop[keep]))
    return _runs(parts)


def overlap_classic(first: Regions, second: Regions, *limits: tuple[int, int]) -> Floats:
    """[L, T] overlap under the C library's drawing on pixels 0 to right, 0 to bottom, for each of L such `limits`.

    NaN where one of a pair is special; 0 where their bounding boxes only touch, or differ in area by ten orders. Masks
    raise ValueError.
    """
    if ((first.kind == MASK) | (second.kind == MASK)).any():
        raise ValueError("the Matlab toolkit's drawing knows boxes and polygons only, not masks")
    size = (max(right for right, _ in limits) + 1, max(bottom for _, bottom in limits) + 1)
    a, b = _draw_classic(first, size), _draw_classic(second, size)
    return np.stack([_overlap_within(first, second, _cut(a, *limit), _cut(b, *limit), *limit) for limit in limits])


def _overlap_within(first: Regions, second: Regions, a: Runs, b: Runs, right: int, bottom: int) -> Floats:
    shared = _shared(a, b, len(first), right + 1, bottom + 1)
    union = a.areas(len(first)) + b.areas(len(first)) - shared
    value = np.divide(shared, union, out=np.zeros(len(first)), where=union > 0)
    low_a, high_a = _classic_bounds(first, right, bottom)
    low_b, high_b = _classic_bounds(second, right, bottom)
    area_a, area_b = np.prod(high_a - low_a, axis=1), np.prod(high_b - low_b, axis=1)
    meet = np.prod(np.minimum(high_a, high_b) - np.maximum(low_a, low_b), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        comparable = (area_a / area_b >= 1e-10) & (area_b / area_a >= 1e-10)
        touch = meet / (area_a + area_b - meet) > 0
    special = (first.kind == SPECIAL) | (second.kind == SPECIAL)
    return np.where(special, np.nan, np.where(comparable & touch, value, 0.0))


def _cut(runs: Runs, right: int, bottom: int) -> Runs:
    keep = (runs.row <= bottom) & (runs.start <= right)
    return Runs(runs.region[keep], runs.row[keep], runs.start[keep], np.minimum(runs.stop[keep], right + 1))


def _draw_classic(regions: Regions, size: tuple[int, int]) -> Runs:
    parts: list[tuple[Ints, Ints, Ints, Ints]] = []
    for frames, points in _polygons(regions):
        parts.extend(_fill(frames, _half_away(_single(points)), *size, flat_edges=False))
    frames = np.flatnonzero(regions.kind == BOX)
    if len(frames):
        # Upright edges cross every row once: the same as filling the four corners, without the work. A box that
        # rounds to a line has no crossings, or two equal ones.
        x, y, w, h = regions.table(frames).T
        left, top, right, bottom = (_half_away(_single(value)) for value in (x, y, x + w, y + h))
        flat = (np.minimum(left, right) == np.maximum(left, right)) | (top == bottom)
        ends = (np.clip(np.maximum(right, left) + 1, 0, size[0]), np.clip(np.maximum(top, bottom) + 1, 0, size[1]))
        starts = (np.clip(np.minimum(left, right), 0, size[0]), np.clip(np.minimum(top, bottom), 0, size[1]))
        keep = np.flatnonzero(~flat)
        parts.append(_rows_of(frames[keep], starts[1][keep], ends[1][keep], starts[0][keep], ends[0][keep]))
    return _runs(parts)


def _classic_bounds(regions: Regions, right: int, bottom: int) -> tuple[Floats, Floats]:
    """[T, 2] first and last pixel of each outline, rounded outwards and cut to the image; zeros for special ones."""
    low, high = np.zeros((len(regions), 2)), np.zeros((len(regions), 2))
    for frames, points in _outlines(regions):
        low[frames] = np.maximum(np.floor(points.min(axis=1)), 0)
        high[frames] = np.minimum(np.ceil(points.max(axis=1)), (right, bottom))
    return low, high


def _outlines(regions: Regions) -> list[tuple[Ints, Floats]]:
    """Polygons, and boxes as polygons, in single precision: frames and [N, K, 2] corners."""
    found = [(frames, _single(points)) for frames, points in _polygons(regions)]
    frames = np.flatnonzero(regions.kind == BOX)
    if len(frames):
        x, y, w, h = regions.table(frames).T
        corners = np.stack((x, y, x + w, y, x + w, y + h, x, y + h), axis=1).reshape(-1, 4, 2)
        found.append((frames, _single(corners)))
    return found


def _single(values: Floats) -> Floats:
    """Rounded to single precision, in which the C library keeps coordinates."""
    return values.astype(np.float32).astype(np.float64)


def _half_away(values: Floats) -> Floats:
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


def _fill(
    frames: Ints, points: Floats, width: int, height: int, *, flat_edges: bool
) -> list[tuple[Ints, Ints, Ints, Ints]]:
    """Runs of [N, K, 2] polygons with whole coordinates; `flat_edges`: the python toolkit's way with them."""
    top = np.clip(points[:, :, 1].min(axis=1), 0, height).astype(np.int64)
    bottom = np.clip(points[:, :, 1].max(axis=1) + 1, 0, height).astype(np.int64)
    tall = np.flatnonzero(bottom > top)
    parts: list[tuple[Ints, Ints, Ints, Ints]] = []
    for block in _blocks(tall, (bottom - top)[tall]):
        pair, row = _row_grid((bottom - top)[block])
        row = row + top[block][pair]
        parts.extend(_fill_rows(frames[block][pair], row, points[block][pair], width, flat_edges))
    return parts


def _fill_rows(
    region: Ints, row: Ints, points: Floats, width: int, flat_edges: bool
) -> list[tuple[Ints, Ints, Ints, Ints]]:
    corners = points.shape[1]
    ends = np.roll(points, 1, axis=1)
    none = np.iinfo(np.int64).max
    nodes = np.full((len(row), corners + 1), none)
    for edge in range(corners):
        x0, y0 = points[:, edge, 0], points[:, edge, 1]
        x1, y1 = ends[:, edge, 0], ends[:, edge, 1]
        crosses = (np.minimum(y0, y1) <= row) & (np.maximum(y0, y1) >= row)
        at = np.flatnonzero(crosses if flat_edges else crosses & (y0 != y1))
        rise = y1[at] - y0[at]
        # Divided before multiplied, as both do: the last bit decides which pixel a crossing falls in.
        share = np.divide(row[at] - y0[at], rise, out=np.zeros(len(at)), where=rise != 0)
        x = x0[at] + share * (x1[at] - x0[at])
        nodes[at, edge] = np.trunc(x).astype(np.int64)
    nodes.sort(axis=1)
    count = (nodes != none).sum(axis=1)
    at = np.zeros(len(row), dtype=np.int64)
    lines = np.arange(len(row))
    drawn = np.zeros(len(row), dtype=np.int64)  # columns before this are filled already
    parts: list[tuple[Ints, Ints, Ints, Ints]] = []
    for _ in range(corners - 1):
        here, following = nodes[lines, np.minimum(at, corners)], nodes[lines, np.minimum(at + 1, corners)]
        active = (at < count - 1) & (here < width)
        doubled = active & (here == following)
        if flat_edges:
            doubled &= at < count - 2
        fill = active & ~doubled
        keep = np.flatnonzero(fill & (following >= 0))
        start = np.maximum(here[keep], drawn[keep])
        stop = np.minimum(following[keep], width - 1) + 1
        drawn[keep] = np.maximum(drawn[keep], stop)
        real = stop > start
        parts.append((region[keep][real], row[keep][real], start[real], stop[real]))
        at = np.where(doubled, at + 1, np.where(fill, at + 2, corners + 1))
    return parts


def _toolkit_bounds(regions: Regions) -> Floats:
    """[T, 4] left, top, right, bottom in whole pixels; zeros for special regions."""
    bounds = np.zeros((len(regions), 4))
    frames = np.flatnonzero(regions.kind == BOX)
    if len(frames):
        table = np.round(regions.table(frames).astype(np.float32))
        bounds[frames] = np.concatenate((table[:, :2], table[:, :2] + table[:, 2:] - 1), axis=1)
    for frames, points in _polygons(regions):
        rounded = np.round(points.astype(np.float32))
        bounds[frames] = np.concatenate((rounded.min(axis=1), rounded.max(axis=1)), axis=1)
    for frame in np.flatnonzero(regions.kind == MASK):
        values = regions.of(frame)
        row, start, stop = mask_runs(values)
        x, y = values[:2]
        bounds[frame] = (start.min(), row.min(), stop.max() - 1, row.max()) if len(row) else (x, y, x, y)
    return bounds


def _shared(a: Runs, b: Runs, count: int, width: int, height: int) -> Floats:
    """[N] common pixels: runs laid on one line, how much of B lies before a point looked up per end of A."""
    if not len(a.row) or not len(b.row):
        return np.zeros(count)
    line_a, line_b = ((runs.region * height + runs.row) * width for runs in (a, b))
    starts, stops = line_b + b.start, line_b + b.stop
    before = np.concatenate(([0], np.cumsum(stops - starts)))

    def covered(points: Ints) -> Ints:
        index = np.searchsorted(starts, points, side="right")
        return before[index] - np.maximum(stops[np.maximum(index - 1, 0)] - points, 0) * (index > 0)

    return np.bincount(a.region, covered(line_a + a.stop) - covered(line_a + a.start), minlength=count).astype(float)


def _runs(parts: list[tuple[Ints, Ints, Ints, Ints]]) -> Runs:
    empty = np.empty(0, dtype=np.int64)
    region, row, start, stop = (
        np.concatenate([part[i].astype(np.int64) for part in parts]) if parts else empty for i in range(4)
    )
    order = np.lexsort((start, row, region))
    return Runs(region[order], row[order], start[order], stop[order])


def _rows_of(frames: Ints, top: Floats, bottom: Floats, left: Floats, right: Floats) -> tuple[Ints, Ints, Ints, Ints]:
    heights = np.where(right > left, np.maximum(bottom - top, 0), 0).astype(np.int64)
    pair, row = _row_grid(heights)
    return frames[pair], row + top[pair].astype(np.int64), left[pair].astype(np.int64), right[pair].astype(np.int64)


def _row_grid(heights: Ints) -> tuple[Ints, Ints]:
    """For ragged heights: which item and which of its rows, flattened."""
    item = np.repeat(np.arange(len(heights)), heights)
    return item, np.arange(len(item)) - np.repeat(np.cumsum(heights) - heights, heights)


def _blocks(items: Ints, rows: Ints) -> list[Ints]:
    """`items` cut so that each block has about `_ROWS_AT_ONCE` rows."""
    if not len(items):
        return []
    return [
        part for part in np.split(items, np.flatnonzero(np.diff(np.cumsum(rows) // _ROWS_AT_ONCE)) + 1) if len(part)
    ]


def _polygons(regions: Regions) -> list[tuple[Ints, Floats]]:
    """Frames with polygons and their [N, K, 2] corners, one entry per K."""
    counts = np.diff(regions.offsets)
    found: list[tuple[Ints, Floats]] = []
    for width in np.unique(counts[regions.kind == POLYGON]):
        frames = np.flatnonzero((regions.kind == POLYGON) & (counts == width))
        found.append((frames, regions.table(frames).reshape(len(frames), -1, 2)))
    return found
