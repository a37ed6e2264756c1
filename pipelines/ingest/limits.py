"""What one source may cost and how often it is tried. None of it changes a clip, so it is in no key."""

from pydantic import BaseModel, ConfigDict, Field

BYTE_STAGES = frozenset({"read", "fetch", "probe", "join"})
"""Stages whose work grows with a file's bytes, which they tell; all others tell seconds of video."""


class RunLimits(BaseModel):
    """Limits of a run. The defaults suit video of up to some hours on workers with 2 GiB each."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    deadline_factor: float = Field(default=4.0, gt=0, le=1000)
    """Decoding may take a minute plus this many times the length of the video."""
    segment_seconds: float = Field(default=120.0, ge=1)
    """Longer videos can be decoded in parts of about this length, by several workers, to the same result."""
    fetch_mib_s: float = Field(default=0.5, gt=0, le=10_000)
    """Reading or fetching a source may take a minute plus its size divided by this rate in MiB per second."""
    memory_mib: float = Field(default=1500.0, ge=200, le=1_000_000)
    """Memory of one worker with all its child processes, in MiB; a source that needs more is set aside."""
    scratch_mib: float = Field(default=20_000.0, ge=1, le=10_000_000)
    """Disk space per worker for a fetched copy, in MiB: remote files above this are not fetched."""
    attempts: int = Field(default=3, ge=1, le=20)
    """How often a source is tried that cannot be reached."""
    retry_seconds: float = Field(default=2.0, ge=0, le=600)
    """Wait before the second attempt; it doubles with each further one."""
    crashes: int = Field(default=2, ge=1, le=10)
    """How many workers a source may kill before it is quarantined."""
    max_failed_share: float = Field(default=0.5, ge=0, le=1)
    """The run fails without publishing where more than this share of its new sources could not be reached or killed
    their workers. Damaged and unsuitable videos do not count: they are dropped with a reason."""

    @property
    def decoder_bytes(self) -> int:
        """Memory that a decoder may hold: what its worker, which holds some 200 MiB itself, leaves of the limit."""
        return int(max(100.0, self.memory_mib - 200) * 2**20)

    def deadline(self, stage: str, amount: float) -> float:
        """Seconds that a stage may take on a video of `amount` bytes (stages of BYTE_STAGES) or seconds (all others).
        Here a hang ends; the decoder has a tighter limit of its own."""
        if stage in BYTE_STAGES:
            return 60 + amount / (self.fetch_mib_s * 2**20)
        return 180 + 2 * self.deadline_factor * amount
