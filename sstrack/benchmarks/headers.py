"""What an image file says of itself before any pixel is decoded: its size, and how it has to be turned.

The rule for turned pictures, here as wherever frames are decoded: a frame is shown upright, as its EXIF orientation
says, and boxes count in pixels of the upright picture. Sources: Exif 2.32 (tag 0x0112), ITU-T T.81 B.1, PNG 3 `eXIf`.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\0\0"
_ORIENTATION, _SHORT = 0x0112, 3
_HEAD, _MOST = 1 << 18, 1 << 26
_MOST_ENTRIES = 1000


@dataclass(frozen=True)
class Header:
    """Width and height in pixels as they are stored, and the EXIF orientation, 1 (as it is) to 8."""

    width: int
    height: int
    orientation: int = 1

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height of the picture as it is shown."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_header(path: Path) -> Header:
    """The header of an image file. ValueError names a file that is unreadable or no JPEG, PNG or BMP."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
            try:
                return header_of(head)
            except ValueError:
                if len(head) < _HEAD:
                    raise
            return header_of(head + stream.read(_MOST))  # previews and profiles may stand before the size
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def header_of(data: bytes) -> Header:
    """The header in the first bytes of an image. ValueError where they are no JPEG, PNG or BMP."""
    try:
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data.startswith(_PNG):
            return _png(data)
        if data.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", data, 18)
            return Header(width, abs(height))
    except (struct.error, IndexError):
        pass
    raise ValueError("it is no JPEG, PNG or BMP with a readable header")


def _jpeg(data: bytes) -> Header:
    at, orientation = 2, 1
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes may stand before any marker
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Header(width, height, orientation)
        if marker == 0xE1 and data.startswith(_EXIF, at + 4):
            orientation = _orientation(data[at + 4 + len(_EXIF) : at + 2 + length])
        at += 2 + length
    raise IndexError


def _png(data: bytes) -> Header:
    width, height = struct.unpack_from(">II", data, 16)
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"eXIf":
            return Header(width, height, _orientation(data[at + 8 : at + 8 + length]))
        if kind == b"IDAT":
            break
        at += 12 + length
    return Header(width, height)


def _orientation(exif: bytes) -> int:
    """The orientation in a block of EXIF, 1 where it has none or one that does not exist."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return 1
    (at,) = struct.unpack_from(f"{order}I", exif, 4)
    if at + 2 > len(exif):
        return 1
    (entries,) = struct.unpack_from(f"{order}H", exif, at)
    for start in range(at + 2, min(at + 2 + 12 * min(entries, _MOST_ENTRIES), len(exif) - 11), 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, start)
        if tag == _ORIENTATION and kind == _SHORT:
            return value if 1 <= value <= 8 else 1
    return 1
