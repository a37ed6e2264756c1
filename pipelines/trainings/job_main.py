"""What a Ray job of ours runs, on the cluster's head: `python -m pipelines.trainings.job_main '<request>'`.

The request is JSON: `call`, the arguments of `train_and_record`, and `key`, the run key they have where they come from.
What is said goes to the log in `job_words`.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Mapping

from pipelines.errors import SSTrackError, UsageError
from pipelines.trainings.job_words import say
from pipelines.trainings.record import train_and_record

_EVERY_SECONDS = 1.0


def main(request: str) -> int:
    """Train as asked, on the cluster that this is a job of. Returns the exit code."""
    for name in ("pipelines", "sstrack"):
        logging.getLogger(name).setLevel(logging.INFO)
        logging.getLogger(name).addHandler(_Lines())

    def opened(run_id: str, url: str | None) -> None:
        say({"opened": [run_id, url]})

    asked = json.loads(request)
    try:
        result = train_and_record(
            **asked["call"], cluster="auto", expected_key=asked["key"], progress=_SayRows(), opened=opened
        )
    except SSTrackError as error:
        say({"error": str(error), "usage": isinstance(error, UsageError)})
        return 1
    say({"result": result})
    return 0


class _Lines(logging.Handler):
    """What our packages log, for a person at the other end."""

    def emit(self, record: logging.LogRecord) -> None:
        say({"log": record.getMessage()})


class _SayRows:
    """Passes rows of metrics on, at most once in `_EVERY_SECONDS` and at the end."""

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
