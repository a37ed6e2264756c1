"""Remove what no manifest names: leftovers of killed writers, packs nobody came back for, dropped manifests' shards."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines import s3, storage
from pipelines.dataset.manifest import Manifest, head, load_manifest
from pipelines.dataset.writing import writing
from pipelines.errors import SSTrackError
from pipelines.storage import Object


@dataclass(frozen=True)
class PruneReport:
    """What was removed (or would be): files and their bytes, manifests among them, uploads that never ended."""

    files: int
    bytes: int
    manifests: int
    uploads: int
    removed: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def prune(dataset: str, *, hours: float = 168.0, keep: int | None = None, dry_run: bool = False) -> PruneReport:
    """Remove files of a dataset that no manifest names and that are older than `hours`.

    Args:
        dataset: its folder, local or s3://.
        hours: what was written later stays, as its writer may still be at work; packs of unfinished ingests too.
        keep: drop manifests, too: all but HEAD and its `keep - 1` nearest ancestors (and those younger than `hours`).
            A training that names a dropped one can no longer be continued. None keeps every manifest.
        dry_run: only say what would go.

    A file that a remaining manifest names is never removed. Raises SSTrackError where a manifest cannot be read (then
    what it names is not known, and nothing is removed).
    """
    if keep is not None and keep < 1:
        raise SSTrackError(f"prune cannot keep {keep} manifests; keep at least 1, the newest.")
    before = datetime.now(UTC) - timedelta(hours=hours)
    with writing(dataset, "prune"):
        old = [each for each in storage.list_objects(dataset) if each.modified < before]
        dropped = _dropped(dataset, old, keep)
        # Read after the listing: a manifest committed since then keeps what it names.
        named = set(_named(dataset, dropped))
        gone = [each for each in old if _is_ours(dataset, each.uri) and each.uri not in named]
        uploads = 0
        if not dry_run:
            # Manifests first, so that none is left whose shards are gone.
            order = sorted(gone, key=lambda each: "/manifests/" not in each.uri)
            storage.delete(each.uri for each in order)
            if not storage.is_local(dataset):
                uploads = s3.abort_uploads(dataset, before)
    return PruneReport(
        files=len(gone),
        bytes=sum(each.size for each in gone),
        manifests=len(dropped),
        uploads=uploads,
        removed=[each.uri for each in gone],
    )


def _dropped(dataset: str, old: list[Object], keep: int | None) -> set[str]:
    """Digests of the manifests to drop."""
    if keep is None:
        return set()
    kept: set[str] = set()
    digest = head(dataset)
    present = {_manifest_name(dataset, uri) for uri in storage.list_files(storage.join(dataset, "manifests"))}
    while digest in present and len(kept) < keep:
        kept.add(digest)
        digest = load_manifest(dataset, digest).parent
    return {name for each in old if (name := _manifest_name(dataset, each.uri)) and name not in kept}


def _manifest_name(dataset: str, uri: str) -> str:
    folder = storage.join(dataset, "manifests") + "/"
    return uri.removeprefix(folder).removesuffix(".json") if uri.startswith(folder) and uri.endswith(".json") else ""


def _named(dataset: str, dropped: set[str]) -> Iterator[str]:
    """URIs of all that the remaining manifests name, the manifests and HEAD included."""
    yield storage.join(dataset, "HEAD")
    for uri in storage.list_files(storage.join(dataset, "manifests")):
        name = _manifest_name(dataset, uri)
        if not name or name in dropped:
            continue
        yield uri
        yield from _files_of(dataset, load_manifest(dataset, name))


def _files_of(dataset: str, manifest: Manifest) -> Iterator[str]:
    for shard in manifest.shards:
        for ending in ("tar", "idx"):
            yield storage.join(dataset, "shards", f"{shard.sha256}.{ending}")
    for kind in ("clips", "rejects", "sources"):
        yield storage.join(dataset, "tables", f"{getattr(manifest, f'{kind}_table')}.{kind}.parquet")


def _is_ours(dataset: str, uri: str) -> bool:
    """Whether a file is of a kind that a writer of datasets leaves; a stranger's file beside them is not touched."""
    path = uri.removeprefix(dataset.rstrip("/") + "/")
    folder, _, name = path.rpartition("/")
    if folder.startswith("_state"):
        return name.endswith((".pack", ".tar", ".tmp"))
    if folder in ("shards", "tables", "manifests"):
        return name.endswith((".tar", ".idx", ".parquet", ".json", ".tmp"))
    return not folder and name.endswith((".tmp", ".probe"))
