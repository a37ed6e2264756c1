"""Hashes by which clips that show the same are found, however they were encoded, scaled, cut, cropped or brightened.

A clip is hashed at equal steps of its time. Each hash holds the signs of the low frequencies of the picture (its look),
the same of the picture's middle (for copies that lost their rim), and of what sets the picture apart from the clip's
mean (what moves there), which tells two recordings of one fixed camera from two copies of one recording.
"""

import numpy as np
from numpy.typing import NDArray

TOGETHER = 3
"""Tiny frames whose mean makes one hash: copies whose clips begin at other moments still look alike."""
LOOK = 32
"""Bytes of a look: the signs of 16x16 frequencies, the lowest 8x8 first."""
BYTES = 2 * LOOK + 8
"""Bytes of one hash: look, look of the middle, and 8x8 signs of what moves."""
_SIDE, _CORE = 16, 8
_MIDDLE = 0.88
"""Share of width and height that the middle has."""
_FLAT = 2.0
"""Standard deviation in grey levels below which a picture has no look to speak of."""

Hashes = NDArray[np.uint8]
"""uint8 [k, 72]."""


def clip_hash(tiny_THW: NDArray[np.uint8]) -> bytes:
    """Hashes of a clip from its T tiny luma frames, `RATE` per second: 72 bytes for each 0.6 s, at least one.

    A picture without any contrast is all zeros, and matches nothing. Nothing where T is 0.
    """
    if len(tiny_THW) == 0:
        return b""
    groups = max(1, len(tiny_THW) // TOGETHER)
    frames = np.stack([part.mean(axis=0) for part in np.array_split(tiny_THW.astype(np.float32), groups)])
    moves = _signs(frames - frames.mean(axis=0), _CORE, 1.0)
    packed = np.concatenate([picture_look(frames), picture_look(frames, middle=True), moves], axis=1)
    packed[frames.std(axis=(1, 2)) < _FLAT] = 0
    return packed.tobytes()


def picture_look(luma_THW: NDArray[np.floating] | NDArray[np.uint8], *, middle: bool = False) -> Hashes:
    """The look alone of T luma pictures, or of their middle: uint8 [T, 32], zeros where there is no contrast."""
    frames = luma_THW.astype(np.float32)
    packed = _signs(frames, _SIDE, _MIDDLE if middle else 1.0)
    packed[frames.std(axis=(1, 2)) < _FLAT] = 0
    return packed


def hashes_of(data: bytes) -> Hashes:
    """The hashes in what `clip_hash` gave. ValueError where the length fits no whole number of them."""
    if len(data) % BYTES:
        raise ValueError(f"a clip's hash has {len(data)} bytes, which is no multiple of {BYTES}")
    return np.frombuffer(data, np.uint8).reshape(-1, BYTES)


def look(hashes: Hashes) -> Hashes:
    """uint8 [k, 32]: the part that describes the picture."""
    return hashes[:, :LOOK]


def middle_look(hashes: Hashes) -> Hashes:
    """uint8 [k, 32]: the part that describes the picture's middle."""
    return hashes[:, LOOK : 2 * LOOK]


def moving(hashes: Hashes) -> Hashes:
    """uint8 [k, 8]: the part that describes what sets each picture apart from the clip's mean."""
    return hashes[:, 2 * LOOK :]


def mirrored(hashes: Hashes) -> Hashes:
    """What the hashes would be if the picture were flipped left to right: odd frequencies across change their sign.

    Works on whole hashes and on looks alone.
    """
    large, small = (_bits(np.tile(np.arange(side) % 2 == 1, (side, 1))[None], side) for side in (_SIDE, _CORE))
    mask = np.concatenate([large, large, small], axis=1)[:, : hashes.shape[1]]
    return np.where(hashes.any(axis=1, keepdims=True), hashes ^ mask, hashes)


def distance(one: Hashes, other: Hashes) -> NDArray[np.int64]:
    """Bits that differ, along the last axis; shapes broadcast."""
    return np.bitwise_count(one ^ other).sum(axis=-1, dtype=np.int64)


def _signs(frames: NDArray[np.floating], side: int, share: float) -> Hashes:
    """Packed signs of the lowest side x side frequencies of the cosine transform of the middle of [T, H, W]."""
    down, across = _cosines(frames.shape[1], side, share), _cosines(frames.shape[2], side, share)
    return _bits(np.einsum("uh,thw,vw->tuv", down, frames, across, optimize=True) > 0, side)


def _bits(signs: NDArray[np.bool_], side: int) -> Hashes:
    """bool [T, side, side] to bytes [T, side * side / 8], the lowest 8x8 frequencies first."""
    core = signs[:, :_CORE, :_CORE].reshape(len(signs), -1)
    right = signs[:, :_CORE, _CORE:side].reshape(len(signs), -1)
    below = signs[:, _CORE:].reshape(len(signs), -1)
    return np.packbits(np.concatenate([core, right, below], axis=1), axis=1)


def _cosines(length: int, count: int, share: float) -> NDArray[np.float32]:
    """float32 [count, length]: the first rows of the type 2 cosine transform of the middle `share` of `length` values,
    which is resampled to `length` values by straight lines."""
    place = (np.arange(length) + 0.5 - length / 2) * share + length / 2 - 0.5
    left = np.clip(np.floor(place).astype(int), 0, length - 2)
    resample = np.zeros((length, length))
    resample[np.arange(length), left] = 1 - (place - left)
    resample[np.arange(length), left + 1] = place - left
    rows = np.cos(np.pi * np.arange(count)[:, None] * (np.arange(length)[None] + 0.5) / length)
    return (rows @ resample).astype(np.float32)
