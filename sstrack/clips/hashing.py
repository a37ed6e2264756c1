"""Hashes by which clips that show the same are found, however they were encoded, scaled, cut or brightened.

A clip is hashed at equal steps of its time. Each hash holds the signs of the low frequencies of the picture (its look)
and of what sets it apart from the clip's mean picture (what moves there), which tells two recordings of one fixed
camera from two copies of one recording.
"""

import numpy as np
from numpy.typing import NDArray

STEP = 0.5
"""Seconds between the hashes of a clip."""
BYTES = 40
"""Size of one hash: 32 bytes of the look, the lowest 8x8 frequencies first, and 8 of what moves."""
_LOOK = 32
_SIDE = 16
_CORE = 8
_FLAT = 2.0
"""Standard deviation in grey levels below which a picture has no look to speak of."""

Hashes = NDArray[np.uint8]
"""uint8 [k, 40]."""


def clip_hash(tiny_THW: NDArray[np.uint8]) -> bytes:
    """Hashes of T tiny luma frames taken every `STEP` seconds, 40 bytes each. A picture without any contrast is all
    zeros, and matches nothing."""
    frames = tiny_THW.astype(np.float32)
    look = _signs(frames, _SIDE)
    moving = _signs(frames - frames.mean(axis=0), _CORE)
    packed = np.concatenate([look, moving], axis=1)
    packed[frames.std(axis=(1, 2)) < _FLAT] = 0
    return packed.tobytes()


def picture_hash(luma_THW: NDArray[np.uint8]) -> Hashes:
    """The look alone of T tiny luma frames: uint8 [T, 32]."""
    frames = luma_THW.astype(np.float32)
    packed = _signs(frames, _SIDE)
    packed[frames.std(axis=(1, 2)) < _FLAT] = 0
    return packed


def hashes_of(data: bytes) -> Hashes:
    """The hashes in what `clip_hash` gave. ValueError where the length fits no whole number of them."""
    if len(data) % BYTES:
        raise ValueError(f"a clip's hash has {len(data)} bytes, which is no multiple of {BYTES}")
    return np.frombuffer(data, np.uint8).reshape(-1, BYTES)


def look(hashes: Hashes) -> Hashes:
    """uint8 [k, 32]: the part that describes the picture."""
    return hashes[:, :_LOOK]


def moving(hashes: Hashes) -> Hashes:
    """uint8 [k, 8]: the part that describes what sets each picture apart from the clip's mean."""
    return hashes[:, _LOOK:]


def mirrored(hashes: Hashes) -> Hashes:
    """What the hashes would be if the picture were flipped left to right: odd frequencies across change their sign."""
    masks = [_bits(np.tile(np.arange(side) % 2 == 1, (side, 1)), side) for side in (_SIDE, _CORE)]
    mask = np.concatenate(masks, axis=1)[:, : hashes.shape[1]]
    return np.where(hashes.any(axis=1, keepdims=True), hashes ^ mask, hashes)


def distance(one: Hashes, other: Hashes) -> NDArray[np.int64]:
    """Bits that differ, along the last axis; shapes broadcast."""
    return np.bitwise_count(one ^ other).sum(axis=-1, dtype=np.int64)


def _signs(frames: NDArray[np.floating], side: int) -> Hashes:
    """Packed signs of the lowest side x side frequencies of the cosine transform of [T, H, W]."""
    down, across = _cosines(frames.shape[1], side), _cosines(frames.shape[2], side)
    return _bits(np.einsum("uh,thw,vw->tuv", down, frames, across, optimize=True) > 0, side)


def _bits(signs: NDArray[np.bool_], side: int) -> Hashes:
    """bool [..., side, side] to bytes [T, side * side / 8], the lowest 8x8 frequencies first."""
    signs = signs.reshape(-1, side, side)
    core = signs[:, :_CORE, :_CORE].reshape(len(signs), -1)
    if side == _CORE:
        return np.packbits(core, axis=1)
    rest = np.concatenate(
        [signs[:, :_CORE, _CORE:].reshape(len(signs), -1), signs[:, _CORE:].reshape(len(signs), -1)], 1
    )
    return np.packbits(np.concatenate([core, rest], axis=1), axis=1)


def _cosines(length: int, count: int) -> NDArray[np.float32]:
    """float32 [count, length]: the first rows of the type 2 cosine transform."""
    rows = np.arange(count)[:, None] * (np.arange(length)[None] + 0.5)
    return np.cos(np.pi * rows / length).astype(np.float32)
