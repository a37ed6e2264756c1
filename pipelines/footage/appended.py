"""A second film behind the first in one MP4, MOV or FLV file: it is never read, so somebody has to say so."""

import struct
from pathlib import Path

_MOST_BOXES = 100_000
_FLV = b"FLV\x01"
_FLV_HEAD = 13
_MOST_TAGS = 10_000_000


def bytes_behind(path: Path) -> int:
    """Bytes from where a second film begins, 0 where none does or the container is another one.

    In an MP4 that is a file type box that follows an index, in an FLV a file's head where a tag's is due. Only boxes of
    the outermost level and tags are looked at, by their heads.
    """
    with path.open("rb") as file:
        return _behind_tags(path) if file.read(len(_FLV)) == _FLV else _behind_boxes(path)


def _behind_tags(path: Path) -> int:
    with path.open("rb") as file:
        at = _FLV_HEAD
        for _ in range(_MOST_TAGS):
            file.seek(at)
            head = file.read(11)
            if head.startswith(_FLV):
                return path.stat().st_size - at
            if len(head) < 11:
                return 0
            at += 11 + int.from_bytes(head[1:4], "big") + 4
    return 0


def _behind_boxes(path: Path) -> int:
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
