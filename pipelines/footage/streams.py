"""Which of a file's video streams is the film: not a cover, the one marked as default, then the largest."""

from collections.abc import Sequence

import av.container
import av.video
from av.stream import Disposition

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
"""Covers, thumbnails for seeking, stills: pictures about the film, not the film."""
_STILL_CODECS = frozenset({"mjpeg", "png", "bmp", "tiff", "webp", "ljpeg", "jpegls", "jpegxl"})
"""Codecs of pictures, which films have rarely and covers have always."""


def film_of(container: av.container.InputContainer) -> av.video.VideoStream | None:
    """The stream to read, None where the file has none.

    Among moving pictures, one with the default disposition wins, then the one with most pixels, then the first. A
    stream that says it holds one frame is taken only where there is no other, and so is one whose codec is made for
    pictures: Matroska does not say that a cover is one frame.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & _PICTURES]
    return max(streams, key=_rank, default=None)


def _rank(stream: av.video.VideoStream) -> tuple[bool, bool, bool, int, int]:
    codec = stream.codec_context
    pixels = codec.width * codec.height if codec is not None else 0
    moving = codec is not None and codec.name not in _STILL_CODECS
    return stream.frames != 1, moving, bool(stream.disposition & Disposition.default), pixels, -stream.index


def chosen_among(container: av.container.InputContainer, chosen: av.video.VideoStream) -> str:
    """`stream 1 of 2` where the file holds other video streams or pictures too, else nothing."""
    streams: Sequence[av.video.VideoStream] = container.streams.video
    return f"stream {chosen.index} of {len(streams)} with pictures" if len(streams) > 1 else ""
