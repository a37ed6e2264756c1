"""A labelled sequence before its frames are read: which files, which box on each, what is wrong with its labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.reject import Unusable

Floats = NDArray[np.float64]
IMAGES = frozenset({".jpg", ".jpeg", ".png"})


@dataclass(frozen=True)
class Labelled:
    """T frames of one target.

    `frames`: image files, None where one is missing. `boxes`: [T, 4] xywh in pixels of the images, 0-based top-left,
    NaN where the target is absent or its box is unknown. `visible`: [T] whether it can be seen; False where unknown.
    `fps`: rate of the frames as the set states it. `others`: further boxes on the first frame, for seeds.
    `wrong`: what was found wrong with the labels, in words.
    """

    frames: tuple[Path | None, ...]
    boxes: Floats
    visible: NDArray[np.bool_]
    fps: float
    others: Floats
    wrong: tuple[str, ...] = ()
    still: bool = False
    """One picture, not a film."""


def labelled(
    frames: list[Path | None],
    boxes: Floats,
    visible: NDArray[np.bool_],
    fps: float,
    wrong: list[str],
    others: Floats | None = None,
    still: bool = False,
) -> Labelled:
    """Check and clean: a box that is not finite, has no area, or whose target is not visible becomes NaN; frames and
    labels beyond the shorter of both are left off, and said. Raises Unusable where no frame has a box."""
    count = min(len(frames), len(boxes))
    if len(frames) != len(boxes):
        wrong = [*wrong, f"{len(boxes)} labels for {len(frames)} frames; the first {count} of both are used"]
    boxes, visible = boxes[:count], visible[:count]
    seen: NDArray[np.bool_] = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1) & visible
    if not seen.any():
        raise Unusable("labels", "no_truth", "; ".join(["no frame has a box", *wrong]))
    return Labelled(
        frames=tuple(frames[:count]),
        boxes=np.where(seen[:, None], boxes, np.nan),
        visible=seen,
        fps=fps,
        others=np.empty((0, 4)) if others is None else others,
        wrong=tuple(wrong),
        still=still,
    )


def numbered(folder: Path, first: int | None) -> list[Path | None]:
    """Images of a folder by the number in their names, from `first` (None: the lowest) on; None where one is missing.

    Names without a number are taken in their order. Raises Unusable where there is no image.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)
    except OSError as error:
        raise Unusable("labels", "missing", f"its frames cannot be read: {error.strerror}") from error
    if not files:
        raise Unusable("labels", "missing", f"no image ({', '.join(sorted(IMAGES))}) in its folder {folder.name}")
    if not all(path.stem.isascii() and path.stem.isdecimal() for path in files):
        return [*files]
    by_number = {int(path.stem): path for path in files}
    low, high = min(by_number) if first is None else first, max(by_number)
    if high - low >= 4 * len(files) + 1000:
        raise Unusable("labels", "bad_frame", f"{len(files)} images are numbered up to {high}: too many are missing")
    return [by_number.get(number) for number in range(low, high + 1)]


def read_text(path: Path, limit: int = 64 << 20) -> bytes:
    """The bytes of a label file. Raises Unusable where it is missing, unreadable or above `limit` bytes."""
    try:
        if path.stat().st_size > limit:
            raise Unusable("labels", "bad_label", f"{path.name} is above {limit} bytes")
        return path.read_bytes()
    except OSError as error:
        raise Unusable("labels", "missing", f"{path.name} cannot be read: {error.strerror}") from error


def rows_of(data: bytes, name: str, columns: tuple[int, ...], wrong: list[str]) -> Floats:
    """[T, 4] boxes of a label file, xywh or the box around a polygon; a line that is none becomes NaN and is said."""
    lines = data.removeprefix(b"\xef\xbb\xbf").translate(_SEPARATORS).split(b"\n")
    while lines and not lines[-1].strip():
        lines.pop()
    rows = np.full((len(lines), 4), np.nan)
    bad: list[int] = []
    for number, line in enumerate(lines):
        try:
            values = np.array(line.split(), dtype=np.float64)
        except ValueError:
            values = np.empty(0)
        if len(values) not in columns:
            bad.append(number + 1)
        elif len(values) == 4:
            rows[number] = values
        else:
            corners = values.reshape(-1, 2)
            rows[number] = (*corners.min(axis=0), *(corners.max(axis=0) - corners.min(axis=0)))
    if bad:
        wrong.append(f"{len(bad)} lines of {name} are no boxes, the first is line {bad[0]}")
    return rows


def flags_of(data: bytes | None, count: int, name: str, wrong: list[str]) -> NDArray[np.float64]:
    """[count] numbers of a flag file, on one line or many; zeros where it is missing (None) or too short."""
    values = np.zeros(count)
    if data is None:
        return values
    try:
        read = np.array(data.translate(_SEPARATORS).split(), dtype=np.float64)
    except ValueError:
        wrong.append(f"{name} holds what is no number; it is ignored")
        return values
    if len(read) != count:
        wrong.append(f"{name} has {len(read)} flags for {count} labels")
    values[: len(read)] = read[:count]
    return values


_SEPARATORS = bytes.maketrans(b",;\t\r", b"    ")
