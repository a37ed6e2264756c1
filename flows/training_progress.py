"""How a training shows its progress where there is no terminal: log lines, and artifacts in the Prefect UI."""

import contextvars
import math
import time
from collections.abc import Mapping
from typing import cast
from uuid import UUID

from flows.progress import ProgressLines


def in_words(row: Mapping[str, float]) -> str:
    """What of a row a person wants to see while waiting: loss, overlap, speed, and whether data keeps it waiting."""
    words = [f"loss {row['loss']:.2f}"]
    overlap = "backward" if "backward_iou" in row else "search"
    for name, text in ((f"{overlap}_iou", f"{overlap} IoU"), (f"validation_{overlap}_iou", "validation IoU")):
        if math.isfinite(row.get(name, math.nan)):
            words.append(f"{text} {row[name]:.2f}")
    if "samples_per_s" in row:
        words.append(f"{row['samples_per_s']:.1f} samples/s")
    if "data_wait" in row:
        words.append(f"{row['data_wait']:.0%} waiting for data")
    if row.get("skipped"):
        words.append(f"{row['skipped']:.0f} steps skipped")
    return ", ".join(words)


class Artifact:
    """A progress artifact of the running task, moved at most once in `every` seconds, and log lines beside it. A
    training that is found done has none. Make it in the task; it may be called from another thread."""

    def __init__(self, every: float = 5.0) -> None:
        self._id: UUID | None = None
        self._every, self._last = every, -math.inf
        self._lines = ProgressLines("train", "steps")
        # Rows of Ray's workers come in a thread, which by itself belongs to no run: its lines would go nowhere.
        self._task = contextvars.copy_context()

    def __call__(self, row: Mapping[str, float], steps: int) -> None:
        self._task.run(self._show, row, steps)

    def _show(self, row: Mapping[str, float], steps: int) -> None:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        done = int(row["step"])
        self._lines.update(done, steps, in_words(row))
        now = time.monotonic()
        if now - self._last < self._every and done < steps:
            return
        self._last = now
        percent, words = 100 * done / steps, f"step {done}: {in_words(row)}"
        if self._id is None:
            made = create_progress_artifact(percent, key="train-progress", description=words)
            self._id = cast(UUID, made)  # a coroutine only where it is awaited
        else:
            update_progress_artifact(self._id, percent, description=words)
