"""Pictures that stand still and pictures that are made to move: freezes, slideshows, and pans over a photograph.

Works on tiny luma frames taken at equal times, a few per second.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

RATE = 5.0
"""Tiny frames per second that the functions here expect."""
_LAG = 3
"""Frames between the two of a pair, 0.6 s: a slow pan moves by a visible part of a tiny pixel in that time."""
_LIVE = 1.0
"""Grey levels: a pair whose most changed spots differ by less shows the same picture."""
_SPOTS = 12
_DISTINCT = 10.0
"""Mean difference in grey levels between two stills that makes them different pictures."""
_EXPLAINED = 0.85
"""Share of the change between two frames that one camera move accounts for where a flat picture is moved."""
_JERK = 0.1
"""Change of a camera move from pair to pair, relative to the move: a machine's is steadier than a hand's."""
_TRANSITION = 2.0
"""Seconds that a slide may take to give way to the next."""


@dataclass(frozen=True)
class Stillness:
    """Shares of a clip's time, 0..1: `frozen`, in which nothing changes; `slides`, in which photographs are shown,
    moved steadily or changed for the next (0 where one picture stands and nothing else happens)."""

    frozen: float
    slides: float


def stillness(tiny_THW: NDArray[np.uint8]) -> Stillness:
    """Judge uint8 [T, h, w] tiny frames, `RATE` per second. Zero below five frames."""
    if len(tiny_THW) < _LAG + 2:
        return Stillness(0.0, 0.0)
    frames = tiny_THW.astype(np.float32)
    size = np.abs(frames[_LAG:] - frames[:-_LAG]).reshape(len(frames) - _LAG, -1)
    still = np.partition(size, -_SPOTS, axis=1)[:, -_SPOTS:].mean(axis=1) < _LIVE
    steady = _steady(*_camera(frames)) & ~still
    shown = _spread(still | steady)
    changed = _transitions(frames, shown)
    slides = float((shown | changed).mean()) if _spread(steady).mean() > 0.3 or changed.any() else 0.0
    return Stillness(float(_spread(still).mean()), slides)


def _spread(pairs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Frames that lie in a marked pair: bool [P] of pairs to bool [P + lag] of frames."""
    frames = np.zeros(len(pairs) + _LAG, bool)
    for ahead in range(_LAG + 1):
        frames[ahead : ahead + len(pairs)] |= pairs
    return frames


def _transitions(frames: Floats, shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Frames between two slides that follow each other closely and show different pictures."""
    changed = np.zeros(len(shown), bool)
    edges = np.flatnonzero(np.diff(shown.astype(np.int8)))
    for last, ahead in itertools.pairwise(edges):
        if shown[last] and not shown[last + 1] and ahead - last <= _TRANSITION * RATE:
            changed[last + 1 : ahead + 1] = float(np.abs(frames[ahead + 1] - frames[last]).mean()) > _DISTINCT
    return changed


def _camera(frames_THW: Floats) -> tuple[Floats, Floats]:
    """For each pair: the move (down, right, zoom, turn) in tiny pixels at the rim, and the share it explains.

    One step of least squares on the brightness constancy equation (Lucas and Kanade), for all pairs at once.
    """
    soft = _soften(frames_THW)
    before, after = soft[:-_LAG], soft[_LAG:]
    middle = (before + after) / 2
    down, right = np.gradient(middle, axis=1), np.gradient(middle, axis=2)
    change = (after - before)[:, 1:-1, 1:-1].reshape(len(before), -1)
    height, width = frames_THW.shape[1:]
    rows = np.linspace(-height / width, height / width, height, dtype=np.float32)[None, :, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None, None, :]
    terms = (down, right, down * rows + right * columns, right * rows - down * columns)
    basis = np.stack([term[:, 1:-1, 1:-1].reshape(len(before), -1) for term in terms], axis=-1)
    squares = np.einsum("tnp,tnq->tpq", basis, basis) + np.eye(4, dtype=np.float32) * 10
    against = np.einsum("tnp,tn->tp", basis, change)
    move = -np.linalg.solve(squares, against[..., None])[..., 0]
    left = change + np.einsum("tnp,tp->tn", basis, move)
    explained = 1 - (left**2).sum(1) / np.maximum((change**2).sum(1), 1e-6)
    return move.astype(np.float32), explained.astype(np.float32)


def _steady(move: Floats, explained: Floats) -> NDArray[np.bool_]:
    """Pairs that show one flat picture under a camera move as even as a machine's."""
    speed = np.linalg.norm(move, axis=1)
    change = np.linalg.norm(np.diff(move, axis=0), axis=1)
    nearest = np.minimum(np.append(change, change[-1]), np.insert(change, 0, change[0]))
    return (explained > _EXPLAINED) & (nearest < _JERK * np.maximum(speed, 0.05))


def _soften(frames: Floats) -> Floats:
    """3x3 binomial blur of each frame, edges repeated."""
    padded = np.pad(frames, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    return (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 4
