"""Is a dataset whole? Digests, tars against their index and the tables, every JPEG's header, some JPEGs in full, and
whether the tables tell of every second that was read."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from pipelines import storage
from pipelines.dataset import index
from pipelines.dataset.accounts import unaccounted
from pipelines.dataset.commit import Tables, data_digest, read_tables
from pipelines.dataset.manifest import Manifest, Shard, load_manifest
from pipelines.dataset.tars import TarReader, index_uri, sample_digest, shard_uri
from pipelines.errors import SSTrackError

_MOST_PROBLEMS = 1000


@dataclass
class VerifyReport:
    """What was looked at, and one sentence for each thing wrong; none means that the dataset is whole."""

    manifest: str
    shards: int = 0
    clips: int = 0
    frames: int = 0
    decoded: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def wrong(self, problem: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


def verify(
    dataset: str,
    digest: str | None = None,
    *,
    decode: float = 0.02,
    progress: Callable[[int, int], None] | None = None,
) -> VerifyReport:
    """Check one manifest of a dataset (the newest if `digest` is None) and all that it names.

    Args:
        dataset: its folder, local or s3://; shards on S3 are copied to a temporary folder one at a time.
        digest: the manifest.
        decode: share of frames that are decoded in full, and at least one in each clip; the same ones each time.
        progress: told of shards done and all shards.

    Raises SSTrackError only where there is no readable manifest; damage is in the report.
    """
    manifest = load_manifest(dataset, digest)
    report = VerifyReport(manifest.digest)
    tables = _check_tables(dataset, manifest, report)
    rows = tables.clips.to_pylist() if tables else []
    by_shard: dict[str, dict[str, Mapping[str, Any]]] = {shard.sha256: {} for shard in manifest.shards}
    for row in rows:
        by_shard.setdefault(row["shard"], {})[row["clip_id"]] = row
    with tempfile.TemporaryDirectory(prefix="sstrack-verify-") as scratch:
        for number, shard in enumerate(manifest.shards):
            try:
                _check_shard(dataset, shard, by_shard[shard.sha256], decode, Path(scratch), report)
            except SSTrackError as error:
                report.wrong(str(error))
            report.shards += 1
            if progress is not None:
                progress(number + 1, len(manifest.shards))
    return report


def _check_tables(dataset: str, manifest: Manifest, report: VerifyReport) -> Tables | None:
    try:
        tables = read_tables(dataset, manifest)
    except SSTrackError as error:
        report.wrong(str(error))
        return None
    ids = tables.clips["clip_id"].to_pylist()
    counts = {
        "clips": (len(ids), manifest.totals.clips),
        "distinct clips": (len(set(ids)), manifest.totals.clips),
        "frames": (sum(tables.clips["frames"].to_pylist()), manifest.totals.frames),
        "sources": (tables.sources.num_rows, manifest.totals.sources),
        "rejects": (tables.rejects.num_rows, sum(manifest.totals.rejects.values())),
    }
    for name, (found, said) in counts.items():
        if found != said:
            report.wrong(f"the tables hold {found} {name}, the manifest says {said}")
    named = {shard.sha256 for shard in manifest.shards}
    for shard in sorted(set(tables.clips["shard"].to_pylist()) - named):
        report.wrong(f"the clips table names shard {shard}, the manifest does not")
    if data_digest(tables.clips) != manifest.data_digest:
        report.wrong("the clips table does not have the manifest's data digest")
    _check_seconds(tables, float(str(manifest.config.get("fps", 10.0))), report)
    return tables


def _check_seconds(tables: Tables, fps: float, report: VerifyReport) -> None:
    if "treated" not in tables.sources.column_names:
        return  # from before ingest told of every second
    sources, clips, rejects = (table.to_pylist() for table in (tables.sources, tables.clips, tables.rejects))
    for source, told in unaccounted(sources, clips, rejects, fps):
        name = source["source_uri"] or source["source_id"]
        report.wrong(f"{name} is {source['seconds']:.3f} s long, clips and rejects tell of {told:.3f} s")


def _check_shard(
    dataset: str,
    shard: Shard,
    rows: Mapping[str, Mapping[str, Any]],
    decode: float,
    scratch: Path,
    report: VerifyReport,
) -> None:
    name = f"shard {shard.sha256[:12]}"
    if not storage.exists(shard_uri(dataset, shard.sha256)):
        report.wrong(f"{name} is missing: {shard_uri(dataset, shard.sha256)}")
        return
    with TarReader(dataset, shard.sha256, scratch) as tar:
        size = tar.path.stat().st_size
        report.bytes += size
        if size != shard.bytes:
            report.wrong(f"{name} has {size} bytes, the manifest says {shard.bytes}")
        if storage.sha256_file(str(tar.path)) != shard.sha256:
            report.wrong(f"{name}: its bytes do not match its name")
        if tar.clip_ids != sorted(tar.clip_ids):
            report.wrong(f"{name}: its clips are not sorted")
        for clip_id in sorted(set(rows) - set(tar.clip_ids)):
            report.wrong(f"{name} lacks clip {clip_id}, which the clips table says lies there")
        frames = 0
        for clip_id in tar.clip_ids:
            frames += len(tar.members(clip_id)) - 1
            _check_clip(name, tar, clip_id, rows.get(clip_id), decode, report)
        if (len(tar.clip_ids), frames) != (shard.clips, shard.frames):
            report.wrong(
                f"{name} holds {len(tar.clip_ids)} clips and {frames} frames, the manifest says {shard.clips} and "
                f"{shard.frames}"
            )
        _check_index(dataset, shard, tar.path, report)


def _check_clip(
    shard: str, tar: TarReader, clip_id: str, row: Mapping[str, Any] | None, decode: float, report: VerifyReport
) -> None:
    name = f"{shard}, clip {clip_id}"
    sample = tar.sample(clip_id)
    pictures = [part for part in sample if part != "json"]
    report.clips += 1
    report.frames += len(pictures)
    if list(sample) != [*(f"{number:04d}.jpg" for number in range(len(pictures))), "json"]:
        report.wrong(f"{name}: its members are not 0000.jpg … and json")
        return
    try:
        size = _size_said(clip_id, len(pictures), json.loads(sample["json"]))
    except ValueError as error:
        report.wrong(f"{name}: {error}")
        return
    if row is not None and sample_digest(sample) != row["sha256"]:
        report.wrong(f"{name}: its bytes do not match the clips table")
    if row is not None and (row["frames"], row["width"], row["height"]) != (len(pictures), *size):
        report.wrong(f"{name}: its JSON and the clips table differ in frames or size")
    whole = set(_chosen(clip_id, len(pictures), decode))
    for number, part in enumerate(pictures):
        if problem := _jpeg_problem(sample[part], size, number in whole):
            report.wrong(f"{name}, frame {number}: {problem}")
    report.decoded += len(whole)


def _size_said(clip_id: str, frames: int, record: Any) -> tuple[int, int]:
    """Width and height in a clip's JSON. Raises ValueError where the JSON does not belong to the clip."""
    if not isinstance(record, dict) or record.get("clip_id") != clip_id:
        raise ValueError("its JSON is another clip's")
    if record.get("frames") != frames:
        raise ValueError(f"it holds {frames} frames, its JSON says {record.get('frames')}")
    return record.get("width", 0), record.get("height", 0)


def _chosen(clip_id: str, frames: int, share: float) -> Sequence[int]:
    seed = int.from_bytes(hashlib.sha256(clip_id.encode()).digest()[:8])
    return (
        np.random.default_rng(seed).choice(frames, min(frames, max(1, round(share * frames))), replace=False).tolist()
    )


def _jpeg_problem(data: bytes, size: tuple[int, int], whole: bool) -> str:
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        if whole:
            simplejpeg.decode_jpeg(data)
    except ValueError as error:
        return f"no JPEG ({error})"
    return "" if (width, height) == size else f"{width}x{height} pixels, its JSON says {size[0]}x{size[1]}"


def _check_index(dataset: str, shard: Shard, tar: Path, report: VerifyReport) -> None:
    uri = index_uri(dataset, shard.sha256)
    data = storage.read_if_exists(uri)
    if data is None:
        report.wrong(f"shard {shard.sha256[:12]} has no index {uri}; `sstrack dataset rebuild-index` makes it")
    elif data != index.format_index(index.scan_tar(tar)):
        report.wrong(f"{uri} does not match its tar; `sstrack dataset rebuild-index` makes it again")
