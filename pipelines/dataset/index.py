"""Shard index: where in a shard's tar each frame's JPEG lies, so that a reader fetches frames without scanning.

File layout (little endian): 8 magic bytes, uint64 length of a JSON header `[[clip_id, frames], ...]`, the header,
padding to 8, int64 offsets of all frames in header order, int32 sizes likewise.
"""

import json
import struct
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines import storage
from pipelines.errors import SSTrackError

_MAGIC = b"SSTIDX1\n"


@dataclass(frozen=True)
class ClipSpan:
    """Byte positions of one clip's T frames in its shard: `offsets` int64 [T], `sizes` int32 [T]."""

    offsets: NDArray[np.int64]
    sizes: NDArray[np.int32]


def load_index(dataset: str, shard: str) -> dict[str, ClipSpan]:
    """The index of the shard named by its sha256: clip id -> span. Raises SSTrackError where it is not an index."""
    uri = storage.join(dataset, "shards", f"{shard}.idx")
    try:
        return parse_index(storage.read_bytes(uri))
    except (ValueError, TypeError, RecursionError) as error:  # the last two: a header that is JSON of another kind
        raise SSTrackError(f"{uri} is damaged ({error}); restore it from a copy.") from error


def scan_tar(path: Path) -> dict[str, ClipSpan]:
    """Index a local tar of `<clip_id>.<number>.jpg` members by reading its headers."""
    places: dict[str, list[tuple[int, int]]] = {}
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            clip_id, _, extension = member.name.partition(".")
            if extension.endswith(".jpg"):
                places.setdefault(clip_id, []).append((member.offset_data, member.size))
    return {
        clip_id: ClipSpan(
            np.array([offset for offset, _ in frames], dtype=np.int64),
            np.array([size for _, size in frames], dtype=np.int32),
        )
        for clip_id, frames in places.items()
    }


def format_index(spans: dict[str, ClipSpan]) -> bytes:
    """The bytes of an index file."""
    header = json.dumps([[clip_id, len(span.sizes)] for clip_id, span in spans.items()]).encode()
    header += b" " * (-len(header) % 8)
    offsets = b"".join(span.offsets.astype("<i8").tobytes() for span in spans.values())
    sizes = b"".join(span.sizes.astype("<i4").tobytes() for span in spans.values())
    return _MAGIC + struct.pack("<Q", len(header)) + header + offsets + sizes


def parse_index(data: bytes) -> dict[str, ClipSpan]:
    """Inverse of `format_index`. Raises ValueError where the bytes are no index."""
    start = len(_MAGIC) + 8
    if data[: len(_MAGIC)] != _MAGIC or len(data) < start:
        raise ValueError("not a shard index")
    (length,) = struct.unpack("<Q", data[len(_MAGIC) : start])
    clips: list[tuple[str, int]] = json.loads(data[start : start + length])
    total = sum(frames for _, frames in clips)
    if len(data) != start + length + 12 * total:
        raise ValueError("its length does not match its header")
    offsets = np.frombuffer(data, "<i8", total, start + length)
    sizes = np.frombuffer(data, "<i4", total, start + length + 8 * total)
    spans: dict[str, ClipSpan] = {}
    first = 0
    for clip_id, frames in clips:
        spans[clip_id] = ClipSpan(offsets[first : first + frames], sizes[first : first + frames])
        first += frames
    return spans
