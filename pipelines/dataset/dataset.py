"""Which clips of which dataset a training reads. Knows no torch, so that plans are checked before it loads."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Dataset:
    """A dataset folder at one manifest digest, and its weight among others."""

    uri: str
    manifest: str
    weight: float = 1.0
    held_out: float = 0.0
    """Share of the clips that are kept from the training, by their ids."""
    use: Literal["training", "validation"] = "training"
    """Which of them are read: all others, or the held-out ones."""
    content: str = ""
    """The manifest's `data_digest`, which stands for the clips in their order alone; a training's key needs it."""
