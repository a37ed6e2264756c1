"""Frames of one clip in order, from a folder of images or a video file. Travels inside the model package, so it
imports nothing of ours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import av.container
import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

CONTAINERS = (
    "mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf,flv,ogg,mxf,ivf,wtv,nut,dv,m4v,h264,hevc,rm,yuv4mpegpipe"
)
"""Real video containers. Playlists and scripts, which name other files, are not among them and so are never opened."""
PROTOCOLS = "file,pipe"
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
    return _read_video(source, str(source))


def count_frames(source: Path) -> int:
    """Frames in `source` as far as can be said without decoding; 0 when a video does not say."""
    if source.is_dir():
        return len(images(source))
    with _opened(source, str(source)) as container:
        return container.streams.video[0].frames


def frame_rate(source: Path) -> Fraction | None:
    """Frames per second that a video says it has; None for images and for a video that does not say."""
    if source.is_dir():
        return None
    with _opened(source, str(source)) as container:
        return container.streams.video[0].average_rate


def read_stream(file: BinaryIO, name: str) -> Iterator[NDArray[np.uint8]]:
    """Every frame of a video that arrives on `file`, which need not be seekable. Raises as `read_clip` does."""
    return _read_video(file, name)


def _read_video(video: Path | BinaryIO, name: str) -> Iterator[NDArray[np.uint8]]:
    decoded = 0
    try:
        with _opened(video, name) as container:
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                picture = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                yield np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))
                decoded += 1
    except av.error.FFmpegError as error:
        raise ValueError(f"{name} cannot be decoded after frame {decoded}: {error}") from error


@contextmanager
def _opened(video: Path | BinaryIO, name: str) -> Iterator[av.container.InputContainer]:
    """A video container with a video stream, and nothing that would make the decoder open other files."""
    limits = {"format_whitelist": CONTAINERS, "protocol_whitelist": PROTOCOLS}
    try:
        container = av.open(str(video) if isinstance(video, Path) else video, "r", options=limits)
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        raise ValueError(f"{name} is not a video that can be decoded: {error}") from error
    with container:
        if not container.streams.video:
            raise ValueError(f"{name} has no video stream")
        yield container
