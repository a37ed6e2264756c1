"""What the server says no to: one sentence, the HTTP status that goes with it, and a name that metrics count by."""

from pipelines.errors import SSTrackError

GONE = 499
"""The status, by nginx' custom, that is counted for a caller who left before the answer."""


class Refusal(SSTrackError):
    """A request that is not served, or not served on; the others are."""

    def __init__(self, status: int, reason: str, text: str) -> None:
        """`reason` is one of few words, `text` the sentence for the caller; it becomes one line."""
        super().__init__(" ".join(text.split()))
        self.status, self.reason = status, reason

    def as_dict(self) -> dict[str, str | int]:
        """JSON-able."""
        return {"error": str(self), "reason": self.reason, "status": self.status}


def stopping() -> Refusal:
    """What everybody is told when the server ends."""
    return Refusal(503, "stopping", "the server is stopping; ask again when it is back")
