"""The manifest: an immutable JSON named by its own sha256 that says which shards and tables make up a dataset.

`HEAD` names the newest manifest and is moved last, so it is the only commit point.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import storage
from pipelines.errors import SSTrackError

FORMAT = 2


@dataclass(frozen=True)
class Shard:
    """One tar of clips: its sha256 is its name, `bytes` its size; `clips` and `frames` count what it holds."""

    sha256: str
    bytes: int
    clips: int
    frames: int


@dataclass(frozen=True)
class Totals:
    """Counts over the whole dataset; `seconds_in` is seconds of video seen, `seconds_kept` those in its clips."""

    sources: int
    clips: int
    frames: int
    bytes: int
    seconds_in: float
    seconds_kept: float
    rejects: Mapping[str, int]


@dataclass(frozen=True)
class Manifest:
    """What a dataset is. Tables are named by the sha256 of their bytes; `parent` is the manifest this one grew from.

    `data_digest` stands for the clips and their order alone: the same videos under the same settings have it in
    common wherever they lay, and however their clips are spread over shards.
    """

    digest: str
    data_digest: str
    shards: tuple[Shard, ...]
    clips_table: str
    rejects_table: str
    sources_table: str
    config: Mapping[str, object]
    config_digest: str
    tools: Mapping[str, str]
    parent: str | None
    totals: Totals

    def to_json(self) -> bytes:
        """Canonical JSON without the digest, which is its sha256."""
        body = {name: value for name, value in asdict(self).items() if name != "digest"}
        return canonical_json({"format": FORMAT, **body})


def canonical_json(value: object) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces: equal values give equal bytes. NaN and infinity raise ValueError."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(value: object) -> str:
    """Hex sha256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def head(dataset: str) -> str | None:
    """Digest of the newest manifest, or None where nothing is published yet."""
    data = storage.read_if_exists(storage.join(dataset, "HEAD"))
    return data.decode("ascii", "replace").strip() if data is not None else None


def load_manifest(dataset: str, digest: str | None = None) -> Manifest:
    """Read one manifest, the newest if `digest` is None.

    Raises SSTrackError where there is none, where its bytes do not match its name, or where its format is unknown.
    """
    digest = digest or head(dataset)
    if digest is None:
        raise SSTrackError(f"{dataset} holds no published dataset; run `sstrack ingest SRC... --out {dataset}` first.")
    uri = storage.join(dataset, "manifests", f"{digest}.json")
    data = storage.read_if_exists(uri)
    if data is None:
        raise SSTrackError(f"{dataset} has no manifest {digest}; check the digest, or leave it out for the newest.")
    if hashlib.sha256(data).hexdigest() != digest:
        raise SSTrackError(f"{uri} is damaged: its bytes do not match its name; restore it from a copy.")
    body = json.loads(data)
    if body.pop("format") != FORMAT:
        raise SSTrackError(f"{uri} was written by another version of sstrack; ingest its sources again.")
    body["shards"] = tuple(Shard(**shard) for shard in body["shards"])
    body["totals"] = Totals(**body["totals"])
    return Manifest(digest=digest, **body)


def read_clips(dataset: str, manifest: Manifest) -> pa.Table:
    """One row per clip of the dataset."""
    return _read_table(dataset, manifest.clips_table, "clips")


def read_rejects(dataset: str, manifest: Manifest) -> pa.Table:
    """One row per video or clip dropped, with stage and reason."""
    return _read_table(dataset, manifest.rejects_table, "rejects")


def read_sources(dataset: str, manifest: Manifest) -> pa.Table:
    """One row per video seen, kept or not."""
    return _read_table(dataset, manifest.sources_table, "sources")


def _read_table(dataset: str, sha256: str, kind: str) -> pa.Table:
    uri = storage.join(dataset, "tables", f"{sha256}.{kind}.parquet")
    data = storage.read_bytes(uri)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise SSTrackError(f"{uri} is damaged: its bytes do not match its name; restore it from a copy.")
    # In this thread alone: a process with torch in it sometimes aborts at its end after Arrow's own threads have read.
    return pq.ParquetFile(io.BytesIO(data), pre_buffer=False).read(use_threads=False)
