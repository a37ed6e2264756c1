"""The metrics of a run: one JSON line per report in `metrics.jsonl`, written by rank 0, followed by whoever watches."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from pipelines import storage

OnRow = Callable[[dict[str, float]], None]
"""Called with each new row of metrics; `step` is in it."""

_NAME = "metrics.jsonl"
_REMOTE_EVERY_S = 20.0
"""A store takes no appends: there the whole file is written anew, but not with each row."""


def read_metrics(folder: str | Path) -> list[dict[str, float]]:
    """Rows of a run, oldest first, `step` in each; a last line that a crash cut is left out."""
    data = storage.read_if_exists(storage.join(str(folder), _NAME)) or b""
    return [json.loads(line) for line in data.decode().split("\n")[:-1]]


class MetricsLog:
    """Rank 0's hand on `metrics.jsonl`."""

    def __init__(self, folder: str, step: int) -> None:
        """Go on after `step` steps: rows past it are dropped, so that steps that are done again are not there twice."""
        self._uri = storage.join(folder, _NAME)
        self._rows = [row for row in read_metrics(folder) if row["step"] <= step]
        self._written = 0.0
        self._rewrite()

    def add(self, step: int, row: dict[str, float]) -> None:
        """Append the row of one step."""
        self._rows.append({"step": step, **row})
        if storage.is_local(self._uri):
            with storage.explained(self._uri), storage.local_path(self._uri).open("a") as file:
                file.write(json.dumps(self._rows[-1]) + "\n")
        elif time.monotonic() - self._written >= _REMOTE_EVERY_S:
            self._rewrite()

    def flush(self) -> None:
        """See to it that every row is there; called before a checkpoint says that its steps are done."""
        if not storage.is_local(self._uri):
            self._rewrite()

    def _rewrite(self) -> None:
        storage.write_atomic(self._uri, "".join(json.dumps(row) + "\n" for row in self._rows).encode())
        self._written = time.monotonic()
