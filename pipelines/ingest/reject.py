"""Why something was left out. Every drop, of a video or of a part of one, becomes one row of the rejects table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reject:
    """A dropped video (no span) or part of one (seconds `start_s` to `end_s`); `reason` is a short fixed word.

    `clip_id` names a part that was a clip before it was dropped, `duplicate_of` the clip or the benchmark sequence that
    shows the same.
    """

    source_id: str
    source_uri: str
    stage: str
    reason: str
    detail: str
    config: str
    start_s: float | None = None
    end_s: float | None = None
    clip_id: str = ""
    duplicate_of: str = ""


class Unusable(Exception):
    """A video that yields nothing, with the stage that found out, the reason and a sentence of detail."""

    def __init__(self, stage: str, reason: str, detail: str) -> None:
        super().__init__(stage, reason, detail)
        self.stage, self.reason, self.detail = stage, reason, detail
