"""How an ingest shows its progress where there is no terminal: log lines, and a progress artifact in the Prefect UI."""

import logging
import time
from typing import cast
from uuid import UUID

from pipelines.ingest.progress import IngestProgress

log = logging.getLogger(__name__)


class Lines:
    """One log line with everything, at most one in `every` seconds."""

    def __init__(self, every: float = 10.0) -> None:
        self._every, self._last = every, time.monotonic()

    def __call__(self, at: IngestProgress) -> None:
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            log.info("ingest: %s", at.line())


class Artifact:
    """A progress artifact of the running task, moved at most once in `every` seconds, and lines beside it."""

    def __init__(self, dataset: str, every: float = 5.0) -> None:
        from prefect.artifacts import create_progress_artifact

        made = create_progress_artifact(0.0, key="ingest-progress", description=f"Dataset {dataset}")
        self._id = cast(UUID, made)  # a coroutine only where it is awaited
        self._every, self._last = every, time.monotonic()
        self._lines = Lines()

    def __call__(self, at: IngestProgress) -> None:
        from prefect.artifacts import update_progress_artifact

        self._lines(at)
        now = time.monotonic()
        if now - self._last >= self._every or at.done == at.total:
            self._last = now
            update_progress_artifact(self._id, min(100.0, at.share * 100), description=at.line())
