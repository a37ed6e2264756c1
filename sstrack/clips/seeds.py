"""Seed boxes without labels: what moves against the background of a clip's first frames."""

import numpy as np
from numpy.typing import NDArray

from sstrack.clips.clip import SeedBox


def motion_seeds(luma_THW: NDArray[np.uint8]) -> list[SeedBox]:
    return []
