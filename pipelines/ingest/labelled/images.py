"""One untrusted picture file to the frame that is stored: checked, decoded, shrunk, encoded again."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pipelines.ingest.reject import Unusable
from sstrack.benchmarks.headers import Header, header_of

_MOST_BYTES = 256 << 20
_Picture = NDArray[np.uint8]
_TURNS: dict[int, Callable[[_Picture], _Picture]] = {
    1: lambda rgb: rgb,
    2: np.fliplr,
    3: lambda rgb: np.rot90(rgb, 2),
    4: np.flipud,
    5: lambda rgb: rgb.swapaxes(0, 1),
    6: lambda rgb: np.rot90(rgb, -1),
    7: lambda rgb: np.rot90(rgb, 2).swapaxes(0, 1),
    8: lambda rgb: np.rot90(rgb, 1),
}
"""What turns a picture upright, by its EXIF orientation."""


class Damaged(Exception):
    """A picture that cannot be used, with the reason."""


def read_bytes(path: Path) -> bytes:
    """The bytes of a picture file. Raises Damaged where it is unreadable, empty or absurdly large."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise Damaged(f"{path.name} is above {_MOST_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise Damaged(f"{path.name} cannot be read: {error.strerror}") from error
    if not data:
        raise Damaged(f"{path.name} is empty")
    return data


def header(data: bytes) -> Header:
    """Size and orientation of a JPEG, PNG or BMP. Raises Damaged for anything else."""
    try:
        return header_of(data)
    except ValueError as error:
        raise Damaged(str(error)) from error


def decode(data: bytes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """[H, W, 3] RGB, upright, of `size` (width, height). Raises Damaged where a part of it is missing."""
    said = header(data)
    if data.startswith(b"\xff\xd8"):
        try:
            rgb = simplejpeg.decode_jpeg(data, "RGB", strict=True)
        except ValueError as error:
            raise Damaged(f"it cannot be decoded whole: {error}") from error
    else:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_BGR | cv2.IMREAD_IGNORE_ORIENTATION)
        if bgr is None:
            raise Damaged("it cannot be decoded")
        rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    rgb = np.ascontiguousarray(_TURNS[said.orientation](rgb))
    if rgb.shape[1::-1] != size:
        raise Damaged(f"it is {rgb.shape[1]}x{rgb.shape[0]}, its sequence is {size[0]}x{size[1]}")
    return rgb


def stored(rgb: NDArray[np.uint8], size: tuple[int, int], quality: int) -> tuple[bytes, NDArray[np.uint8]]:
    """The JPEG of a frame at `size` (width, height), and the frame as it is stored, before encoding."""
    if rgb.shape[1::-1] != size:
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return simplejpeg.encode_jpeg(rgb, quality, "RGB", "420"), rgb


def check_size(size: tuple[int, int], max_pixels: int, min_side: int) -> None:
    """Raises Unusable for a sequence whose pictures break a limit."""
    width, height = size
    if width * height > max_pixels:
        raise Unusable("labels", "frame_too_large", f"{width}x{height}, limit {max_pixels} pixels")
    if min(size) < min_side:
        raise Unusable("labels", "too_small", f"{width}x{height}, the smallest usable side is {min_side}")
