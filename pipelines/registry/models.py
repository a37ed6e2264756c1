"""From the name of a model to a package folder on this machine, and to the digest that its results are kept under."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines import storage
from pipelines.errors import SSTrackError, UsageError
from pipelines.settings import settings
from sstrack.models.package_files import package_digest, package_recipe
from sstrack.pretrained import PRETRAINED, package_folder
from sstrack.tracking import TRACKER_VERSION


def resolve_model(uri: str) -> Path:
    """The package folder for `pretrained`, `models:/<name>@<alias>`, `models:/<name>/<version>`, `untrained:<recipe>`,
    or a folder, local or on s3://.

    Models of a registry or a store are fetched into `<work>/models` once; untrained ones are made there.

    Raises:
        UsageError: a recipe that does not exist.
        SSTrackError: no such registered model, or a folder without a model package.
    """
    if uri == PRETRAINED:
        return package_folder()
    if uri.startswith("models:/"):
        from pipelines.registry.versions import fetch_package

        return fetch_package(uri)
    if uri.startswith("untrained:"):
        return _untrained(uri.removeprefix("untrained:"))
    if not storage.is_local(uri):
        from pipelines.training.packages import local_package

        return local_package(uri)
    folder = Path(uri).expanduser().absolute()
    try:
        package_recipe(folder)
    except ValueError as error:
        raise SSTrackError(
            f"{error}. A model is {PRETRAINED}, models:/<name>@champion, models:/<name>/<version>, untrained:<recipe>, "
            "or a folder with weights.safetensors and config.json."
        ) from error
    return folder


def tracker_digest(package: Path, tracking: Mapping[str, Any] | None = None) -> str:
    """16 hex digits over the package's bytes, the tracking options in force, and the tracker's version."""
    return digest_of(package_digest(package), tracking or {})


def digest_of(package: str, tracking: Mapping[str, Any]) -> str:
    """The same, of a package that is known by its digest."""
    parts = {"package": package, "tracking": dict(tracking), "tracker": TRACKER_VERSION}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _untrained(name: str) -> Path:
    """The network of a recipe before its first step, made once per configuration."""
    from pipelines.training.initial_net import initial_net
    from sstrack.configs.recipe import config_digest
    from sstrack.models.package import save_package
    from sstrack.recipes import recipe

    try:
        config = recipe(name)
    except ValueError as error:
        raise UsageError(str(error)) from error
    folder = settings().work / "models" / f"untrained-{name}-{config_digest(config)[:8]}"
    if not folder.is_dir():
        save_package(folder, initial_net(config)[0], config, {"step": 0})
    return folder
