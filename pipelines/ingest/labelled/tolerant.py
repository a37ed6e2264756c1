"""Label files as an import takes them: a line that is no box is a frame without one, a number that has no image is a
missing frame, and all that was wrong is kept in words."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.reject import Unusable
from sstrack.benchmarks.layouts.frames import IMAGES, by_number, images
from sstrack.benchmarks.layouts.reading import Bools, Floats, Reading, bounds
from sstrack.benchmarks.regions import Regions, regions_of

_MOST_BYTES = 64 << 20
_SEPARATORS = bytes.maketrans(b",;\t\r", b"    ")
_BOM = b"\xef\xbb\xbf"


class Tolerant(Reading):
    """One sequence's files. Raises Unusable where a file is missing, unreadable or absurdly large."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        """What was found wrong with the labels."""

    def boxes(self, path: Path, columns: tuple[int, ...] = (4,)) -> Floats:
        lines = _lines(path)
        rows = np.full((len(lines), 4), np.nan)
        bad: list[int] = []
        for number, line in enumerate(lines):
            values = _numbers(line)
            if values is None or len(values) not in columns:
                bad.append(number)
            else:
                rows[number] = values if len(values) == 4 else bounds(values[None])[0]
        self._note(bad, path)
        return rows

    def regions(self, path: Path) -> tuple[Floats, Regions | None]:
        lines = [line.strip() for line in _lines(path, b"\t")]
        try:
            regions = regions_of(lines, path.name)
            return regions.boxes, regions
        except ValueError:
            rows = np.full((len(lines), 4), np.nan)
        bad: list[int] = []
        for number, line in enumerate(lines):
            try:
                rows[number] = regions_of([line], path.name).boxes[0]
            except ValueError:
                bad.append(number)
        self._note(bad, path)
        return rows, None

    def numbers(self, path: Path, count: int) -> NDArray[np.float64] | None:
        if not path.is_file():
            return None
        values = np.zeros(count)
        read = _numbers(read_text(path).translate(_SEPARATORS))
        if read is None:
            self.wrong.append(f"{path.name} holds what is no number; it is ignored")
            return None
        if len(read) != count:
            self.wrong.append(f"{path.name} has {len(read)} flags for {count} labels")
        values[: len(read)] = read[:count]
        return values

    def flags(self, path: Path, count: int) -> Bools:
        values = self.numbers(path, count)
        return np.zeros(count, bool) if values is None else values != 0

    def frames(self, folder: Path, first: int | None, count: int | None = None) -> tuple[Path | None, ...]:
        """By the number in their names, from `first` (None: the lowest) on; all that are there, whatever `count` is."""
        try:
            found = images(folder)
        except OSError as error:
            raise Unusable("labels", "missing", f"its frames cannot be read: {error.strerror}") from error
        if not found:
            raise Unusable("labels", "missing", f"no image ({', '.join(IMAGES)}) in its folder {folder.name}")
        try:
            numbered = by_number(found)
        except ValueError as error:
            raise Unusable("labels", "bad_frame", str(error)) from error
        if not numbered or (first is None and len(numbered) < len(found)):
            return found
        low, high = min(numbered) if first is None else first, max(numbered)
        if high - low >= 4 * len(found) + 1000:
            raise Unusable(
                "labels", "bad_frame", f"{len(found)} images are numbered up to {high}: too many are missing"
            )
        return tuple(numbered.get(number) for number in range(low, high + 1))

    def _note(self, bad: list[int], path: Path) -> None:
        if bad:
            self.wrong.append(f"{len(bad)} lines of {path.name} are no boxes, the first is line {bad[0] + 1}")


def read_text(path: Path, limit: int = _MOST_BYTES) -> bytes:
    """The bytes of a label file. Raises Unusable where it is missing, unreadable or above `limit` bytes."""
    try:
        if path.stat().st_size > limit:
            raise Unusable("labels", "bad_label", f"{path.name} is above {limit} bytes")
        return path.read_bytes()
    except OSError as error:
        raise Unusable("labels", "missing", f"{path.name} cannot be read: {error.strerror}") from error


def _lines(path: Path, separators: bytes = b"") -> list[bytes]:
    """The lines of a file without those at its end that are empty."""
    data = read_text(path).removeprefix(_BOM)
    data = data.replace(separators, b",") if separators else data.translate(_SEPARATORS)
    lines = data.split(b"\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _numbers(words: bytes) -> NDArray[np.float64] | None:
    try:
        return np.array(words.split(), dtype=np.float64)
    except ValueError:
        return None
