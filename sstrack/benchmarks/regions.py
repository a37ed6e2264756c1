"""Regions of the VOT challenges: boxes, polygons, run-length masks and special codes, one per frame."""

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

SPECIAL, BOX, POLYGON, MASK = 0, 1, 2, 3
UNKNOWN, INITIALISED, FAILED = 0, 1, 2
"""Codes of special regions in result files: no answer (also a frame skipped after a failure), start, failure."""

MAX_PIXELS = 1 << 26
"""A mask's own rectangle may not be larger than this."""


@dataclass(frozen=True)
class Regions:
    """T regions, ragged: frame t owns `values[offsets[t]:offsets[t + 1]]`."""

    kind: NDArray[np.uint8]
    """[T] SPECIAL, BOX, POLYGON or MASK."""
    values: NDArray[np.float64]
    """Flat numbers. SPECIAL: its code. BOX: x, y, w, h. POLYGON: x, y per corner. MASK: x, y, w, h and run lengths,
    row-major inside that rectangle, zeros first."""
    offsets: NDArray[np.int64]
    """[T + 1] where each frame's numbers begin."""

    def __len__(self) -> int:
        return len(self.kind)

    def of(self, frame: int | np.intp) -> NDArray[np.float64]:
        """Numbers of one frame."""
        return self.values[self.offsets[frame] : self.offsets[frame + 1]]

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """[T] the code of special regions, -1 for the others."""
        codes = np.full(len(self), -1, dtype=np.int64)
        special = self.kind == SPECIAL
        codes[special] = self.values[self.offsets[:-1][special]].astype(np.int64)
        return codes

    def take(self, frames: NDArray[np.int64]) -> "Regions":
        """The regions of `frames`, in that order."""
        counts = np.diff(self.offsets)[frames]
        offsets = np.concatenate(([0], np.cumsum(counts)))
        flat = np.repeat(self.offsets[:-1][frames] - offsets[:-1], counts) + np.arange(offsets[-1])
        return Regions(self.kind[frames], self.values[flat], offsets)

    def table(self, frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """[N, K] numbers of frames that all hold K of them."""
        width = int(self.offsets[frames[0] + 1] - self.offsets[frames[0]]) if len(frames) else 0
        return self.values[self.offsets[frames][:, None] + np.arange(width)]

    @cached_property
    def boxes(self) -> NDArray[np.float64]:
        """[T, 4] xywh around each region: corners' extremes, a mask's outermost pixels; NaN for special or empty."""
        boxes = np.full((len(self), 4), np.nan)
        plain = np.flatnonzero(self.kind == BOX)
        boxes[plain] = self.table(plain) if len(plain) else boxes[plain]
        for corners in np.unique(np.diff(self.offsets)[self.kind == POLYGON]):
            frames = np.flatnonzero((self.kind == POLYGON) & (np.diff(self.offsets) == corners))
            points = self.table(frames).reshape(len(frames), -1, 2)
            low, high = points.min(axis=1), points.max(axis=1)
            boxes[frames] = np.concatenate((low, high - low), axis=1)
        for frame in np.flatnonzero(self.kind == MASK):
            row, start, stop = mask_runs(self.of(frame))
            if len(row):
                x, y = start.min(), row.min()
                boxes[frame] = (x, y, stop.max() - x, row.max() + 1 - y)
        return boxes


def mask_runs(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row, start and stop (exclusive) of a mask's horizontal runs in image coordinates, in reading order."""
    x, y, width, height = values[:4].astype(np.int64)
    ends = np.minimum(np.cumsum(values[4:].astype(np.int64)), width * height)
    starts, stops = ends[0::2], ends[1::2]
    starts = starts[: len(stops)]
    keep = stops > starts
    starts, stops = starts[keep], stops[keep]
    if not len(starts):
        return starts, starts, starts
    # A run of the flat mask may go on over several rows: one piece per row it touches.
    first, last = starts // width, (stops - 1) // width
    pieces = last - first + 1
    run = np.repeat(np.arange(len(starts)), pieces)
    row = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begin = np.maximum(starts[run], row * width) - row * width
    end = np.minimum(stops[run], (row + 1) * width) - row * width
    return row + y, begin + x, end + x


def parse_regions(data: bytes, source: str) -> Regions:
    """Regions of a text file, one per line, or of the python toolkit's binary result format.

    A line of NaN is a special region of code 0, as both toolkits read it. Raises ValueError naming the line.
    """
    if data[:2] == b"\x01\x00":
        return _parse_binary(data, source)
    lines = [line.strip() for line in data.replace(b"\t", b",").split(b"\n")]
    while lines and not lines[-1]:
        lines.pop()
    return regions_of(lines, source)


def regions_of(lines: list[bytes], source: str) -> Regions:
    """One region per line of text, see `parse_regions`."""
    is_mask = np.array([line.startswith(b"m") for line in lines], dtype=bool)
    words = [line.lstrip(b"m").split(b",") for line in lines]
    counts = np.array([len(word) for word in words], dtype=np.int64)
    kind = np.where(is_mask, MASK, np.where(counts == 1, SPECIAL, np.where(counts == 4, BOX, POLYGON)))
    wrong = np.where(is_mask, counts < 5, (counts % 2 == 1) & (counts != 1) | (counts == 2))
    if wrong.any():
        _refuse(lines, int(np.argmax(wrong)), source)
    try:
        values = np.array([word for row in words for word in row], dtype=np.float64)
    except ValueError:
        bad = next(number for number, row in enumerate(words) if not _numbers(row))
        _refuse(lines, bad, source)
    return _checked(kind.astype(np.uint8), values, counts, source)


def format_regions(regions: Regions) -> bytes:
    """Text as `parse_regions` reads it: four decimals, a special code or mask as whole numbers."""
    lines: list[str] = []
    for frame, kind in enumerate(regions.kind):
        numbers = regions.of(frame)
        if kind in (SPECIAL, MASK):
            lines.append(("m" if kind == MASK else "") + ",".join(f"{value:.0f}" for value in numbers))
        else:
            lines.append(",".join(f"{value:.4f}" for value in numbers))
    return "".join(line + "\n" for line in lines).encode()


def box_regions(boxes: NDArray[np.float64], codes: NDArray[np.int64]) -> Regions:
    """Boxes [T, 4] where `codes` [T] is negative, special regions of that code elsewhere."""
    special = codes >= 0
    counts = np.where(special, 1, 4)
    values = np.concatenate(
        [np.array([code], dtype=np.float64) if code >= 0 else box for code, box in zip(codes, boxes, strict=True)]
    )
    return Regions(np.where(special, SPECIAL, BOX).astype(np.uint8), values, np.concatenate(([0], np.cumsum(counts))))


def polygon_regions(points: NDArray[np.float64]) -> Regions:
    """[T, 2K] corners as T polygons (K = 2: boxes xywh)."""
    count, width = points.shape
    kind = np.full(count, BOX if width == 4 else POLYGON, dtype=np.uint8)
    return _checked(kind, points.reshape(-1), np.full(count, width), "regions")


def _checked(kind: NDArray[np.uint8], values: NDArray[np.float64], counts: NDArray[np.int64], source: str) -> Regions:
    offsets = np.concatenate(([0], np.cumsum(counts)))
    frame = np.repeat(np.arange(len(kind)), counts)
    unusable = np.zeros(len(kind), dtype=bool)
    unusable[frame[~np.isfinite(values)]] = True
    if (unusable & (kind == MASK)).any():
        raise ValueError(f"{source} line {int(np.argmax(unusable & (kind == MASK))) + 1}: a mask holds no NaN")
    regions = Regions(kind, values, offsets)
    for at in np.flatnonzero(kind == MASK):
        numbers = regions.of(at)
        if (numbers[2:] < 0).any() or numbers[2] * numbers[3] > MAX_PIXELS or (numbers != np.round(numbers)).any():
            raise ValueError(
                f"{source} line {at + 1}: expected m x,y,w,h,run lengths as whole numbers, "
                f"at most {MAX_PIXELS} pixels, got {numbers[:6].tolist()}"
            )
    if not unusable.any():
        return regions
    keep = ~unusable[frame]
    keep[offsets[:-1][unusable]] = True
    values = np.where(unusable[frame], float(UNKNOWN), values)[keep]
    counts = np.where(unusable, 1, counts)
    return Regions(np.where(unusable, SPECIAL, kind).astype(np.uint8), values, np.concatenate(([0], np.cumsum(counts))))


def _parse_binary(data: bytes, source: str) -> Regions:
    """Little endian: int16 version, uint32 count, then per region a type byte and its numbers."""
    kinds: list[int] = []
    rows: list[NDArray[np.float64]] = []
    try:
        (count,), at = struct.unpack_from("<I", data, 2), 6
        if count > len(data):
            raise ValueError(f"{source}: claims {count} regions in {len(data)} bytes")
        for _ in range(count):
            code, at = data[at], at + 1
            if code == SPECIAL:
                row, at = struct.unpack_from("<I", data, at), at + 4
            elif code == BOX:
                row, at = struct.unpack_from("<4f", data, at), at + 16
            elif code == POLYGON:
                (corners,) = struct.unpack_from("<H", data, at)
                row, at = struct.unpack_from(f"<{2 * corners}f", data, at + 2), at + 2 + 8 * corners
            elif code == MASK:
                head = struct.unpack_from("<hhHHH", data, at)
                row, at = head[:4] + struct.unpack_from(f"<{head[4]}H", data, at + 10), at + 10 + 2 * head[4]
            else:
                raise ValueError(f"{source}: region type {code} is none of 0 to 3")
            kinds.append(code)
            rows.append(np.array(row, dtype=np.float64))
    except (struct.error, IndexError):
        raise ValueError(f"{source} ends inside a region: the file is cut short") from None
    counts = np.array([len(row) for row in rows], dtype=np.int64)
    values = np.concatenate(rows) if rows else np.empty(0)
    return _checked(np.array(kinds, dtype=np.uint8), values, counts, source)


def _numbers(words: list[bytes]) -> bool:
    try:
        np.array(words, dtype=np.float64)
    except ValueError:
        return False
    return True


def _refuse(lines: list[bytes], index: int, source: str) -> None:
    shown = lines[index].decode("latin1")[:80]
    raise ValueError(
        f"{source} line {index + 1}: expected a code, x,y,w,h, a polygon x1,y1,x2,y2,... or a mask m..., got {shown!r}"
    )
