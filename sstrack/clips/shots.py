"""Cuts from how much the picture changes between frames, and the spans of stored frames that lie between cuts."""

import itertools

import numpy as np
from numpy.typing import NDArray

_WINDOW = 8
"""Frames on either side with which a change is compared."""


def find_cuts(change: NDArray[np.float32], level: float, ratio: float) -> NDArray[np.int64]:
    """Indices of frames that open a new shot.

    `change` float32 [N] is each frame's mean luma difference (0-255) from the frame before. A cut stands out twice:
    it is at least `level`, and at least `ratio` times what its neighbours change by. The neighbours' upper range is
    taken, not their mean, so that doubled frames (most changes are zero) do not turn motion into cuts.
    """
    if len(change) < 2:
        return np.zeros(0, np.int64)
    padded = np.pad(change.astype(np.float64), _WINDOW, mode="reflect" if len(change) > _WINDOW else "edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _WINDOW + 1)
    around = np.delete(around, _WINDOW, axis=1)
    usual = np.quantile(around, 0.8, axis=1)
    peak = change >= around[:, _WINDOW - 1 : _WINDOW + 1].max(axis=1)
    found = (change >= level) & (change >= ratio * usual) & peak
    found[0] = False
    return np.flatnonzero(found)


def find_fades(dark: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Indices at which a picture goes dark or comes back: a fade through black parts two shots as a cut does."""
    return np.flatnonzero(dark[1:] != dark[:-1]) + 1


def shot_spans(cuts: NDArray[np.int64], frames: int, margin: int = 1) -> list[tuple[int, int]]:
    """Half-open spans of stored frames between cuts, `margin` frames on both sides of each cut left out.

    `cuts` are sorted indices of stored frames that open a shot, each in 0..frames. Empty spans are left out.
    """
    edges = [0, *(int(cut) for cut in cuts if 0 < cut < frames), frames]
    spans: list[tuple[int, int]] = []
    for first, end in itertools.pairwise(edges):
        start = first + (margin if first > 0 else 0)
        stop = end - (margin if end < frames else 0)
        if stop > start:
            spans.append((start, stop))
    return spans


def split_span(span: tuple[int, int], longest: int) -> list[tuple[int, int]]:
    """Cut a span into the fewest parts of at most `longest` frames, all equal to within one frame."""
    first, end = span
    parts = -(-(end - first) // longest)
    edges = [first + (end - first) * part // parts for part in range(parts + 1)]
    return list(itertools.pairwise(edges))
