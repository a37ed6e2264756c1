"""From a version back to the videos it learnt from, and from a video to every version that learnt from it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipelines import storage
from pipelines.dataset.manifest import load_manifest, read_clips, read_sources
from pipelines.errors import SSTrackError, UsageError
from pipelines.registry.names import DATASETS
from pipelines.registry.runs import registry_client
from pipelines.registry.versions import Registered, versions


@dataclass(frozen=True)
class SourceVideo:
    """A video of which clips were trained on."""

    sha256: str
    uri: str
    clips: int


@dataclass(frozen=True)
class DataLineage:
    """One dataset of a training; `missing` says why it cannot be read from here, and then the rest is empty."""

    uri: str
    manifest: str
    weight: float
    data_digest: str = ""
    config_digest: str = ""
    shards: tuple[str, ...] = ()
    sources: tuple[SourceVideo, ...] = ()
    missing: str | None = None


@dataclass(frozen=True)
class Lineage:
    """Where a version comes from."""

    version: str
    aliases: tuple[str, ...]
    run_key: str
    run_id: str
    package_digest: str
    code: str | None
    """Commit of git, where the training knew it."""
    config: dict[str, str] = field(default_factory=dict)
    """The recipe, dotted field to value."""
    data: tuple[DataLineage, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    def lines(self) -> list[str]:
        """A tree for a terminal."""
        found = [
            f"version {self.version}" + (f" ({', '.join(self.aliases)})" if self.aliases else ""),
            f"├─ package  {self.package_digest}",
            f"├─ run      {self.run_key}, MLflow {self.run_id}",
            f"├─ code     {self.code or 'unknown'}",
            f"├─ recipe   {len(self.config)} fields, in --json",
        ]
        for number, each in enumerate(self.data, 1):
            last = number == len(self.data)
            found.append(
                f"{'└─' if last else '├─'} dataset  {each.uri}, manifest {each.manifest}, weight {each.weight:g}"
            )
            bar = "   " if last else "│  "
            if each.missing is not None:
                found.append(f"{bar}└─ {each.missing}")
                continue
            found += [f"{bar}├─ shard  {shard}" for shard in each.shards]
            found += [f"{bar}├─ video  {one.sha256}  {one.clips} clips  {one.uri}" for one in each.sources]
            found[-1] = found[-1].replace("├─", "└─", 1)
        return found


def lineage_of(uri: str, version: Registered) -> Lineage:
    """Follow a version to its run, its datasets, their shards and videos."""
    client = registry_client(uri)
    run_id = client.get_model_version(version.name, version.version).run_id or ""
    run = client.get_run(run_id).data if run_id else None
    return Lineage(
        version.version,
        version.aliases,
        version.run_key,
        run_id,
        version.package_digest,
        run.tags.get("mlflow.source.git.commit") if run else None,
        dict(run.params) if run else {},
        tuple(_data(each) for each in _datasets(version)),
    )


def source_id(word: str) -> str:
    """The sha256 that a source is known by: `word` itself, or that of the file it names."""
    if len(word) == 64 and set(word.lower()) <= set("0123456789abcdef"):
        return word.lower()
    if not storage.exists(word):
        raise UsageError(f"{word!r} is no file, and no sha256 of 64 hex digits")
    return storage.sha256_file(word)


def versions_of_source(uri: str, name: str, sha256: str) -> dict[str, Any]:
    """Which versions learnt from a video, which datasets hold it, and which versions cannot be told.

    Returns: `source`, `versions` (each with its aliases and the manifests), `datasets` (uri, manifest, clips: what to
    publish without it), and `unknown` (version to why).
    """
    learnt: list[dict[str, Any]] = []
    datasets: dict[tuple[str, str], int] = {}
    unknown: dict[str, str] = {}
    read: dict[tuple[str, str], DataLineage] = {}
    for version in versions(uri, name):
        recorded = _datasets(version)
        if not recorded:
            unknown[version.version] = "it was registered without its datasets"
        held: list[str] = []
        for each in recorded:
            key = (each["uri"], each["manifest"])
            data = read[key] if key in read else read.setdefault(key, _data(each))
            if data.missing is not None:
                unknown[version.version] = data.missing
            clips = sum(one.clips for one in data.sources if one.sha256 == sha256)
            if clips:
                held.append(data.manifest)
                datasets[key] = clips
        if held:
            learnt.append({"version": version.version, "aliases": list(version.aliases), "manifests": held})
    places = [{"uri": where, "manifest": manifest, "clips": count} for (where, manifest), count in datasets.items()]
    return {"source": sha256, "versions": learnt, "datasets": places, "unknown": unknown}


def draw(lineage: Lineage, path: Path) -> None:
    """The tree as a picture, PNG or SVG by the name."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    lines = lineage.lines()
    figure = pyplot.figure(figsize=(12, 0.4 + 0.22 * len(lines)))
    figure.text(0.01, 0.98, "\n".join(lines), family="monospace", size=8, va="top")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _datasets(version: Registered) -> list[dict[str, Any]]:
    try:
        return list(json.loads(version.tags.get(DATASETS, "[]")))
    except ValueError as error:
        raise SSTrackError(f"tag {DATASETS} of version {version.version} is not JSON; restore it") from error


def _data(recorded: dict[str, Any]) -> DataLineage:
    uri, digest, weight = recorded["uri"], recorded["manifest"], float(recorded["weight"])
    try:
        manifest = load_manifest(uri, digest)
        clips = read_clips(uri, manifest)["source_id"].to_pylist()
        names = {row["source_id"]: row["source_uri"] for row in read_sources(uri, manifest).to_pylist()}
    except SSTrackError as error:
        return DataLineage(uri, digest, weight, missing=str(error))
    counts = {one: clips.count(one) for one in sorted(set(clips))}
    return DataLineage(
        uri,
        digest,
        weight,
        manifest.data_digest,
        manifest.config_digest,
        tuple(shard.sha256 for shard in manifest.shards),
        tuple(SourceVideo(one, names.get(one, ""), count) for one, count in counts.items()),
    )
