"""What callers may ask for, each limit with its bounds."""

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.errors import UsageError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class Limits(BaseModel):
    """Limits of one server. The defaults suit clips of minutes and a machine with 8 GiB."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    upload_bytes: int = Field(default=256 << 20, ge=1 << 10, le=1 << 40)
    """Bytes of one video."""
    upload_s: float = Field(default=600.0, ge=1, le=86_400)
    """Seconds that the bytes of one upload may take to arrive."""
    frame_bytes: int = Field(default=16 << 20, ge=1 << 10, le=1 << 30)
    """Bytes of one JPEG or PNG picture of a live session."""
    frame_pixels: int = Field(default=3840 * 2160, ge=32 * 32, le=1 << 28)
    """Pixels of one frame, of a video or a live session."""
    seconds: float = Field(default=600.0, gt=0, le=86_400)
    """Length of a video."""
    frames: int = Field(default=20_000, ge=1, le=10_000_000)
    """Frames of a video."""
    sessions: int = Field(default=32, ge=1, le=1024)
    """Videos and live connections at once."""
    idle_s: float = Field(default=60.0, ge=0.1, le=3600)
    """Seconds without a word from a caller who has the next one: a pause in an upload, or between two frames."""
    batch: int = Field(default=16, ge=1, le=1024)
    """Sessions that advance in one call of the network."""


def limits_from(changes: dict[str, Any]) -> Limits:
    """The defaults with `changes`. Raises UsageError that says which limit is wrong and what there is."""
    try:
        return Limits.model_validate(changes)
    except ValidationError as error:
        raise UsageError(f"--limit {'; '.join(map(_problem, error.errors()))}") from error


def _problem(at: "ErrorDetails") -> str:
    name = ".".join(map(str, at["loc"]))
    if at["type"] != "extra_forbidden":
        return f"{name}={at['input']}: {at['msg']}"
    known = sorted(Limits.model_fields)
    return f"{name}: there is no such limit; known are {', '.join(get_close_matches(name, known, 3, 0.5) or known)}"
