"""Clips as plain files: an mp4 each, or a folder of JPEGs each, with the clip's JSON beside it."""

import io
import re
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import simplejpeg

from pipelines import storage
from pipelines.dataset.manifest import load_manifest, read_clips
from pipelines.dataset.tars import Sample, TarReader
from pipelines.errors import SSTrackError

Kind = Literal["mp4", "frames"]

_SAFE = re.compile(r"[0-9A-Za-z_-]{1,64}")
_CRF = 16


def export(
    dataset: str,
    out: Path,
    kind: Kind = "mp4",
    *,
    digest: str | None = None,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write the clips of a manifest into the local folder `out`; those that are there already are left alone.

    Args:
        dataset: its folder, local or s3://.
        out: gets `<clip_id>.mp4` (H.264 at the clip's rate) or `<clip_id>/0000.jpg …` (the stored bytes), and
            `<clip_id>.json`, the clip's record with its seed boxes.
        kind: "mp4" or "frames".
        digest: the manifest, None for the newest.
        most: at most this many clips, the first ones.
        progress: told of clips done and all clips.

    Returns `{"out", "clips", "written"}`. A name appears when what it names is whole. Raises SSTrackError for a clip id
    that is no safe file name, a damaged shard, or a disk that refuses.
    """
    manifest = load_manifest(dataset, digest)
    rows = read_clips(dataset, manifest).select(["clip_id", "shard", "fps"]).to_pylist()[:most]
    for row in rows:
        if not _SAFE.fullmatch(row["clip_id"]):
            raise SSTrackError(f"{dataset} has a clip named {row['clip_id']!r}, which is no safe file name; stopped.")
    storage.make_folder(str(out))
    done = written = 0
    by_shard: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_shard.setdefault(row["shard"], []).append(row)
    with tempfile.TemporaryDirectory(prefix="sstrack-export-") as scratch:
        for shard, members in by_shard.items():
            wanted = [row for row in members if not _is_there(out, row["clip_id"], kind)]
            if wanted:
                with TarReader(dataset, shard, Path(scratch)) as tar:
                    for row in wanted:
                        _write(out, row["clip_id"], tar.sample(row["clip_id"]), row["fps"], kind)
            written += len(wanted)
            done += len(members)
            if progress is not None:
                progress(done, len(rows))
    return {"out": str(out), "clips": len(rows), "written": written}


def _final(out: Path, clip_id: str, kind: Kind) -> Path:
    return out / (f"{clip_id}.mp4" if kind == "mp4" else clip_id)


def _is_there(out: Path, clip_id: str, kind: Kind) -> bool:
    """Whether a clip was exported in this form; the other form may lie beside it with the same JSON."""
    return (out / f"{clip_id}.json").exists() and _final(out, clip_id, kind).exists()


def _write(out: Path, clip_id: str, sample: Sample, fps: float, kind: Kind) -> None:
    final = _final(out, clip_id, kind)
    pictures = [data for part, data in sample.items() if part != "json"]
    if kind == "mp4":
        storage.write_atomic(str(final), _encode(pictures, fps))
    else:
        # One that is there is of a run that ended before it wrote the JSON. To wait for the disk at each frame would
        # take longer than all the rest, and the dataset still has them.
        with storage.new_folder(final, "replace", sync=False) as folder:
            for number, data in enumerate(pictures):
                (folder / f"{number:04d}.jpg").write_bytes(data)
    # Last: its presence says that the clip is done.
    storage.write_atomic(str(out / f"{clip_id}.json"), sample["json"])


def _encode(pictures: list[bytes], fps: float) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = simplejpeg.decode_jpeg(pictures[0]).shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(_CRF), "threads": "1"}
        for data in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(simplejpeg.decode_jpeg(data), "rgb24")))
        container.mux(stream.encode())
    return file.getvalue()
