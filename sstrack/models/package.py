"""A trained network as a folder: `weights.safetensors` and `config.json`. Nothing in it is ever unpickled.

The folder is written under a temporary name and renamed, so a folder under its final name is whole.
"""

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from sstrack.configs.recipe import Recipe, as_dict, without_paths
from sstrack.models.package_files import CONFIG, FORMAT, WEIGHTS, package_recipe
from sstrack.models.tracker_net import TrackerNet


def save_package(
    folder: Path, net: nn.Module, recipe: Recipe, facts: Mapping[str, object], *, half: bool = False
) -> Path:
    """Write a network and its recipe. `facts` (JSON types: manifest, run key, step, …) are kept beside them.

    An existing package of that name is replaced. `half` stores float16, half the bytes; loading gives float32 again.
    Returns `folder`. Raises OSError where the disk refuses, ValueError for a weight that float16 cannot hold.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    # The one writer of files down here, as the domain imports no storage: same names for drafts, same order.
    draft, old = (folder.parent / f".{folder.name}.{secrets.token_hex(4)}.tmp" for _ in "ab")
    try:
        draft.mkdir()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
        if half:
            tensors = {name: _in_half(name, tensor) for name, tensor in tensors.items()}
        (draft / WEIGHTS).write_bytes(save(tensors))  # not save_file: a full disk should be an OSError
        config = {"format": FORMAT, "recipe": as_dict(without_paths(recipe)), "facts": dict(facts)}
        (draft / CONFIG).write_text(json.dumps(config, sort_keys=True, indent=1) + "\n")
        for path in (draft / WEIGHTS, draft / CONFIG, draft):
            _sync(path)
        with suppress(FileNotFoundError):
            folder.rename(old)  # aside, so that no half-removed package bears the name
        try:
            draft.rename(folder)
        except OSError:
            with suppress(FileNotFoundError):
                old.rename(folder)
            raise
        _sync(folder.parent)
    finally:
        for path in (draft, old):
            shutil.rmtree(path, ignore_errors=True)
    return folder


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _in_half(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor
    stored = tensor.half()
    if not bool(stored.isfinite().all()):
        raise ValueError(f"{name} holds a value above {torch.finfo(torch.float16).max}, which float16 cannot hold")
    return stored


def load_package(folder: Path, device: str = "cpu") -> tuple[TrackerNet, Recipe]:
    """The network, in evaluation mode on `device`, and its recipe.

    Raises ValueError if the folder is no package, is damaged, or was written by another version.
    """
    recipe = package_recipe(folder)
    net = TrackerNet(recipe.net)
    try:
        net.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ValueError(f"{folder / WEIGHTS} does not hold the weights of its config.json: {error}") from error
    return net.to(torch.device(device)).eval(), recipe
