"""Seed boxes without labels or motion: parts of the first frame whose patches look alike and unlike the rest.

Patches are the nodes of a graph whose edges say how much alike their features are. Its smallest eigenvectors part it
where least likeness is cut (normalised cut; Shi & Malik 2000, TokenCut: Wang et al. 2022, several eigenvectors: Melas-
Kyriazi et al. 2022). Each eigenvector gives candidates, the connected patches on either side of it. A candidate that
the next frames show about there too is kept higher.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sstrack.clips.clip import SeedBox

Floats = NDArray[np.float32]

_VECTORS = 6
"""Eigenvectors that candidates are read from."""
_ALIKE_ABOVE = 0.0
"""Likeness to the average pair from which two patches are joined."""
_LOOSE = 1e-3
"""Weight of all other pairs, so that the graph holds together."""
_SMALLEST, _LARGEST = 0.002, 0.35
"""Share of the frame that a seed's box may cover."""
_WIDEST = 0.8
"""Share of the frame's width or height that it may span."""
_SUPPORTED = 0.4
"""Overlap (IoU) with a candidate of a later frame from which that one is the same thing."""
_EDGE = 0.6
"""What each edge of the frame that a candidate touches takes from its score: background reaches out of the picture."""
_MOST_SEEDS = 5


@dataclass(frozen=True)
class _Part:
    """A candidate: its box in patches (xywh) and how well it stands for one thing, 0..1."""

    box: NDArray[np.float64]
    score: float


def salient_seeds(features_ThwC: Floats, size: tuple[int, int]) -> list[SeedBox]:
    """Boxes of things that stand out on the first frame, best first.

    Args:
        features_ThwC: float32 features of unit length of the patches of T >= 1 frames, the first one the clip's first,
            the others shortly after it.
        size: width and height of the frames that boxes are wanted for.

    Returns: at most five seeds, boxes in pixels of those frames (xywh), scores in 0..1.
    """
    frames = [_parts(features) for features in features_ThwC]
    first, later = frames[0], frames[1:]
    ranked: list[_Part] = []
    for part in first:
        support = [max((_overlap(part.box, other.box) for other in parts), default=0.0) for parts in later]
        share = float(np.mean([value >= _SUPPORTED for value in support])) if later else 1.0
        ranked.append(_Part(part.box, part.score * (0.5 + 0.5 * share)))
    ranked.sort(key=lambda part: -part.score)
    chosen: list[_Part] = []
    for part in ranked:
        if all(_overlap(part.box, other.box) < 0.5 for other in chosen):
            chosen.append(part)
    h, w = features_ThwC.shape[1:3]
    scale = np.array((size[0] / w, size[1] / h) * 2)
    return [SeedBox(_xywh(part.box * scale), part.score, "saliency") for part in chosen[:_MOST_SEEDS]]


def _parts(features: Floats) -> list[_Part]:
    """Candidates of one frame, `[h, w, C]` features."""
    h, w, c = features.shape
    tokens = features.reshape(h * w, c).astype(np.float64)
    # Against what all patches share, which says nothing about any.
    tokens -= tokens.mean(0)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True) + 1e-9
    joined = np.where(tokens @ tokens.T > _ALIKE_ABOVE, tokens @ tokens.T, _LOOSE)
    degree = joined.sum(1)
    root = 1 / np.sqrt(degree)
    _, vectors = np.linalg.eigh(root[:, None] * joined * root[None])
    masks: dict[bytes, NDArray[np.bool_]] = {}
    for number in range(2, 2 + _VECTORS):
        values = (root * vectors[:, -number]).reshape(h, w)
        for side in (values, -values):
            for level in (side.mean(), side.mean() + side.std()):
                masks |= {piece.tobytes(): piece for piece in _pieces(side > level)}
    if not masks:
        return []
    pieces = np.stack(list(masks.values()))
    members = pieces.reshape(len(pieces), -1).T.astype(np.float64)
    kept = ((joined @ members) * members).sum(0) / (degree @ members)
    return [_part(piece, float(share)) for piece, share in zip(pieces, kept, strict=True)]


def _pieces(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """The connected pieces of a mask of patches `[h, w]` that could be a thing by their size."""
    h, w = mask.shape
    labels = _connected(mask)
    pieces: list[NDArray[np.bool_]] = []
    for label in np.unique(labels[mask]):
        rows, columns = np.nonzero(labels == label)
        high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        if _SMALLEST <= high * wide / (h * w) <= _LARGEST and max(high / h, wide / w) <= _WIDEST:
            pieces.append(labels == label)
    return pieces


def _connected(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The same number for patches `[h, w]` of the mask that hang together by their sides, 0 outside."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        edged = np.pad(labels, 1)
        around = (edged[1:-1, 1:-1], edged[:-2, 1:-1], edged[2:, 1:-1], edged[1:-1, :-2], edged[1:-1, 2:])
        spread = np.where(mask, np.max(around, axis=0), 0)
        if (spread == labels).all():
            return labels
        labels = spread


def _part(piece: NDArray[np.bool_], kept: float) -> _Part:
    """A candidate of a mask of patches that keeps this share of its likeness inside."""
    h, w = piece.shape
    rows, columns = np.nonzero(piece)
    top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    box = np.array((left, top, right - left, bottom - top), float)
    edges = int(top == 0) + int(left == 0) + int(bottom == h) + int(right == w)
    return _Part(box, kept**0.5 * len(rows) / float(box[2:].prod()) * _EDGE**edges)


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    low = np.maximum(one[:2], other[:2])
    high = np.minimum(one[:2] + one[2:], other[:2] + other[2:])
    inner = float(np.clip(high - low, 0, None).prod())
    return inner / (float(one[2:].prod() + other[2:].prod()) - inner)


def _xywh(box: NDArray[np.float64]) -> tuple[float, float, float, float]:
    x, y, w, h = (float(value) for value in box)
    return x, y, w, h
