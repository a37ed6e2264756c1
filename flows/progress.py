"""Progress of long work as plain log lines, for terminals that are none and for the Prefect UI."""

import logging
import time

log = logging.getLogger(__name__)


class ProgressLines:
    """Progress of long work as log lines with rate and ETA, at most one in `every` seconds."""

    def __init__(self, stage: str, unit: str, every: float = 5.0) -> None:
        self._stage, self._unit, self._every = stage, unit, every
        self._last = time.monotonic()
        self._first: tuple[int, float] | None = None
        self._total = 0

    def update(self, done: int, total: int, note: str = "") -> None:
        """Log that `done` of `total` units are finished, `note` behind it."""
        words = self.in_words(done, total, note)
        now = time.monotonic()
        if now - self._last < self._every:
            return
        self._last = now
        log.info("%s: %s", self._stage, words)

    def in_words(self, done: int, total: int, note: str = "") -> str:
        """How far it is, how fast, and how long it will take."""
        now = time.monotonic()
        # What came before the first unit, starting processes say, tells nothing of those to come; nor do other works.
        if self._first is None or total != self._total or done < self._first[0]:
            self._first, self._total = (done, now), total
        first, began = self._first
        rate = (done - first) / max(now - began, 1e-9)
        ahead = f", {rate:.1f} {self._unit}/s, {(total - done) / rate:.0f} s to go" if rate > 0 else ""
        return f"{done} of {total} {self._unit}{ahead}{f', {note}' if note else ''}"
