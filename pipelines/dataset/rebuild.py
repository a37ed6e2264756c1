"""Make the index of every shard again from its tar, where it is missing or differs."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from pipelines import storage
from pipelines.dataset import index
from pipelines.dataset.manifest import load_manifest
from pipelines.dataset.tars import TarReader, index_uri, shard_uri
from pipelines.dataset.writing import writing
from pipelines.errors import SSTrackError


def rebuild_index(
    dataset: str, digest: str | None = None, *, progress: Callable[[int, int], None] | None = None
) -> dict[str, int]:
    """Write the indexes that one manifest's shards need (the newest manifest if `digest` is None).

    Returns `{"shards": …, "written": …}`. Raises SSTrackError for a shard whose bytes do not match its name: an index
    of a damaged tar would only hide the damage.
    """
    manifest = load_manifest(dataset, digest)
    written = 0
    with writing(dataset, "rebuild-index"), tempfile.TemporaryDirectory(prefix="sstrack-index-") as scratch:
        for number, shard in enumerate(manifest.shards):
            with TarReader(dataset, shard.sha256, Path(scratch)) as tar:
                if storage.sha256_file(str(tar.path)) != shard.sha256:
                    raise SSTrackError(
                        f"{shard_uri(dataset, shard.sha256)} is damaged: its bytes do not match its name; restore it "
                        "from a copy."
                    )
                data = index.format_index(index.scan_tar(tar.path))
            uri = index_uri(dataset, shard.sha256)
            if storage.read_if_exists(uri) != data:
                storage.write_atomic(uri, data)
                written += 1
            if progress is not None:
                progress(number + 1, len(manifest.shards))
    return {"shards": len(manifest.shards), "written": written}
