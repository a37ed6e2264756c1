"""Versions of the registered model, and which of them is the champion."""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipelines.errors import SSTrackError
from pipelines.registry.package import log_package
from pipelines.registry.runs import RUN_KEY, experiment_id, registry_client
from pipelines.settings import settings

CHAMPION = "champion"
PREVIOUS = "previous"
PACKAGE_DIGEST = "sstrack.package_digest"
MANIFEST = "sstrack.manifest"
REASON = "sstrack.reason"
JUDGED_AGAINST = "sstrack.judged_against"
PROMOTED_AT = "sstrack.promoted_at"
DEMOTED_AT = "sstrack.demoted_at"


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
        return {**asdict(self), "created": self.created.isoformat(timespec="seconds"), "uri": self.uri}


def versions(uri: str, name: str) -> list[Registered]:
    """All versions, newest first; empty when nothing was registered yet."""
    client = registry_client(uri)
    aliases: dict[str, list[str]] = {}
    for alias, version in _aliases(client, name).items():
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
    metrics: Mapping[str, float],
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
        metrics: scores of the package, kept with the stored model.
        tags: further tags of the version, set again on a found one.
    """
    from sstrack.models.package_files import package_digest

    client = registry_client(uri)
    digest = package_digest(package)
    known = next((version for version in versions(uri, name) if version.package_digest == digest), None)
    if known is None:
        _ensure_registered_model(client, name)
        all_tags = {RUN_KEY: run_key, MANIFEST: manifest, PACKAGE_DIGEST: digest}
        model_id = log_package(client, experiment_id(client, uri), run_id, package, name, all_tags)
        # The place itself, as `models:/<id>` would be looked up in the process's global store instead of this one.
        source = client.get_logged_model(model_id).artifact_location
        made = client.create_model_version(name, source=source, run_id=run_id, tags=all_tags, model_id=model_id)
        version = str(made.version)
        for key, value in metrics.items():
            client.log_metric(run_id, key, value, model_id=model_id)
    else:
        version = known.version
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)
    return next(found for found in versions(uri, name) if found.version == version)


def promote(uri: str, name: str, version: str, reason: str) -> Registered:
    """Make `version` the champion; the former one becomes `previous`. The champion itself is left as it is.

    The new champion is named before the old one is marked, so that there is a champion at every moment.
    """
    client = registry_client(uri)
    former = _aliases(client, name).get(CHAMPION)
    if str(former) != version:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        client.set_model_version_tag(name, version, REASON, reason)
        client.set_model_version_tag(name, version, PROMOTED_AT, now)
        client.set_registered_model_alias(name, CHAMPION, version)
        if former is not None:
            client.set_registered_model_alias(name, PREVIOUS, str(former))
            client.set_model_version_tag(name, str(former), DEMOTED_AT, now)
    return next(found for found in versions(uri, name) if found.version == version)


def refuse(uri: str, name: str, version: str, reason: str, holder: str | None) -> None:
    """Write down why `version` did not take the place of the champion `holder`."""
    client = registry_client(uri)
    client.set_model_version_tag(name, version, REASON, reason)
    client.set_model_version_tag(name, version, JUDGED_AGAINST, holder or "none")


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


def _fetch(client: MlflowClient, version: Registered, uri: str, folder: Path) -> Path:
    from sstrack.models.package_files import package_digest

    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        source = client.get_model_version_download_uri(version.name, version.version)
        copy = Path(download_artifacts(artifact_uri=f"{source}/artifacts", dst_path=scratch, tracking_uri=uri))
        if package_digest(copy) != folder.name:
            raise SSTrackError(
                f"version {version.version} of {version.name} is damaged: its files do not have its digest"
            )
        fresh = Path(scratch) / "fresh"
        shutil.copytree(copy, fresh)
        if not folder.is_dir():
            fresh.replace(folder)
    return folder


def _ensure_registered_model(client: MlflowClient, name: str) -> None:
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(name)


def _aliases(client: MlflowClient, name: str) -> dict[str, str]:
    try:
        return dict(client.get_registered_model(name).aliases)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise


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
