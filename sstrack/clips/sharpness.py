"""How sharp a picture is, whatever it shows: detail at its strongest edges, against what the next coarser scale has."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

_EDGES = 0.05
"""Share of the picture, its strongest edges, that is looked at: a blurred background behind a sharp thing is fine."""
_FLOOR = 2.0
"""Grey levels of coarse detail below which there is no edge to judge by."""
_ROUNDING = 20 / 12
"""Energy that rounding to whole grey levels alone puts into the Laplacian, 1 + 1 + 1 + 1 + 16 times a twelfth."""


def sharpness(luma_HW: NDArray[np.uint8]) -> float:
    """Ratio of fine to coarse detail at the strongest edges of one luma frame [H, W] of about 320 pixels' long side.

    Natural pictures hold about as much contrast in each octave of scale, so the ratio of the Laplacian's size at full
    scale to that at a quarter of it is near a constant, whatever the picture's texture and contrast; blur takes the
    fine octaves first. About 0.2 to 0.5 where sharp, 0.06 for an edge that is spread over many pixels; 0 without any
    edge, and for frames below 16 pixels.
    """
    height, width = luma_HW.shape[0] // 4 * 4, luma_HW.shape[1] // 4 * 4
    if min(height, width) < 16:
        return 0.0
    luma = luma_HW[:height, :width].astype(np.float32)
    coarse = _laplacian(_halve(_halve(luma))) ** 2
    fine = _halve(_halve(_laplacian(luma) ** 2))
    count = max(1, int(_EDGES * coarse.size))
    strongest = np.argpartition(coarse.ravel(), -count)[-count:]
    energy = float(coarse.ravel()[strongest].mean())
    if energy < _FLOOR**2:
        return 0.0
    return float(np.sqrt(max(0.0, fine.ravel()[strongest].mean() - _ROUNDING) / energy))


def _laplacian(image: Floats) -> Floats:
    """Four-neighbour Laplacian of [H, W], zero at the rim."""
    result = np.zeros_like(image)
    inner = image[:-2, 1:-1] + image[2:, 1:-1] + image[1:-1, :-2] + image[1:-1, 2:] - 4 * image[1:-1, 1:-1]
    result[1:-1, 1:-1] = inner
    return result


def _halve(image: Floats) -> Floats:
    return (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4
