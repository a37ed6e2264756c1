"""Progress of a task's long work in the Prefect UI: an artifact that moves, and log lines beside it."""

import contextvars
import math
import time
from typing import cast
from uuid import UUID

from flows.progress import ProgressLines


class TaskProgress:
    """A progress artifact of the running task, moved at most once in `every` seconds. Work that is found done has none.
    Make it in the task; it may be called from another thread."""

    def __init__(self, key: str, stage: str, unit: str, every: float = 5.0) -> None:
        self._key, self._stage, self._unit, self._every = key, stage, unit, every
        self._id: UUID | None = None
        self._last = -math.inf
        self._lines = ProgressLines(stage, unit, every)
        # What comes from a thread belongs to no run by itself: its lines would go nowhere.
        self._task = contextvars.copy_context()

    def __call__(self, done: int, total: int, note: str = "") -> None:
        self._task.run(self._show, done, total, note)

    def _show(self, done: int, total: int, note: str) -> None:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        self._lines.update(done, total, note)
        now = time.monotonic()
        if now - self._last < self._every and done < total:
            return
        self._last = now
        percent = 100 * done / total
        words = f"{self._stage}: {self._lines.in_words(done, total, note)}"
        if self._id is None:
            made = create_progress_artifact(percent, key=self._key, description=words)
            self._id = cast(UUID, made)  # a coroutine only where it is awaited
        else:
            update_progress_artifact(self._id, percent, description=words)
