"""How clips become samples, and which clips are held out."""

from dataclasses import dataclass
from typing import Literal

from sstrack.bounds import check


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """How clips become samples."""

    n_search: int = 2
    """Later frames per sample (published: 3)."""
    max_gap: int = 400
    """Later frames lie at most this many stored frames after the first (published: 400)."""
    group_size: int = 8
    """Samples that may see each other: contrastive negatives, donors."""
    groups: int = 2
    """Groups in the global batch; the number of workers divides or exceeds nothing: ranks take whole groups."""
    canvas_width: int = 0
    """Width of the canvas that frames are put on, in pixels; larger frames are decoded at a half, a quarter or an
    eighth. 0, for width and height together, takes the dataset's largest frames."""
    canvas_height: int = 0
    seed_choice: Literal["best", "ranked"] = "best"
    """Which of a clip's seed boxes starts a sample: the best one, or one drawn by score."""
    reading: Literal["random", "streaming"] = "random"
    """`random` reads the frames of a sample wherever they lie; `streaming` reads whole shards one after the other, for
    S3 sets far larger than the disk, and shuffles less well."""
    order: Literal["whole", "windowed"] = "whole"
    """How clips are shuffled where they are read at `random`: `whole` shuffles all of them together, and needs the room
    of a whole remote dataset in the cache; `windowed` shuffles some stretches of it at a time, for remote sets larger
    than that. The same for a local and a remote copy either way."""
    stream_per_clip: int = 4
    """Samples drawn from a clip each time it comes by, when streaming."""
    stream_shuffle: int = 64
    """Clips whose samples are shuffled together, when streaming."""

    def __post_init__(self) -> None:
        check(1 <= self.n_search <= 16, self, "n_search", "must lie in 1..16")
        check(1 <= self.max_gap <= 100_000, self, "max_gap", "must lie in 1..100000")
        check(2 <= self.group_size <= 1024, self, "group_size", "must lie in 2..1024")
        check(1 <= self.groups <= 1024, self, "groups", "must lie in 1..1024")
        for name in ("canvas_width", "canvas_height"):
            check(0 <= getattr(self, name) <= 8192, self, name, "must lie in 0..8192")
        check(1 <= self.stream_per_clip <= 64, self, "stream_per_clip", "must lie in 1..64")
        check(1 <= self.stream_shuffle <= 4096, self, "stream_shuffle", "must lie in 1..4096")
        check(bool(self.canvas_width) == bool(self.canvas_height), self, "canvas_width", "set both sides or none")


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """A held-out list of clips that says when a training has learned what it can."""

    share: float = 0.0
    """Share of the clips held out of the training, by their ids: the same ones in every run. 0: none."""
    every: int = 500
    """Steps between looks at them."""
    groups: int = 4
    """Groups of samples looked at, always the same ones."""
    patience: int = 0
    """Looks without a lower loss after which training stops and the best checkpoint becomes the model; 0: never."""

    def __post_init__(self) -> None:
        check(0.0 <= self.share <= 0.5, self, "share", "must lie in 0..0.5")
        check(1 <= self.every <= 10_000_000, self, "every", "must lie in 1..10000000")
        check(1 <= self.groups <= 1024, self, "groups", "must lie in 1..1024")
        check(0 <= self.patience <= 10_000, self, "patience", "must lie in 0..10000")
        check(self.share > 0 or self.patience == 0, self, "patience", "needs clips to look at: set validation.share")
