"""Shards as files: WebDataset tars written byte for byte repeatable, and read back clip by clip."""

import hashlib
import os
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipelines import storage
from pipelines.dataset import index
from pipelines.dataset.manifest import Shard
from pipelines.errors import SSTrackError

Sample = dict[str, bytes]
"""The members of one clip by the part of their names behind the clip id: `0000.jpg` …, `json`."""


def write_shard(dataset: str, samples: Iterable[tuple[str, Sample]], scratch: Path) -> tuple[Shard, dict[str, str]]:
    """Write clips, sorted by clip id, as one shard with its index under the sha256 of the tar.

    One that is there already is left alone. `scratch` is a local folder for the draft. Returns the shard, and the
    `sample_digest` of each clip id. Raises SSTrackError where the disk or the store refuses; nothing partial stays.
    """
    # webdataset imports torch, two seconds that a run with nothing to write should not pay
    from webdataset.writer import TarWriter

    draft = scratch / f"shard.{os.getpid()}.tar"
    digests: dict[str, str] = {}
    frames = 0
    with storage.explained(draft):
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("wb") as file:
                with TarWriter(file, user="", group="", mode=0o644, mtime=0, encoder=False) as tar:
                    for clip_id, sample in samples:
                        tar.write({"__key__": clip_id, **sample})
                        digests[clip_id] = sample_digest(sample)
                        frames += len(sample) - 1
                file.flush()
                os.fsync(file.fileno())
            sha256 = storage.sha256_file(str(draft))
            size = draft.stat().st_size
            storage.put_if_absent(index_uri(dataset, sha256), index.format_index(index.scan_tar(draft)))
            storage.move_if_absent(draft, shard_uri(dataset, sha256))
        finally:
            draft.unlink(missing_ok=True)
    return Shard(sha256, size, len(digests), frames), digests


def read_samples(path: Path) -> Iterator[tuple[str, Sample]]:
    """The clips of a local tar in its order. Raises SSTrackError where it is damaged."""
    clip_id, sample = "", {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                name, _, part = member.name.partition(".")
                if name != clip_id and sample:
                    yield clip_id, sample
                    sample = {}
                content = tar.extractfile(member)
                if content is None:
                    raise SSTrackError(f"{path} holds {member.name}, which is no plain file; restore it from a copy.")
                clip_id, sample[part] = name, content.read()
    except tarfile.TarError as error:
        raise SSTrackError(f"{path} is no whole tar ({error}); restore it from a copy.") from error
    if sample:
        yield clip_id, sample


def sample_digest(sample: Sample) -> str:
    """Hex sha256 of a clip's members one after the other, in the order of their names, which is that of the tar."""
    digest = hashlib.sha256()
    for part in sorted(sample):
        digest.update(sample[part])
    return digest.hexdigest()


def shard_uri(dataset: str, sha256: str) -> str:
    """Where a shard's tar lies."""
    return storage.join(dataset, "shards", f"{sha256}.tar")


def index_uri(dataset: str, sha256: str) -> str:
    """Where a shard's index lies."""
    return storage.join(dataset, "shards", f"{sha256}.idx")
