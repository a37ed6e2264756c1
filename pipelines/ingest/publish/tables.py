"""The rows of a dataset's tables: clips, rejects and sources, with fixed columns and types."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import pyarrow as pa

from pipelines.ingest.pack import SourceRecord
from pipelines.ingest.reject import Reject, kind_of
from sstrack.clips.clip import Clip
from sstrack.clips.quality import SCORES

CLIPS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("shard", pa.string()),
        ("sha256", pa.string()),  # of the clip's JPEGs and JSON, one after the other
        ("source_id", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("fps", pa.float64()),
        ("frames", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        *((f"seed_{name}", pa.float64()) for name in ("x", "y", "w", "h", "score")),
        ("seed_source", pa.string()),
        ("seeds", pa.int32()),
        ("labelled", pa.bool_()),
        *((name, pa.float64()) for name in SCORES),
        ("verdicts", pa.list_(pa.string())),
        ("phash", pa.binary()),
        ("config", pa.string()),
    ]
)
REJECTS = pa.schema(
    [
        *((name, pa.string()) for name in ("source_id", "source_uri", "stage", "kind", "reason", "detail", "config")),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("clip_id", pa.string()),
        ("duplicate_of", pa.string()),
    ]
)
SOURCES = pa.schema(
    [
        ("source_id", pa.string()),
        ("source_uri", pa.string()),
        ("bytes", pa.int64()),
        ("config", pa.string()),
        ("container", pa.string()),
        ("codec", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("fps", pa.float64()),
        ("seconds", pa.float64()),
        *(
            (name, pa.int64())
            for name in ("frames_expected", "frames_decoded", "frames_corrupt", "error_lines", "clips")
        ),
        ("uris", pa.list_(pa.string())),
        ("versions", pa.list_(pa.string())),
        ("treated", pa.list_(pa.string())),
    ]
)


def clip_rows(clips: Iterable[tuple[Clip, str, str]]) -> pa.Table:
    """One row per clip, given with its shard and its digest. A clip without a seed has NaN in its seed columns and an
    empty source."""
    return pa.Table.from_pylist([_clip_row(clip, shard, sha256) for clip, shard, sha256 in clips], CLIPS)


def _clip_row(clip: Clip, shard: str, sha256: str) -> dict[str, object]:
    best = clip.seed_boxes[0] if clip.seed_boxes else None
    box = best.box if best else (float("nan"),) * 4
    fields = {name: value for name, value in clip.as_dict().items() if name in CLIPS.names}
    return {
        **fields,
        **{name: clip.scores.get(name, float("nan")) for name in SCORES},
        "verdicts": list(clip.verdicts),
        "phash": bytes.fromhex(clip.phash),
        "shard": shard,
        "sha256": sha256,
        **dict(zip(("seed_x", "seed_y", "seed_w", "seed_h"), box, strict=True)),
        "seed_score": best.score if best else float("nan"),
        "seed_source": best.source if best else "",
        "seeds": len(clip.seed_boxes),
        "labelled": clip.boxes is not None,
    }


def reject_rows(rejects: Iterable[Reject]) -> pa.Table:
    """One row per drop."""
    return pa.Table.from_pylist([{**asdict(reject), "kind": kind_of(reject.reason)} for reject in rejects], REJECTS)


def source_rows(sources: Iterable[SourceRecord]) -> pa.Table:
    """One row per video seen."""
    return pa.Table.from_pylist([asdict(source) for source in sources], SOURCES)


def without_sources(table: pa.Table, source_ids: Sequence[str]) -> pa.Table:
    """The rows of all other sources."""
    gone = set(source_ids)
    return table.filter(pa.array([source_id not in gone for source_id in table["source_id"].to_pylist()], pa.bool_()))
