"""Interlaced frames: where they may come up, and the filter that makes whole pictures of them."""

from fractions import Fraction

from pipelines.footage.chain import Chain

_CODECS = frozenset(
    {
        *("mpeg1video", "mpeg2video", "mpeg4", "h264", "hevc", "vc1", "wmv3", "dvvideo", "mjpeg", "prores", "dnxhd"),
        *("ffv1", "huffyuv", "ffvhuff", "utvideo", "rawvideo", "v210", "jpeg2000", "cavs", "svq3"),
    }
)
"""Codecs whose frames may hold two fields."""
_FORMATS = ("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "yuv411p", "yuv410p", "yuv440p")
"""What the filter takes as it is; deeper ones are the same names with their depth."""


def may_interlace(codec: str, pix_fmt: str | None) -> bool:
    """Whether frames of this codec and format may be interlaced and can be made whole."""
    return codec in _CODECS and (pix_fmt or "").startswith(_FORMATS)


def whole_frames(time_base: Fraction) -> Chain:
    """Filters that make one picture of each frame flagged as interlaced and let others pass untouched, times kept."""
    return (
        ("bwdif", {"mode": "send_frame", "parity": "auto", "deint": "interlaced"}),
        ("settb", {"expr": f"{time_base.numerator}/{time_base.denominator}"}),
    )
