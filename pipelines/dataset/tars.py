"""Shards as files: WebDataset tars written byte for byte repeatable, and read back clip by clip."""

import hashlib
import tarfile
from collections.abc import Iterable
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

    digests: dict[str, str] = {}
    frames = 0
    with storage.draft(scratch / "shard.tar") as draft, storage.explained(draft):
        with (
            draft.open("wb") as file,
            TarWriter(file, user="", group="", mode=0o644, mtime=0, encoder=False) as tar,
        ):
            for clip_id, sample in samples:
                tar.write({"__key__": clip_id, **sample})
                digests[clip_id] = sample_digest(sample)
                frames += len(sample) - 1
        sha256 = storage.sha256_file(str(draft))
        size = draft.stat().st_size
        storage.put_if_absent(index_uri(dataset, sha256), index.format_index(index.scan_tar(draft)))
        storage.move_if_absent(draft, shard_uri(dataset, sha256))
    return Shard(sha256, size, len(digests), frames), digests


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


class TarReader:
    """The clips of one shard, local or on S3 (then copied to `scratch` first), in any order."""

    def __init__(self, dataset: str, shard: str, scratch: Path) -> None:
        """Open a shard. Raises SSTrackError where it cannot be read or is no whole tar."""
        uri = shard_uri(dataset, shard)
        self._copy = None if storage.is_local(uri) else scratch / f"{shard}.tar"
        if self._copy is not None:
            storage.download(uri, self._copy)
        self.path = self._copy or storage.local_path(uri)
        self._members: dict[str, list[tarfile.TarInfo]] = {}
        with storage.explained(self.path, "read"):
            self._file = self.path.open("rb")
            try:
                with tarfile.open(fileobj=self._file, mode="r:") as tar:
                    for member in tar:
                        self._members.setdefault(member.name.partition(".")[0], []).append(member)
            except (tarfile.TarError, ValueError) as error:
                self.close()
                raise SSTrackError(f"{uri} is no whole tar ({error}); restore it from a copy.") from error

    @property
    def clip_ids(self) -> list[str]:
        """In the order of the tar."""
        return list(self._members)

    def members(self, clip_id: str) -> list[tarfile.TarInfo]:
        """The headers of one clip's members in the order of the tar."""
        return self._members[clip_id]

    def sample(self, clip_id: str) -> Sample:
        """One clip. Raises SSTrackError where it is not there, or its bytes end early."""
        if clip_id not in self._members:
            raise SSTrackError(f"{self.path} does not hold clip {clip_id}; restore it from a copy.")
        sample: Sample = {}
        for member in self._members[clip_id]:
            self._file.seek(member.offset_data)
            sample[member.name.partition(".")[2]] = data = self._file.read(member.size)
            if len(data) != member.size:
                raise SSTrackError(f"{self.path} ends inside {member.name}; restore it from a copy.")
        return sample

    def close(self) -> None:
        """Close the file, and remove the copy if one was made."""
        self._file.close()
        if self._copy is not None:
            self._copy.unlink(missing_ok=True)

    def __enter__(self) -> "TarReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
