"""Which clips show the same: candidates that share a band of a hash, and a check of each pair along its best shift.

Sub-linear in the number of pairs: only clips that share one of the four 16-bit bands of some hash are compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sstrack.clips.hashing import Hashes, distance, look, middle_look, mirrored, moving

_BANDS = 4
_FIRST = 24
"""Of the clips in one bucket, this many of the first are compared with the rest: large buckets stay cheap."""
_STANDS = 70
"""Bits of the look that change from hash to hash, below which the camera may stand and what moves has to agree."""


@dataclass(frozen=True)
class MatchRule:
    """When two clips show the same: mean bits that may differ in their look (of 256) and, where the camera stands, in
    what moves (of 64), over at least `overlap` of the clip that would go; `mirror` also finds flipped ones."""

    look_bits: float = 66.0
    moving_bits: float = 16.0
    overlap: float = 0.5
    mirror: bool = True


def candidates(clips: Sequence[Hashes], mirror: bool) -> list[tuple[int, int]]:
    """Sorted pairs (i, j), i < j, of clips that share a band of a hash, also with one of them flipped."""
    sides = [list(clips), [mirrored(hashes) for hashes in clips]] if mirror else [list(clips)]
    if not sum(map(len, clips)):
        return []
    owners = np.concatenate([np.full(len(hashes), number) for side in sides for number, hashes in enumerate(side)] * 2)
    stacked = np.concatenate([hashes for side in sides for hashes in side])
    looks = np.concatenate([look(stacked), middle_look(stacked)])
    shown = looks.any(axis=1)
    bands = np.ascontiguousarray(looks[:, : 2 * _BANDS]).view("<u2")
    found: set[tuple[int, int]] = set()
    for band in range(_BANDS):
        entries = np.unique(np.stack([bands[shown, band].astype(np.int64), owners[shown]], axis=1), axis=0)
        starts = np.flatnonzero(np.diff(entries[:, 0], prepend=-1))
        for start, end in zip(starts, np.append(starts[1:], len(entries)), strict=True):
            if end - start > 1:
                found.update(_pairs(entries[start:end, 1]))
    return sorted(found)


def _pairs(members: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    for ahead, first in enumerate(members[:_FIRST].tolist()):
        for other in members[ahead + 1 :].tolist():
            yield first, other


def same(kept: Hashes, gone: Hashes, rule: MatchRule) -> float | None:
    """Mean bits of the look in which two clips differ at their best shift, None where they do not show the same.

    `kept` and `gone` are the hashes, uint8 [k, 72], of the clip that would stay and of the one that would go.
    """
    best = _along(kept, gone, rule)
    if rule.mirror and best is None:
        best = _along(kept, mirrored(gone), rule)
    return best


def _along(kept: Hashes, gone: Hashes, rule: MatchRule) -> float | None:
    shown = np.logical_and.outer(look(kept).any(axis=1), look(gone).any(axis=1))
    least = max(2, int(np.ceil(rule.overlap * len(gone))))
    best: tuple[float, int] | None = None
    for one, other in ((look, look), (look, middle_look), (middle_look, look)):
        apart = distance(one(kept)[:, None], other(gone)[None])
        for shift in range(least - len(gone), len(kept) - least + 1):
            at = np.arange(max(0, shift), min(len(kept), len(gone) + shift))
            both = shown[at, at - shift]
            if both.sum() >= least:
                mean = float(apart[at, at - shift][both].mean())
                best = (mean, shift) if best is None or mean < best[0] else best
    if best is None or best[0] > rule.look_bits:
        return None
    mean, shift = best
    at = np.arange(max(0, shift), min(len(kept), len(gone) + shift))
    pace = distance(look(kept)[at][1:], look(kept)[at][:-1])
    if pace.mean() < _STANDS and distance(moving(kept)[at], moving(gone)[at - shift]).mean() > rule.moving_bits:
        return None
    return mean
