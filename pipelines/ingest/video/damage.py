"""Which frames of a damaged video can be trusted: what decoders say, and what follows from how frames are predicted.

A decoder flags a frame whose own data is broken. Frames predicted from it are just as wrong and come without a flag:
of 760 frames that 2,000 flipped bytes changed, 304 were not flagged. So damage lasts, in the order of decoding, until
the next keyframe.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NO_TIME = np.iinfo(np.int64).min
"""Stands for a packet without a presentation time."""
_GAP = 1.5
"""A pause this many times the usual one, in which a frame should have come, is a gap."""

Gap = tuple[int, int]
"""Ticks of the last frame before a gap and of the first one after it."""


def damaged_packets(times: NDArray[np.int64], key: NDArray[np.bool_], bad: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Packets that a broken one spoils, itself included: bool [M].

    Args:
        times: int64 [M] presentation ticks in the order of decoding.
        key: bool [M], packets that need no other.
        bad: bool [M], packets whose decoding went wrong.

    Frames shown before the keyframe they follow in decoding are predicted from both sides of it: they suffer from
    damage before the keyframe and hand none on to what is shown after it.
    """
    if not len(times):
        return np.zeros(0, np.bool_)
    index = np.arange(len(times))
    opened = np.maximum.accumulate(np.where(key, index, 0))  # the keyframe that each packet follows, or packet 0
    leading = ~key & (times < times[opened]) & key[opened]
    worst = np.maximum.accumulate(np.where(bad & ~leading, index, -1))
    trailing = worst >= opened
    before = np.where(opened > 0, _reached(trailing, leading, opened - 1), False)
    own = np.maximum.accumulate(np.where(bad, index, -1)) >= opened
    return np.where(leading, before | own, trailing)


def _reached(trailing: NDArray[np.bool_], leading: NDArray[np.bool_], at: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether damage had reached the last packet at or before each index of `at` that is no leading one."""
    index = np.arange(len(trailing))
    last = np.maximum.accumulate(np.where(~leading, index, 0))
    return trailing[last[np.maximum(at, 0)]]


def find_gaps(shown: NDArray[np.int64], missing: NDArray[np.int64]) -> list[Gap]:
    """Pauses between `shown` frames (sorted ticks) in which one of the `missing` ones should have come.

    A stream may hold packets that show nothing of their own (second fields, packets that only mark a repeat); they
    leave no pause and are no loss.
    """
    if len(shown) < 2 or not len(missing):
        return []
    pauses = np.diff(shown)
    usual = float(np.median(pauses))
    after = np.searchsorted(shown, missing)
    inside = after[(after > 0) & (after < len(shown))]
    return [(int(shown[i - 1]), int(shown[i])) for i in np.unique(inside) if pauses[i - 1] > _GAP * usual]


def damage_mask(
    numbers: NDArray[np.int64], corrupt: NDArray[np.bool_], gaps: Sequence[Gap], stored: int
) -> NDArray[np.bool_]:
    """Stored frames that cannot be trusted, bool [stored].

    `numbers` int64 [N] is the stored frame that first shows each decoded one; `gaps` are pairs of such numbers. A
    stored frame is damaged if what it shows is, if a damaged frame appears and goes while it is shown, or if it
    repeats an older one through a gap (the last before it may already be one).
    """
    mask = np.zeros(stored + 1, np.bool_)
    ends = np.append(numbers[1:], stored)
    for index in np.flatnonzero(corrupt):
        first = min(int(numbers[index]), stored)
        mask[first : max(first + 1, int(ends[index]))] = True
    for before, after in gaps:
        mask[before:after] = True
    return mask[:stored]


def spans_of(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open spans [first, end) of the true values of a mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def clean_spans(span: tuple[int, int], damage: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """What is left of a span of stored frames without the damaged ones (`damage` bool, one per stored frame)."""
    first, end = span
    return [(first + start, first + stop) for start, stop in spans_of(~damage[first:end])]


def parted(span: tuple[int, int], numbers: Sequence[int]) -> list[tuple[int, int]]:
    """A span of stored frames parted before each of `numbers` that lies in it."""
    first, end = span
    edges = [first, *sorted({number for number in numbers if first < number < end}), end]
    return list(itertools.pairwise(edges))
