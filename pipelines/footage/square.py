"""Square pixels: one rule for how wide a picture with other pixels is shown, and for one that changes its shape."""

from fractions import Fraction

import av.container
import av.video

from pipelines.footage.chain import Chain
from pipelines.footage.containers import INDEXED, is_one_of

_LEAST, _MOST = Fraction(1, 4), Fraction(4)
"""A pixel longer or wider than this is a damaged header, not a shape."""
_SAME = 0.03
"""Pictures whose shapes differ by no more than this are brought to one another: coders round sides to whole blocks."""


def pixel_shape(stream: av.video.VideoStream) -> Fraction:
    """Width over height of a stream's pixels, as its container or else its codec says; 1 where that is absurd."""
    return sound_shape(stream.sample_aspect_ratio)


def states_shape(container: av.container.InputContainer, stream: av.video.VideoStream) -> bool:
    """Whether a container that was just opened says for all of a film what shape its pixels have; in others each frame
    says it of itself."""
    own = stream.codec_context.sample_aspect_ratio
    return is_one_of(container.format.name, INDEXED) or sound_shape(own) != pixel_shape(stream)


def frame_shape(stream: av.video.VideoStream) -> Fraction:
    """Width over height of pixels in the frame decoded last."""
    return sound_shape(stream.codec_context.sample_aspect_ratio)


def sound_shape(aspect: Fraction | None) -> Fraction:
    """A stated shape of pixels, 1 where there is none or it is absurd."""
    return aspect if aspect is not None and _LEAST < aspect < _MOST else Fraction(1)


def square_size(width: int, height: int, shape: Fraction) -> tuple[int, int]:
    """Width and height with square pixels of a decoded frame that is not turned yet: the height stays."""
    return max(1, round(width * shape)), height


def inside(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[int, int]:
    """Width and height that a picture of `size` takes on a `canvas`: all of it, or where their shapes differ the most
    that leaves its own shape."""
    ratio = size[0] * canvas[1] / (size[1] * canvas[0])
    if abs(ratio - 1) < _SAME:
        return canvas
    return min(canvas[0], max(1, int(canvas[0] * ratio))), min(canvas[1], max(1, int(canvas[1] / ratio)))


def fitted(canvas: tuple[int, int], shape: Fraction, stated: Fraction | None) -> Chain:
    """`inside` in words: filters that bring frames of any size to `canvas`, parts of it in even numbers.

    Args:
        canvas: width and height of what comes out, in pixels `shape` times as wide as high.
        stated: the same of all frames that come, None where each says it.
    """
    width, height = canvas
    pixel = f"if(gt(sar,{float(_LEAST)})*lt(sar,{float(_MOST)}),sar,1)" if stated is None else f"{float(stated):.9g}"
    ratio = f"st(0,iw*({pixel})/ih/{float(width * shape / height):.9g})"
    same = f"lt(abs(ld(0)-1),{_SAME})"
    scale = {
        "w": f"{ratio};if({same},{width},min({width},max(2,trunc({width}*ld(0)/2)*2)))",
        "h": f"{ratio};if({same},{height},min({height},max(2,trunc({height}/ld(0)/2)*2)))",
        "flags": "bilinear",
        "eval": "frame",
    }
    return ("scale", scale), ("pad", {"w": width, "h": height, "x": "(ow-iw)/2", "y": "(oh-ih)/2", "eval": "frame"})
