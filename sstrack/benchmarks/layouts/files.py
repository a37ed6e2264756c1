"""What the layout readers share: image lists by number or name, image sizes, folders that go by several names."""

import struct
from collections.abc import Iterable
from pathlib import Path

IMAGES = (".jpg", ".jpeg", ".png", ".bmp")


def read_bytes(path: Path) -> bytes:
    """The file's bytes; ValueError that names it if it is missing or unreadable."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error


def images(folder: Path) -> tuple[Path, ...]:
    """Images of a folder in order of their names; of their numbers where all names are numbers. Empty if none."""
    if not folder.is_dir():
        return ()
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGES]
    if all(path.stem.isdigit() for path in found):
        return tuple(sorted(found, key=lambda path: int(path.stem)))
    return tuple(sorted(found))


def first_folder(folders: Iterable[Path]) -> Path | None:
    """The first that exists."""
    return next((folder for folder in folders if folder.is_dir()), None)


def numbered(folder: Path, first: int, count: int) -> tuple[Path, ...]:
    """Images numbered `first` to `first + count - 1`, however many zeros their names have. ValueError for a gap."""
    by_number = {int(path.stem): path for path in images(folder) if path.stem.isdigit()}
    if not by_number:
        raise ValueError(f"no images in {folder}: expected numbered files from {first} on")
    missing = [number for number in range(first, first + count) if number not in by_number]
    if missing:
        raise ValueError(
            f"{folder} has no image for frame {missing[0]}; of frames {first} to {first + count - 1} "
            f"{len(missing)} are missing"
        )
    return tuple(by_number[number] for number in range(first, first + count))


def leading(found: tuple[Path, ...], count: int, folder: Path) -> tuple[Path, ...]:
    """The first `count` images. ValueError where there are fewer."""
    if len(found) < count:
        raise ValueError(f"{folder} has {len(found)} images for {count} rows of ground truth; one per row is needed")
    return found[:count]


def image_size(path: Path) -> tuple[int, int]:
    """Width and height from the header of a JPEG, PNG or BMP; no pixel is decoded."""
    try:
        with path.open("rb") as stream:
            head = stream.read(1 << 18)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    if head.startswith(b"BM") and len(head) >= 26:
        width, height = struct.unpack("<ii", head[18:26])
        return width, abs(height)
    at = 2
    while head.startswith(b"\xff\xd8") and at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        at += 2 + struct.unpack(">H", head[at + 2 : at + 4])[0]
    raise ValueError(f"{path} is no JPEG, PNG or BMP with a readable header")
