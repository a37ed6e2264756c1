"""Where work runs: the one word that `--cluster`, `SSTRACK_CLUSTER` and the flows' parameter share."""

import re
from dataclasses import dataclass
from typing import Literal

from pipelines.errors import UsageError

PATTERN = r"^(local|auto|job|job:https?://[^\s/]+(/\S*)?|[A-Za-z0-9][A-Za-z0-9.\-]*:\d{1,5}|\[[0-9A-Fa-f:]+\]:\d{1,5})$"
"""What a word may look like, for forms."""

WORDS = "local, auto, host:port, job, or job:http://host:8265"


@dataclass(frozen=True)
class Place:
    """One word, taken apart."""

    kind: Literal["local", "join", "job"]
    """A private cluster on this machine, a cluster that is joined, or a cluster that a job is submitted to."""
    address: str
    """`local`; `auto` or `host:port`; the job server's http address, empty for the one of the settings."""


def place(word: str) -> Place:
    """Take `word` apart. Raises UsageError for one that is none of ours, and says why not `ray://`."""
    if word.startswith("ray://"):
        host = word.removeprefix("ray://").partition(":")[0] or "host"
        raise UsageError(
            f"cluster {word!r}: the Ray client (ray://) ends the work when the connection is gone for 30 seconds, and "
            f"is not offered; from outside of the cluster submit a job with job:http://{host}:8265, on one of its "
            f"machines join it with auto or {host}:6379"
        )
    if not re.fullmatch(PATTERN, word) or _port(word) > 65535:
        raise UsageError(f"cluster {word!r} is none of {WORDS}")
    if word == "local":
        return Place("local", "local")
    if word.partition(":")[0] == "job":
        return Place("job", word.partition(":")[2].rstrip("/"))
    return Place("join", word)


def _port(word: str) -> int:
    port = re.search(r":(\d+)/?$", word)
    return int(port[1]) if port else 0
