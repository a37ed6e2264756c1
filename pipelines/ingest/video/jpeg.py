"""A decoded frame's planes to a JPEG: scaled to the stored size and brought to full-range BT.601, as JPEG holds it.

Both backends come through here, so their pictures agree. Everything stays in YUV 4:2:0. A 720p frame costs less than
half of what swscale takes, which goes through RGB where the matrix of the coefficients changes.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]
"""Y [h, w], U and V [about h/2, about w/2]."""

cv2.setNumThreads(0)  # workers share the cores

_FINE = 3.0
"""Steps of a grey level in which the chroma's share of the luma is carried, so that it is rounded once."""
_BT601 = (0.299, 0.114)
_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
"""Kr and Kb by colour space as ffmpeg numbers them (ITU-T H.273); all others count as BT.601, as in ffmpeg."""


@dataclass(frozen=True)
class Colour:
    """What a stream's numbers mean: its colour space as ffmpeg numbers it, and whether they use the full range."""

    space: int = 2
    full_range: bool = False


def to_jpeg(planes: Planes, size: tuple[int, int], colour: Colour, quality: int) -> bytes:
    """Encode planes of any size as a JPEG of `size` (width, height, both even)."""
    width, height = size
    y, u, v = planes
    half = width // 2, height // 2
    y, u, v = _resized(y, size), _resized(u, half), _resized(v, half)
    return simplejpeg.encode_jpeg_yuv_planes(*_converted(y, u, v, colour), quality=quality)


def _resized(plane: Plane, size: tuple[int, int]) -> Plane:
    """Halve by means while it is twice too large, then interpolate: as good as a mean of all pixels, at a fifth."""
    width, height = size
    while plane.shape[1] >= 2 * width and plane.shape[0] >= 2 * height:
        rows, columns = plane.shape[0] // 2, plane.shape[1] // 2
        plane = _resize(plane[: 2 * rows, : 2 * columns], (columns, rows), cv2.INTER_AREA)
    if plane.shape == (height, width):
        return plane
    return _resize(plane, size, cv2.INTER_LINEAR)


def _resize(plane: Plane, size: tuple[int, int], how: int) -> Plane:
    return np.asarray(cv2.resize(plane, size, interpolation=how), np.uint8)


def _converted(y: Plane, u: Plane, v: Plane, colour: Colour) -> Planes:
    """Full-range BT.601 from planes of equal resolution ratios; the planes themselves where nothing changes."""
    matrix = _matrix(colour.space)
    luma, chroma, black = (1.0, 1.0, 0.0) if colour.full_range else (255 / 219, 255 / 224, 16.0)
    if matrix is None:
        if colour.full_range:
            return np.ascontiguousarray(y), np.ascontiguousarray(u), np.ascontiguousarray(v)
        y = _mixed(y, luma, y, 0.0, -luma * black)
        u, v = (_mixed(plane, chroma, plane, 0.0, 128 - chroma * 128) for plane in (u, v))
        return y, u, v
    (y_u, y_v), (u_u, u_v), (v_u, v_v) = matrix
    tint = _mixed(u, _FINE * chroma * y_u, v, _FINE * chroma * y_v, 128 - _FINE * chroma * 128 * (y_u + y_v))
    tint = _resize(tint, (y.shape[1], y.shape[0]), cv2.INTER_LINEAR)
    y = _mixed(y, luma, tint, 1 / _FINE, -luma * black - 128 / _FINE)
    new_u = _mixed(u, chroma * u_u, v, chroma * u_v, 128 - chroma * 128 * (u_u + u_v))
    new_v = _mixed(u, chroma * v_u, v, chroma * v_v, 128 - chroma * 128 * (v_u + v_v))
    return y, new_u, new_v


def _mixed(one: Plane, weight: float, other: Plane, other_weight: float, offset: float) -> Plane:
    return np.asarray(cv2.addWeighted(one, weight, other, other_weight, offset), np.uint8)


@cache
def _matrix(space: int) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]] | None:
    """How much of the centred U and V goes into BT.601's Y, U and V (Y takes all of Y); None where nothing changes."""
    if space not in _WEIGHTS:
        return None
    turn = _from_rgb(*_BT601) @ np.linalg.inv(_from_rgb(*_WEIGHTS[space]))
    (_, y_u, y_v), (_, u_u, u_v), (_, v_u, v_v) = turn.tolist()
    return (y_u, y_v), (u_u, u_v), (v_u, v_v)


def _from_rgb(red: float, blue: float) -> NDArray[np.float64]:
    """The matrix from RGB to YUV, from the weights of red and blue in the luma."""
    luma = np.array([red, 1 - red - blue, blue])
    u = (np.array([0, 0, 1]) - luma) / (2 * (1 - blue))
    v = (np.array([1, 0, 0]) - luma) / (2 * (1 - red))
    return np.stack([luma, u, v])
