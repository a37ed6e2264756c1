"""Settle which bytes a training starts from before it gets its key: fetch them, note their digest in the recipe."""

import dataclasses
import hashlib
from pathlib import Path

from pipelines import storage
from pipelines.errors import UsageError
from sstrack.configs.recipe import Recipe


def settle_weights(recipe: Recipe, cache: Path) -> Recipe:
    """The recipe with initial weights that lie on this machine and a digest that names them.

    An object in a store is fetched into `cache` once per digest. A timm tag stays as it is: the hub's revision is not
    ours to fix.

    Raises UsageError for a file that is missing, cannot be used, or has another digest than `net.weights_sha256`;
    SSTrackError where a store cannot be read.
    """
    source = recipe.net.weights
    if not source:
        return recipe
    # Only here: most trainings start without weights and know no torch yet.
    from sstrack.models.weights import weights_file
    from sstrack.models.weights_files import sha256_of

    if "://" in source:
        path: Path | None = _fetched(source, recipe.net.weights_sha256, cache)
    else:
        try:
            path = weights_file(source)
        except ValueError as error:
            raise UsageError(str(error)) from error
    if path is None:
        return recipe
    if not path.is_file():
        raise UsageError(f"net.weights = {source}: there is no such file; check the path")
    path = path.absolute()
    digest = sha256_of(path)
    if recipe.net.weights_sha256 not in ("", digest):
        raise UsageError(
            f"net.weights = {source} has sha256 {digest}, not net.weights_sha256 = {recipe.net.weights_sha256}: it is "
            "another file, or damaged"
        )
    net = dataclasses.replace(recipe.net, weights=str(path), weights_sha256=digest)
    return dataclasses.replace(recipe, net=net)


def _fetched(uri: str, sha256: str, cache: Path) -> Path:
    """The object at `uri` as a file of the cache, under its own digest; found there if the digest is known."""
    suffix = Path(uri).suffix
    if sha256 and (known := cache / f"{sha256}{suffix}").is_file():
        return known
    data = storage.read_bytes(uri)
    path = cache / f"{hashlib.sha256(data).hexdigest()}{suffix}"
    if not path.is_file():
        storage.write_atomic(str(path), data)
    return path
