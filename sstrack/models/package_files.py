"""The files of a model package and what they say, read without loading the network (or torch)."""

import hashlib
import json
from pathlib import Path

from sstrack.configs.recipe import Recipe, from_dict

FORMAT = 1
WEIGHTS, CONFIG = "weights.safetensors", "config.json"


def package_recipe(folder: Path) -> Recipe:
    """The recipe of a package, without its weights. Raises ValueError if the folder is no package of this version."""
    return from_dict(_config(folder)["recipe"])


def package_facts(folder: Path) -> dict[str, object]:
    """What was noted when the package was written. Raises ValueError if the folder is no package."""
    return dict(_config(folder)["facts"])


def package_digest(folder: Path) -> str:
    """sha256 (hex) over both files. Raises ValueError if one is missing."""
    digest = hashlib.sha256()
    for name in (WEIGHTS, CONFIG):
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{folder} is no model package: {name} is missing")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _config(folder: Path) -> dict[str, dict[str, object]]:
    path = folder / CONFIG
    if not path.is_file():
        raise ValueError(f"{folder} is no model package: {CONFIG} is missing")
    try:
        config = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(f"{path} was not written by this version of sstrack")
    return config
