"""What ingest does with a video: sampling, limits, thresholds. All that changes a clip is part of its key."""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from pipelines.dataset.manifest import digest_of
from pipelines.ingest.limits import RunLimits
from sstrack.clips.matching import MatchRule
from sstrack.clips.quality import Limits as ClipLimits

STAGE_VERSION = 10
"""Raised when the meaning of ingest's output changes, so that older results are not found again."""

_WITHOUT_EFFECT = {"shard_mib", "dedup", "duplicate_bits", "duplicate_mirror", *RunLimits.model_fields}
"""How results are packed and what is picked from them, not what a clip is."""
_SINCE: dict[str, object] = {"seed_finder": "motion", "pseudo_tracks": False}
"""Settings that came later, with the value that does what was done before: with it the key is as it was, and what was
ingested then is found."""


@dataclass(frozen=True)
class ProbeLimits:
    """What a file may be, whether its bars are looked for and its fields made whole; see the fields of `IngestConfig`
    for each."""

    max_mib: float
    max_pixels: int
    max_seconds: float
    min_side: int
    crop_bars: bool
    deinterlace: bool


@dataclass(frozen=True)
class StoredFrames:
    """How frames are stored; see the fields of `IngestConfig` for each."""

    fps: float
    long_side: int
    quality: int
    max_pixels: int


@dataclass(frozen=True)
class Decoding:
    """What decodes, within which limits, to which frames. `memory_bytes` is what a decoder may hold."""

    backend: Literal["auto", "pyav", "ffmpeg"]
    deadline_factor: float
    memory_bytes: int
    stored: StoredFrames


@dataclass(frozen=True)
class ShotLevels:
    """What ends a shot; see the fields of `IngestConfig` for each."""

    cut_level: float
    cut_ratio: float
    confirm_cuts: bool
    black_level: float
    flat_level: float


