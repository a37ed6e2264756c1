"""Frames of one clip in order, from a folder of images or a video file. Travels inside the model package, so it
imports nothing of ours."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

IMAGES = (".jpg", ".jpeg", ".png")


def read_image(path: Path) -> NDArray[np.uint8]:
    """One image as [H, W, 3] uint8 RGB. ValueError when the file is no image."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ValueError(f"cannot read {path} as an image")
    return np.asarray(image, dtype=np.uint8)


def read_clip(source: Path) -> Iterator[NDArray[np.uint8]]:
    """Every frame of `source` as [H, W, 3] uint8 RGB: a folder's images by name, or a video's frames in order.

    Raises ValueError when there is nothing at `source`, or nothing in it that can be read.
    """
    if source.is_dir():
        images = sorted(path for path in source.iterdir() if path.suffix.lower() in IMAGES)
        if not images:
            raise ValueError(f"no image ({', '.join(IMAGES)}) in {source}")
        return (read_image(path) for path in images)
    if not source.is_file():
        raise ValueError(f"no folder of images and no video at {source}")
    return _read_video(source)


def count_frames(source: Path) -> int:
    """Frames in `source` as far as can be said without decoding; 0 when a video does not say."""
    if source.is_dir():
        return sum(path.suffix.lower() in IMAGES for path in source.iterdir())
    video = cv2.VideoCapture(str(source))
    try:
        return max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT)))
    finally:
        video.release()


def _read_video(path: Path) -> Iterator[NDArray[np.uint8]]:
    video = cv2.VideoCapture(str(path))
    try:
        good, frame = video.read()
        if not good:
            raise ValueError(f"{path} is not a video that can be decoded")
        while good:
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
            good, frame = video.read()
    finally:
        video.release()
