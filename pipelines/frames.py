"""Frames of one clip in order, from a folder of images or a video file. Travels inside the model package
with `footage/`, so it imports nothing else of ours."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.footage.read import count_pictures, picture_rate, read_film

IMAGES = (".jpg", ".jpeg", ".png", ".bmp")
_RUNS = re.compile(r"([^0-9]*)([0-9]*)")


def read_image(path: Path) -> NDArray[np.uint8]:
    """One image as [H, W, 3] uint8 RGB, upright as its EXIF orientation says. ValueError when the file is no image."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ValueError(f"cannot read {path} as an image")
    return np.asarray(image, dtype=np.uint8)


def images(folder: Path) -> list[Path]:
    """A folder's images as people count: 2.jpg before 10.jpg. Hidden files, `._0001.jpg` say, are none."""

    def counted(path: Path) -> tuple[list[tuple[str, int]], str]:
        return [(text, int(digits or -1)) for text, digits in _RUNS.findall(path.stem)], path.name

    found = (path for path in folder.iterdir() if path.suffix.lower() in IMAGES and not path.name.startswith("."))
    return sorted(found, key=counted)


def read_clip(source: Path) -> Iterator[NDArray[np.uint8]]:
    """Every frame of `source` as [H, W, 3] uint8 RGB: a folder's images in order, or a video's frames in order.

    Raises ValueError when there is nothing at `source`, or nothing in it that can be read.
    """
    if source.is_dir():
        found = images(source)
        if not found:
            raise ValueError(f"no image ({', '.join(IMAGES)}) in {source}")
        return (read_image(path) for path in found)
    if not source.is_file():
        raise ValueError(f"no folder of images and no video at {source}")
    return read_film(source, str(source))


def count_frames(source: Path) -> int:
    """Frames in `source` as far as can be said without decoding; 0 when a video does not say."""
    if source.is_dir():
        return len(images(source))
    return count_pictures(source)


def frame_rate(source: Path) -> Fraction | None:
    """Frames per second that a video says it has; None for images and for a video that does not say."""
    if source.is_dir():
        return None
    return picture_rate(source)


def read_stream(file: BinaryIO, name: str) -> Iterator[NDArray[np.uint8]]:
    """Every frame of a video that arrives on `file`, which need not be seekable. Raises as `read_clip` does."""
    return read_film(file, name)