class IngestConfig(RunLimits):
    """Settings of one ingest. The defaults suit 10 fps training clips of one to fifteen seconds."""

    fps: float = Field(default=10.0, gt=0, le=120)
    """Stored frames per second; a slower video keeps its own rate."""
    long_side: int = Field(default=854, ge=64, le=4096)
    """Longest side of stored frames in pixels; smaller video keeps its size."""
    quality: int = Field(default=88, ge=30, le=100)
    """JPEG quality of stored frames."""
    min_frames: int = Field(default=20, ge=2, le=9999)
    """Shortest clip, in stored frames."""
    max_frames: int = Field(default=150, ge=2, le=9999)
    """Longest clip, in stored frames; longer shots are cut into equal parts."""
    shard_mib: float = Field(default=192.0, gt=0, le=4096)
    """Size of a shard in MiB; a clip is never split."""

    cut_level: float = Field(default=10.0, gt=0, le=255)
    """A cut changes the mean luma of pixels by at least this (0-255)."""
    cut_ratio: float = Field(default=2.5, ge=1, le=100)
    """A cut changes the picture by at least this many times what its neighbours in time do."""
    confirm_cuts: bool = False
    """Let TransNetV2 (extra `shots`) look at doubtful cuts, a second of CPU time each: those it does not see go."""
    score_only: bool = False
    """Keep all clips whatever their scores: verdicts are recorded, and `dataset refilter` can apply them later."""
    black_level: float = Field(default=20.0, ge=0, le=255)
    """A clip with a darker mean luma (0-255) and no contrast is black."""
    flat_level: float = Field(default=4.0, ge=0, le=255)
    """A clip whose frames have a smaller standard deviation of luma shows nothing."""
    frozen_share: float = Field(default=0.8, ge=0, le=1)
    """A clip in which nothing at all changes for more than this share of its time is frozen."""
    still_level: float = Field(default=4.0, ge=0, le=255)
    """A clip is near-static if its most changed spots change by less than this (0-255) within half a second."""
    slideshow_share: float = Field(default=0.5, ge=0, le=1)
    """A clip that shows photographs, still or steadily moved, for more than this share of its time is a slideshow."""
    blur_level: float = Field(default=0.15, ge=0, le=10)
    """A clip whose sharpness (0.2 to 0.5 in clean video) is below this is blurred."""
    overlay_share: float = Field(default=0.04, ge=0, le=1)
    """A clip with more than this share of its picture under burnt-in text, logos or borders is dropped."""
    crop_bars: bool = True
    """Cut black bars off the picture before it is stored."""
    deinterlace: bool = True
    """Make whole pictures of frames that are flagged as interlaced."""
    dedup: bool = True
    """Keep one of several clips that show the same: the one from the larger, then sharper, source."""
    duplicate_bits: float = Field(default=66.0, ge=0, le=96)
    """Clips show the same if their pictures' hashes differ by less than this on average, of 256 bits."""
    duplicate_mirror: bool = True
    """Clips that are flipped left to right count as the same too."""
    min_side: int = Field(default=96, ge=16, le=4096)
    """Smallest usable side of a video in pixels."""

    seed_seconds: float = Field(default=4.0, gt=0, le=10)
    """Length of a clip's start in which motion is looked for."""
    seed_score: float = Field(default=0.25, ge=0, le=1)
    """Seed boxes with a lower score are not kept."""
    seed_finder: Literal["motion", "saliency", "both"] = "motion"
    """What finds seed boxes: what moves against the background; what stands out by DINOv2's features (extra
    `offline-weights`), some two seconds of CPU time a clip; or both, ranked together."""
    pseudo_tracks: bool = False
    """Follow seed boxes with the model that ships, some seconds of CPU time a clip, and keep as the clip's boxes, of
    source `pseudo`, what the way there and the way back agree on."""
    pseudo_agree: float = Field(default=0.6, gt=0, le=1)
    """Overlap (IoU) of both ways that a pseudo-track needs on every frame."""

    backend: Literal["auto", "pyav", "ffmpeg"] = "auto"
    """What decodes: PyAV says of every frame whether it is sound; ffmpeg only whether a whole video is. `auto` is PyAV,
    and ffmpeg where PyAV's process breaks down."""

    max_pixels: int = Field(default=8192 * 4320, ge=4096)
    """Largest frame, width times height."""
    max_seconds: float = Field(default=6 * 3600.0, gt=0)
    """Longest video, pauses not counted."""
    max_mib: float = Field(default=64 * 1024.0, gt=0)
    """Largest file in MiB."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max_frames < self.min_frames:
            raise ValueError(f"max_frames is {self.max_frames}, which is below min_frames, {self.min_frames}")
        return self

    @property
    def probing(self) -> ProbeLimits:
        """The part that a probe takes."""
        return ProbeLimits(
            max_mib=self.max_mib,
            max_pixels=self.max_pixels,
            max_seconds=self.max_seconds,
            min_side=self.min_side,
            crop_bars=self.crop_bars,
            deinterlace=self.deinterlace,
        )

    @property
    def stored(self) -> StoredFrames:
        """The part that says how frames are stored."""
        return StoredFrames(self.fps, self.long_side, self.quality, self.max_pixels)

    @property
    def decoding(self) -> Decoding:
        """The part that a pass over a video takes."""
        return Decoding(self.backend, self.deadline_factor, self.decoder_bytes, self.stored)

    @property
    def shot_levels(self) -> ShotLevels:
        """The part that finds shots."""
        return ShotLevels(self.cut_level, self.cut_ratio, self.confirm_cuts, self.black_level, self.flat_level)

    @property
    def clip_limits(self) -> ClipLimits:
        """The part that verdicts on clips are drawn from."""
        return ClipLimits(
            min_frames=self.min_frames,
            black_level=self.black_level,
            flat_level=self.flat_level,
            frozen_share=self.frozen_share,
            still_level=self.still_level,
            slideshow_share=self.slideshow_share,
            blur_level=self.blur_level,
            overlay_share=self.overlay_share,
        )

    @property
    def match_rule(self) -> MatchRule:
        """The part that tells which clips show the same."""
        return MatchRule(look_bits=self.duplicate_bits, mirror=self.duplicate_mirror)

    @property
    def digest(self) -> str:
        """Hex sha256 over the stage version and all settings that change a clip or a verdict."""
        unused = {name for name, default in _SINCE.items() if getattr(self, name) == default}
        unused |= {"pseudo_agree"} - ({"pseudo_agree"} if self.pseudo_tracks else set())
        return digest_of({"stage_version": STAGE_VERSION, **self.model_dump(exclude=_WITHOUT_EFFECT | unused)})
