"""Square pixels: one rule for how wide a picture with other pixels is shown."""

from fractions import Fraction

import av.video

_LEAST, _MOST = Fraction(1, 4), Fraction(4)
"""A pixel longer or wider than this is a damaged header, not a shape."""


def pixel_shape(stream: av.video.VideoStream) -> Fraction:
    """Width over height of a stream's pixels, as its container or else its codec says; 1 where that is absurd."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return aspect if _LEAST < aspect < _MOST else Fraction(1)


def square_size(width: int, height: int, shape: Fraction) -> tuple[int, int]:
    """Width and height with square pixels of a decoded frame that is not turned yet: the height stays."""
    return max(1, round(width * shape)), height
