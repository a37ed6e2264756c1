"""What a container says of a stream's colours. Decoders put what the stream itself says in its place, be it nothing.

The range of numbers, full or limited, is left as the stream has it.
"""

from dataclasses import dataclass

import av

_UNSAID, _RGB = 2, 0


@dataclass(frozen=True)
class ColourTags:
    """Transfer, primaries and matrix as ffmpeg numbers them (ITU-T H.273); 2 is unsaid."""

    transfer: int = _UNSAID
    primaries: int = _UNSAID
    matrix: int = _UNSAID

    @property
    def said(self) -> bool:
        """Whether the matrix is known."""
        return self.matrix != _UNSAID

    def filled(self, other: "ColourTags") -> "ColourTags":
        """These, and the other's where these say nothing. A container's word that pictures are RGB is not taken: those
        that are say so by their format."""
        return ColourTags(
            self.transfer if self.transfer not in (0, _UNSAID) else other.transfer,
            self.primaries if self.primaries not in (0, _UNSAID) else other.primaries,
            self.matrix if self.said or other.matrix == _RGB else other.matrix,
        )


def tags_of(source: "av.VideoCodecContext | av.VideoFrame") -> ColourTags:
    """What a stream's codec says, before its first frame is decoded what the container does; or what a frame says."""
    return ColourTags(int(source.color_trc or 0), int(source.color_primaries or 0), int(source.colorspace))


def fill(frame: av.VideoFrame, tags: ColourTags) -> ColourTags:
    """Have a frame say what it left unsaid; what it says then."""
    said = tags_of(frame).filled(tags)
    frame.colorspace = said.matrix
    return said
