"""What every way of reading has in common: batches by step and group."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.dataset.drawing import Drawn
from pipelines.dataset.substitute import Replacements
from pipelines.errors import SSTrackError
from sstrack.objectives.base import ClipBatch

Result = TypeVar("Result")


class Loader(Protocol):
    """Groups of samples by step and group: the whole state of a training's data is the number of the next step."""

    replaced: Replacements
    """What could not be shown since the loader was opened."""

    def __len__(self) -> int: ...
    def group(self, step: int, group: int) -> ClipBatch: ...
    def groups(self, wanted: Sequence[tuple[int, int]]) -> Iterator[ClipBatch]: ...
    def close(self) -> None: ...


def gather(frames: NDArray[np.uint8], futures: list[Future[Drawn]], patience_s: float, dataset: str) -> ClipBatch:
    """The batch whose samples `futures` paint onto `frames` uint8 [B, 1 + n_search, H, W, 3].

    Raises SSTrackError where one of them takes longer than `patience_s`, and whatever they raise.
    """
    drawn = [wait_for(future, patience_s, dataset) for future in futures]
    return ClipBatch(
        frames=torch.from_numpy(frames).permute(0, 1, 4, 2, 3),
        sizes=torch.tensor([each.size for each in drawn], dtype=torch.float32),
        seeds=torch.tensor([each.seed for each in drawn], dtype=torch.float32),
        clip_ids=tuple(each.clip_id for each in drawn),
        boxes=torch.from_numpy(np.stack([each.boxes for each in drawn])),
    )


def wait_for(future: Future[Result], patience_s: float, dataset: str) -> Result:
    """What a thread makes of a dataset. Raises SSTrackError where that takes longer than `patience_s`."""
    try:
        return future.result(patience_s)
    except FutureTimeout:
        raise SSTrackError(
            f"no batch came within {patience_s:.0f} s from {dataset}: the storage does not answer; check it and run "
            "the same command again, which goes on from the last checkpoint."
        ) from None
