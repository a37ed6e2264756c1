"""Versions of the registered model: what is there, and how one gets there. Who is champion is decided elsewhere."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipelines import storage
from pipelines.errors import SSTrackError
from pipelines.registry.model_scores import MODEL_ID, Scored, log_scores, model_id_of
from pipelines.registry.names import CHAMPION, MANIFEST, PACKAGE_DIGEST, SCORE, VIDEO
from pipelines.registry.package import log_package
from pipelines.registry.pages import describe_model
from pipelines.registry.promotion import state_of
from pipelines.registry.registered_model import aliases_of, ensure_registered
from pipelines.registry.runs import RUN_KEY, experiment_id, registry_client
from pipelines.registry.sqlite_store import SQLITE
from pipelines.settings import settings


@dataclass(frozen=True)
class Registered:
    """One version of the registered model."""

    name: str
    version: str
    run_key: str
    manifest: str
    package_digest: str
    aliases: tuple[str, ...]
    tags: dict[str, str]
    created: datetime

    @property
    def uri(self) -> str:
        """`models:/<name>/<version>`."""
        return f"models:/{self.name}/{self.version}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        spoken = {"score": self.tags.get(SCORE, "unknown"), "data": self.tags.get(VIDEO, "unknown"), "age": self.age()}
        return {**asdict(self), "created": self.created.isoformat(timespec="seconds"), "uri": self.uri, **spoken}

    def age(self, now: datetime | None = None) -> str:
        """Since it was registered, in the largest unit that fits: `3 d`."""
        seconds = ((now or datetime.now(UTC)) - self.created).total_seconds()
        for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
            if seconds >= size:
                return f"{seconds // size:.0f} {unit}"
        return f"{max(0, seconds):.0f} s"


def versions(uri: str, name: str) -> list[Registered]:
    """All versions, newest first; empty when nothing was registered yet. Aliases are as the journal says."""
    client = registry_client(uri)
    state_of(uri, name)
    aliases: dict[str, list[str]] = {}
    for alias, version in aliases_of(client, name).items():
        aliases.setdefault(str(version), []).append(alias)
    found = client.search_model_versions(f"name = '{name}'")
    read = [_registered(version, aliases.get(str(version.version), [])) for version in found]
    return sorted(read, key=lambda version: -int(version.version))


def champion(uri: str, name: str) -> Registered | None:
    """The version that holds the alias `champion`, or None."""
    return next((version for version in versions(uri, name) if CHAMPION in version.aliases), None)


def register(
    uri: str,
    name: str,
    *,
    package: Path,
    run_id: str,
    run_key: str,
    manifest: str,
    scored: Sequence[Scored],
    tags: Mapping[str, str],
) -> Registered:
    """The version of this very package: found by its digest, else stored and registered.

    Args:
        uri: MLflow store.
        name: of the registered model.
        package: folder with weights.safetensors and config.json.
        run_id: MLflow run of the training.
        run_key: the training's key.
        manifest: digest of the dataset it was trained on.
        scored: numbers of the package, kept with the stored model.
        tags: further tags of the version, set again on a found one.
    """
    from sstrack.models.package_files import package_digest

    client = registry_client(uri)
    digest = package_digest(package)
    known = next((version for version in versions(uri, name) if version.package_digest == digest), None)
    if known is None:
        ensure_registered(client, name)
        all_tags = {RUN_KEY: run_key, MANIFEST: manifest, PACKAGE_DIGEST: digest}
        model_id = log_package(client, experiment_id(client, uri), run_id, package, name, all_tags)
        all_tags[MODEL_ID] = model_id
        # The place itself, as `models:/<id>` would be looked up in the process's global store instead of this one.
        source = client.get_logged_model(model_id).artifact_location
        made = client.create_model_version(name, source=source, run_id=run_id, tags=all_tags, model_id=model_id)
        version = str(made.version)
    else:
        version = known.version
    describe_model(client, name)
    bound_to = model_id_of(client.get_model_version(name, version))
    for each in scored:
        if bound_to is not None:
            log_scores(client, run_id, bound_to, each)
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)
    return next(found for found in versions(uri, name) if found.version == version)


def find(uri: str, model: str) -> Registered:
    """The version behind `models:/<name>@<alias>` or `models:/<name>/<version>`; SSTrackError when there is none."""
    name, version = _split(model)
    found = versions(uri, name)
    for one in found:
        if version in (one.version, *(f"@{alias}" for alias in one.aliases)):
            return one
    have = ", ".join(f"{one.uri} {' '.join(one.aliases)}".strip() for one in found) or "nothing"
    raise SSTrackError(f"no model {model} in {uri}: registered there is {have}")


def fetch_package(model: str) -> Path:
    """The package folder of a registered version, fetched into `<work>/models` once; `model` as in `find`."""
    here = settings()
    found = find(here.mlflow_uri, model)
    if not found.package_digest:
        raise SSTrackError(f"{model} was not registered by sstrack: it carries no package digest")
    return _fetch(registry_client(here.mlflow_uri), found, here.mlflow_uri, here.work / "models" / found.package_digest)


def _split(model: str) -> tuple[str, str]:
    """Name, and `@alias` or version."""
    reference = model.removeprefix("models:/")
    name, sign, alias = reference.partition("@")
    if sign and name and alias:
        return name, f"@{alias}"
    name, _, version = reference.rpartition("/")
    if not name or not version.isdigit():
        raise SSTrackError(f"{model!r} names no model: write models:/<name>@<alias> or models:/<name>/<version>")
    return name, version


def doubt(uri: str, version: Registered) -> str | None:
    """Why the files of a version are not to be trusted, in one sentence; None where they are its own.

    Fetches them anew, as a copy that was fetched before says nothing about what is there now.
    """
    if not version.package_digest:
        return (
            f"version {version.version} of {version.name} was not registered by sstrack: it carries no package digest"
        )
    with tempfile.TemporaryDirectory() as scratch:
        try:
            _fetch(registry_client(uri), version, uri, Path(scratch) / version.package_digest)
        except SSTrackError as error:
            return str(error)
    return None


def _fetch(client: MlflowClient, version: Registered, uri: str, folder: Path) -> Path:
    from sstrack.models.package_files import package_digest

    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        source = client.get_model_version_download_uri(version.name, version.version)
        try:
            copy = Path(download_artifacts(artifact_uri=f"{source}/artifacts", dst_path=scratch, tracking_uri=uri))
        except (OSError, MlflowException) as error:
            raise SSTrackError(
                f"the files of version {version.version} of {version.name} are not at {source}: bring its folder back; "
                f"of a store that was moved, beside {uri.removeprefix(SQLITE)}"
            ) from error
        if package_digest(copy) != folder.name:
            raise SSTrackError(
                f"version {version.version} of {version.name} is foreign or damaged: its files do not have the digest "
                "that it was registered with; do not use it"
            )
        with storage.new_folder(folder, "keep") as draft:
            shutil.copytree(copy, draft, dirs_exist_ok=True)
    return folder


def _registered(version: ModelVersion, aliases: list[str]) -> Registered:
    tags = dict(version.tags)
    return Registered(
        name=version.name,
        version=str(version.version),
        run_key=tags.get(RUN_KEY, ""),
        manifest=tags.get(MANIFEST, ""),
        package_digest=tags.get(PACKAGE_DIGEST, ""),
        aliases=tuple(sorted(aliases)),
        tags=tags,
        created=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
    )
