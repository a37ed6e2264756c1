"""What a Ray job of ours runs, on the cluster's head: `python -m pipelines.trainings.job_main '<request>'`.

The request is `Request` as JSON. Lines of the log that begin with `MARK` are JSON for the one who follows it.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from pipelines.errors import SSTrackError, UsageError

MARK = "sstrack-job "
_EVERY_SECONDS = 1.0


def main(request: str) -> int:
    """Train as asked, on the cluster that this is a job of. Returns the exit code."""
    for name in ("pipelines", "sstrack"):
        logging.getLogger(name).setLevel(logging.INFO)
        logging.getLogger(name).addHandler(_Lines())
    from pipelines.trainings.record import train_and_record

    def opened(run_id: str, url: str | None) -> None:
        say({"opened": [run_id, url]})

    asked = json.loads(request)
    try:
        result = train_and_record(
            **asked["call"], cluster="auto", expected_key=asked["key"], progress=_Progress(), opened=opened
        )
    except SSTrackError as error:
        say({"error": str(error), "usage": isinstance(error, UsageError)})
        return 1
    say({"result": result})
    return 0


def say(data: dict[str, Any]) -> None:
    """One marked line, at once."""
    print(f"{MARK}{json.dumps(data, default=str)}", flush=True)


class _Lines(logging.Handler):
    """What our packages log, for a person at the other end."""

    def emit(self, record: logging.LogRecord) -> None:
        say({"log": record.getMessage()})


class _Progress:
    """Passes progress on, at most once in `_EVERY_SECONDS` and at the end."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, row: Mapping[str, float], total: int) -> None:
        if row["step"] >= total or time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_SECONDS
            say({"progress": [row, total]})


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stdout.flush()
    os._exit(code)
