"""Our packages' log lines in the Prefect UI.

Naming them in Prefect's `logging.extra_loggers` attaches a handler but leaves their level at the root's WARNING, so
INFO lines are dropped; and a worker's run, which starts in an empty folder, does not see our pyproject.toml at all.
"""

import logging
import time

from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler

log = logging.getLogger(__name__)

PACKAGES = ("flows", "pipelines", "sstrack")


def show_our_logs() -> None:
    """Send INFO lines of our packages to the API of the run they are logged in. Calling it again changes nothing."""
    for name in PACKAGES:
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)
        if not any(isinstance(handler, APILogHandler) for handler in logger.handlers):
            logger.addHandler(APILogHandler())
        for handler in logger.handlers:
            if isinstance(handler, APILogHandler) and _inside_a_run not in handler.filters:
                handler.addFilter(_inside_a_run)


def _inside_a_run(_: logging.LogRecord) -> bool:
    """Lines logged outside a run have nowhere to go; without this filter each gives a warning."""
    return FlowRunContext.get() is not None or TaskRunContext.get() is not None


class ProgressLines:
    """Progress of long work as log lines with rate and ETA, at most one in `every` seconds."""

    def __init__(self, stage: str, unit: str, every: float = 5.0) -> None:
        self._stage, self._unit, self._every = stage, unit, every
        self._started = self._last = time.monotonic()
        self._first: int | None = None

    def update(self, done: int, total: int, note: str = "") -> None:
        """Log that `done` of `total` units are finished, `note` behind it."""
        now = time.monotonic()
        self._first = done if self._first is None else self._first
        if now - self._last < self._every:
            return
        self._last = now
        rate = (done - self._first) / max(now - self._started, 1e-9)
        ahead = f", {rate:.1f} {self._unit}/s, {(total - done) / rate:.0f} s to go" if rate > 0 else ""
        log.info("%s: %d of %d %s%s%s", self._stage, done, total, self._unit, ahead, f", {note}" if note else "")
