"""The record of a clip: where its frames come from, what they score, and which boxes may start a tracker on them."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels of the stored frames, 0-based from the top left."""

PSEUDO = "pseudo"
"""Source of a first seed box whose clip has boxes that were found by following it, and that nobody made."""


@dataclass(frozen=True)
class SeedBox:
    """A box on a clip's first frame that probably holds one object; `score` in 0..1, `source` says who found it."""

    box: Box
    score: float
    source: str


@dataclass(frozen=True)
class Clip:
    """One clip. Times are seconds of the source, sizes pixels of the stored frames, `scores` named measurements.

    `verdicts` are what spoke against it when it was judged, `phash` its perceptual hashes in hex (see `hashing`).
    `source_id` is the sha256 of its video; no path is kept here, so the same video gives the same clip wherever it lay.
    """

    clip_id: str
    source_id: str
    start_s: float
    end_s: float
    fps: float
    frames: int
    width: int
    height: int
    scores: dict[str, float]
    seed_boxes: tuple[SeedBox, ...]
    config: str
    verdicts: tuple[str, ...] = ()
    phash: str = ""
    boxes: tuple[Box | None, ...] | None = None
    """For labelled clips the true box on each frame, None where the target is absent or its box is unknown; for others
    a pseudo-track where ingest made one."""
    visible: tuple[bool, ...] | None = None
    """For labelled clips whether the target can be seen on each frame."""

    @property
    def labelled(self) -> bool:
        """Whether it has boxes that people made."""
        return self.boxes is not None and not (self.seed_boxes and self.seed_boxes[0].source == PSEUDO)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` is the inverse."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Clip":
        """Build a clip from what `as_dict` gave, also after a trip through JSON."""
        seeds = tuple(SeedBox(_box(seed["box"]), seed["score"], seed["source"]) for seed in values["seed_boxes"])
        fields: dict[str, Any] = {**values, "seed_boxes": seeds, "verdicts": tuple(values.get("verdicts", ()))}
        if values.get("boxes") is not None:
            fields["boxes"] = tuple(None if box is None else _box(box) for box in values["boxes"])
            fields["visible"] = tuple(values["visible"])
        return Clip(**fields)


def clip_key(source_id: str, first: int, end: int, config: str) -> str:
    """A clip's id: 20 hex digits from its source's sha256, its span in stored frames and the ingest-config digest."""
    return hashlib.sha256(f"{source_id}:{first}:{end}:{config}".encode()).hexdigest()[:20]


def _box(values: Any) -> Box:
    x, y, w, h = (float(value) for value in values)
    return x, y, w, h
