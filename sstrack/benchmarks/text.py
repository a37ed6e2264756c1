"""Tables of numbers as trackers and toolkits write them: comma, tab, semicolon or space between, NaN allowed.

Reading is strict: a letter or a row of another length is an error that names file and line, never a guess.
"""

import io

import numpy as np
from numpy.typing import NDArray

_SEPARATORS = bytes.maketrans(b",;\t\r", b"    ")
_BOM = b"\xef\xbb\xbf"


def number_table(data: bytes, source: str, columns: int | tuple[int, ...]) -> NDArray[np.float64]:
    """The rows of a text file; empty lines are skipped.

    Args:
        data: the file's bytes, ASCII.
        source: its name, for messages.
        columns: numbers per row, or several counts that are allowed (the same one in all rows).

    Returns:
        [N, columns] numbers; [0, columns] for an empty file.

    Raises ValueError that names the line which is no row of that many numbers.
    """
    allowed = (columns,) if isinstance(columns, int) else columns
    spaced = data.removeprefix(_BOM).translate(_SEPARATORS)
    if not spaced.strip():
        return np.empty((0, allowed[0]))
    try:
        table = np.loadtxt(io.BytesIO(spaced), ndmin=2, comments=None, encoding="latin1")
    except ValueError:
        raise ValueError(_what_is_wrong(spaced, source, allowed)) from None
    if table.shape[1] not in allowed:
        raise ValueError(_what_is_wrong(spaced, source, allowed))
    return table


def number_line(data: bytes, source: str) -> NDArray[np.float64]:
    """[N] all numbers of a file, however they are spread over lines. ValueError names the word that is none."""
    words = data.removeprefix(_BOM).translate(_SEPARATORS).split()
    try:
        return np.array(words, dtype=np.float64)
    except ValueError:
        raise ValueError(f"{source}: expected numbers, got {_first_bad(words)!r}") from None


def flags(data: bytes, source: str) -> NDArray[np.bool_]:
    """[N] zeros and ones as truth values, on one line or one per line."""
    values = number_line(data, source)
    if not np.isin(values, (0, 1)).all():
        raise ValueError(f"{source}: expected 0 or 1, got {values[~np.isin(values, (0, 1))][0]:g}")
    return values.astype(bool)


def _what_is_wrong(spaced: bytes, source: str, allowed: tuple[int, ...]) -> str:
    wanted = " or ".join(map(str, allowed))
    width = None
    for number, line in enumerate(spaced.split(b"\n"), start=1):
        words = line.split()
        if not words:
            continue
        width = width or len(words)
        if len(words) not in allowed or len(words) != width or _first_bad(words) is not None:
            shown = line.decode("latin1").strip()[:80]
            return f"{source} line {number}: expected {wanted} numbers, got {shown!r}"
    return f"{source}: expected rows of {wanted} numbers"


def _first_bad(words: list[bytes]) -> str | None:
    for word in words:
        try:
            float(word)
        except ValueError:
            return word.decode("latin1")[:40]
        if b"_" in word:
            return word.decode("latin1")[:40]
    return None
