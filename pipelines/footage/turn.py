"""How decoded frames are turned and mirrored to stand as a player shows them: the eight ways of the display matrix."""

import struct
from dataclasses import dataclass
from typing import Any

import av.video
import numpy as np
from av.sidedata.sidedata import Type
from numpy.typing import NDArray

from pipelines.footage.chain import Chain

_TURNS: tuple[Chain, ...] = (
    (),
    (("transpose", {"dir": "cclock"}),),
    (("hflip", {}), ("vflip", {})),
    (("transpose", {"dir": "clock"}),),
)


@dataclass(frozen=True)
class Turn:
    """First mirror left to right if `mirrored`, then turn by `quarters` times 90 degrees counter-clockwise."""

    quarters: int = 0
    mirrored: bool = False

    @property
    def on_its_side(self) -> bool:
        """Whether width and height change places."""
        return self.quarters % 2 == 1

    @property
    def chain(self) -> Chain:
        """Filters that do it."""
        return ((("hflip", {}),) if self.mirrored else ()) + _TURNS[self.quarters]

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn [H, W] or [H, W, 3] in memory."""
        mirrored = picture[:, ::-1] if self.mirrored else picture
        return np.ascontiguousarray(np.rot90(mirrored, self.quarters))

    @property
    def said(self) -> str:
        """In words, empty where nothing is turned."""
        words = [f"turned {90 * self.quarters}"] if self.quarters else []
        return " and ".join(["mirrored"] * self.mirrored + words)


UPRIGHT = Turn()


def turn_of(frame: av.video.frame.VideoFrame) -> Turn:
    """The turn that a frame's display matrix asks for; angles between are taken to the nearest quarter."""
    known: Any = frame.side_data  # a mapping by type, which its stubs call one of strings
    data = known.get(Type.DISPLAYMATRIX)
    return UPRIGHT if data is None else from_matrix(struct.unpack("=9i", bytes(data)[:36]))


def from_matrix(matrix: tuple[int, ...]) -> Turn:
    """The turn of a display matrix: nine integers of 16.16 (and 2.30) fixed point as ISO 14496-12 has them.

    A point (x, y) of the decoded frame, y downwards, is shown at (a x + c y, b x + d y), `matrix` beginning a, b, ., c,
    d. A negative determinant mirrors; mirroring left to right first (x to -x) leaves a turn.
    """
    a, b, _, c, d = (value / 65536 for value in matrix[:5])
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    # the x axis is shown along (a, b): b downwards is clockwise, and both axes vote
    angle = np.arctan2(-(b - c), a + d)
    return Turn(round(float(angle) / (np.pi / 2)) % 4, mirrored)
