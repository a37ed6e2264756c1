"""A second film behind the first in one MP4 or MOV file: its index is never read, so somebody has to say so."""

import struct
from pathlib import Path

_MOST_BOXES = 100_000


def bytes_behind(path: Path) -> int:
    """Bytes from where a second film begins, 0 where none does: a file type box that follows an index.

    Only boxes of the outermost level are looked at, by their heads.
    """
    size, at, indexed = path.stat().st_size, 0, False
    with path.open("rb") as file:
        for _ in range(_MOST_BOXES):
            file.seek(at)
            head = file.read(16)
            if len(head) < 8:
                return 0
            length, kind = struct.unpack(">I4s", head[:8])
            if kind == b"ftyp" and indexed:
                return size - at
            indexed |= kind == b"moov"
            if length == 1 and len(head) == 16:
                [length] = struct.unpack(">Q", head[8:])
            if length < 8 or at + length >= size:
                return 0
            at += length
    return 0
