"""Why something was left out. Every drop, of a video or of a part of one, becomes one row of the rejects table."""

from dataclasses import dataclass

QUARANTINE = frozenset({"crashed", "memory", "deadline"})
"""Reasons for which a source is set aside until it is asked for again."""

_KINDS = {
    "transient": ("unreachable", "unreadable", "missing"),
    "corrupt": (
        *("empty", "not_a_video", "undecodable", "frames_lost", "bad_times", "checksum", "crashed", "corrupt"),
        *("gap", "no_frames", "appended"),
        *("damaged", "truncated", "bad_frame", "bad_label", "bad_row", "wrong_size"),
    ),
    "unsupported": ("no_video", "unknown_codec", "no_truth", "picture"),
    "too_short": ("too_short",),
}
_KIND_OF = {reason: kind for kind, reasons in _KINDS.items() for reason in reasons}


def kind_of(reason: str) -> str:
    """The kind of a reason: transient (another attempt may help), corrupt, unsupported, too_short, or policy, which is
    every limit and verdict that settings draw."""
    return _KIND_OF.get(reason, "policy")


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


class Transient(Exception):
    """A source could not be had for a reason outside it, a store that does not answer say: try it again."""
