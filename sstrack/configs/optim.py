"""The optimiser's configuration."""

from dataclasses import dataclass
from typing import Literal

from sstrack.bounds import check


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
