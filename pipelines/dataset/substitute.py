"""What happens to a sample that cannot be shown: another one takes its place, too many end the run."""

import logging
import threading
from collections import Counter

from pipelines.errors import SSTrackError

log = logging.getLogger(__name__)

SHARE = 0.001
"""Share of samples that may be replaced."""
FLOOR = 8
"""Replacements that are borne however few samples there were."""
ATTEMPTS = 16
"""Clips tried for one sample before the run stops."""
_LISTED = 20


class Replacements:
    """Counts of samples asked for and of clips that could not serve, by reason. For many threads at once."""

    def __init__(self) -> None:
        self.samples = 0
        self.reasons: Counter[str] = Counter()
        self._bad: dict[str, str] = {}
        self._lock = threading.Lock()

    def asked(self) -> None:
        """Count one sample."""
        with self._lock:
            self.samples += 1

    @property
    def share_damaged(self) -> float:
        """Share of the samples so far, 0..1, that a damaged clip was to give."""
        with self._lock:
            return self.reasons["damaged"] / max(1, self.samples)

    @property
    def share_unusable(self) -> float:
        """Clips that the sampling rules left out, per sample so far."""
        with self._lock:
            return (self.reasons.total() - self.reasons["damaged"]) / max(1, self.samples)

    def unusable(self, reason: str) -> None:
        """Count a sound clip that the sampling rules left out: it is no damage."""
        with self._lock:
            self.reasons[reason] += 1

    def damaged(self, clip_id: str, reason: str) -> None:
        """Count a damaged clip. Raises SSTrackError with the list once they are more than `SHARE`, above `FLOOR`."""
        with self._lock:
            self.reasons["damaged"] += 1
            if clip_id not in self._bad:
                log.warning("clip %s is replaced: %s", clip_id, reason)
            self._bad[clip_id] = reason
            if self.reasons["damaged"] > max(FLOOR, SHARE * self.samples):
                listed = "; ".join(f"{clip}: {why}" for clip, why in list(self._bad.items())[:_LISTED])
                more = f"; and {len(self._bad) - _LISTED} more" if len(self._bad) > _LISTED else ""
                raise SSTrackError(
                    f"{self.reasons['damaged']} of {self.samples} samples were damaged, more than {SHARE:.1%}: "
                    f"{listed}{more}. Run `sstrack dataset verify` and restore the shards it names from a copy."
                )
