"""Tiny real things for tests: labelled sequences and untrained packages."""

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from sstrack.configs.recipe import Recipe
from sstrack.recipes import recipe

if TYPE_CHECKING:
    from pipelines.ingest.config import IngestConfig
    from pipelines.ingest.pack import Pack
    from pipelines.ingest.video.source import Source

TINY = {
    "net.depth": 1,
    "net.width": 24,
    "net.heads": 1,
    "net.head_width": 16,
    "net.template_size": 16,
    "net.search_size": 32,
    "data.groups": 1,
    "data.group_size": 2,
    "optim.steps": 3,
    "optim.warmup": 1,
    "checkpoint_every": 3,
}
"""Overrides of `tiny_cpu` that train in seconds and learn nothing."""


def tiny_recipe() -> Recipe:
    """`tiny_cpu` with `TINY`."""
    return recipe("tiny_cpu", TINY)


def write_package(folder: Path, seed: int = 0) -> Path:
    """A package of a tiny network with random weights."""
    import torch

    from sstrack.models.package import save_package
    from sstrack.models.tracker_net import TrackerNet

    torch.manual_seed(seed)
    config = tiny_recipe()
    return save_package(folder, TrackerNet(config.net), config, {"step": 0, "seed": seed})


def write_sequences(root: Path, frames: dict[str, int], side: int = 96) -> Path:
    """A labelled sequence per entry: a bright square that moves over noise, with its exact box."""
    rng = np.random.default_rng(7)
    for name, count in frames.items():
        folder = root / name
        folder.mkdir(parents=True)
        ground = rng.integers(0, 90, (side, side, 3), dtype=np.uint8)
        lines = []
        for index in range(count):
            x, y = 10 + 2 * index, 20 + index
            frame = ground.copy()
            frame[y : y + 24, x : x + 24] = (240, 200, 40)
            cv2.imwrite(str(folder / f"{index:04d}.png"), frame)
            lines.append(f"{x},{y},24,24\n")
        (folder / "groundtruth.txt").write_text("".join(lines))
    return root


def pack_video(path: Path, config: "IngestConfig", folder: Path) -> "Pack":
    """The pack of one video file, made beside the dataset `folder` as ingest's errands do."""
    from pipelines.ingest.pack import read_pack
    from pipelines.ingest.state.workspace import Workspace
    from pipelines.ingest.video.cut import pack_source
    from pipelines.ingest.video.probe import probed

    return read_pack(pack_source(local_source(path), probed(path, config.probing), config, Workspace.of(str(folder))))


def local_source(path: Path) -> "Source":
    """A video file as ingest's errands take it."""
    from pipelines import storage
    from pipelines.ingest.find.sources import label
    from pipelines.ingest.video.source import Source

    return Source(storage.sha256_file(str(path)), label(path), path, path.stat().st_size)
