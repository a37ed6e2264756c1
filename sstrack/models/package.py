"""A trained network as a folder: `weights.safetensors` and `config.json`. Nothing in it is ever unpickled.

The folder is written under a temporary name and renamed, so a folder under its final name is whole.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from sstrack.models.tracker_net import TrackerNet
from sstrack.recipes import Recipe, as_dict, from_dict

FORMAT = 1
_WEIGHTS, _CONFIG = "weights.safetensors", "config.json"


def save_package(folder: Path, net: nn.Module, recipe: Recipe, facts: Mapping[str, object]) -> Path:
    """Write a network and its recipe. `facts` (JSON types: manifest, run key, step, …) are kept beside them.

    An existing package of that name is replaced. Returns `folder`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
        save_file(tensors, draft / _WEIGHTS)
        config = {"format": FORMAT, "recipe": as_dict(recipe), "facts": dict(facts)}
        (draft / _CONFIG).write_text(json.dumps(config, sort_keys=True, indent=1) + "\n")
        for path in (draft / _WEIGHTS, draft / _CONFIG):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder


def load_package(folder: Path, device: str = "cpu") -> tuple[TrackerNet, Recipe]:
    """The network, in evaluation mode on `device`, and its recipe.

    Raises ValueError if the folder is no package, is damaged, or was written by another version.
    """
    recipe = from_dict(_config(folder)["recipe"])
    net = TrackerNet(recipe.net)
    try:
        net.load_state_dict(load_file(folder / _WEIGHTS))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ValueError(f"{folder / _WEIGHTS} does not hold the weights of its config.json: {error}") from error
    return net.to(torch.device(device)).eval(), recipe


def package_recipe(folder: Path) -> Recipe:
    """The recipe of a package, without its weights. Raises ValueError as `load_package` does."""
    return from_dict(_config(folder)["recipe"])


def package_facts(folder: Path) -> dict[str, object]:
    """What was noted when the package was written. Raises ValueError if the folder is no package."""
    return dict(_config(folder)["facts"])


def package_digest(folder: Path) -> str:
    """sha256 (hex) over both files. Raises ValueError if one is missing."""
    digest = hashlib.sha256()
    for name in (_WEIGHTS, _CONFIG):
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{folder} is no model package: {name} is missing")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _config(folder: Path) -> dict[str, dict[str, object]]:
    path = folder / _CONFIG
    if not path.is_file():
        raise ValueError(f"{folder} is no model package: {_CONFIG} is missing")
    try:
        config = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(f"{path} was not written by this version of sstrack")
    return config
