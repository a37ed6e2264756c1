"""What may be tracked: a video, a folder of images, a video stream on standard input, or a camera."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.frames import count_frames, frame_rate, read_clip, read_stream

STREAM = "-"
CAMERA = "camera:"
_USUAL_RATE = Fraction(25)


@dataclass(frozen=True)
class Footage:
    """An opened source. Its frames can be read once."""

    name: str
    frames: Iterator[NDArray[np.uint8]]
    """[H, W, 3] uint8 RGB each. Reading them raises ValueError where that fails."""
    count: int
    """Number of frames as far as can be said before reading; 0 if unknown."""
    rate: Fraction
    """Frames per second to write a rendered video with."""
    endless: bool
    """Ctrl-C is the usual end of it."""


def open_footage(source: str) -> Footage:
    """Open `-` (standard input), `camera:<number>`, a folder of images, or a video file.

    Raises ValueError when there is nothing of the kind.
    """
    if source == STREAM:
        return Footage("standard input", read_stream(sys.stdin.buffer, "standard input"), 0, _USUAL_RATE, True)
    if source.startswith(CAMERA):
        return Footage(source, _camera(source.removeprefix(CAMERA)), 0, _USUAL_RATE, True)
    path = Path(source)
    return Footage(source, read_clip(path), count_frames(path), frame_rate(path) or _USUAL_RATE, False)


def _camera(number: str) -> Iterator[NDArray[np.uint8]]:
    if not number.isdecimal():
        raise ValueError(f"camera:{number}: expected a number, say camera:0")
    device = cv2.VideoCapture(int(number))
    if not device.isOpened():
        raise ValueError(f"camera:{number} cannot be opened; check that it is connected and not in use")
    return _captured(device, number)


def _captured(device: cv2.VideoCapture, number: str) -> Iterator[NDArray[np.uint8]]:
    try:
        while True:
            taken, frame = device.read()
            if not taken:
                raise ValueError(f"camera:{number} gives no more pictures")
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    finally:
        device.release()
