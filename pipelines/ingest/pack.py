"""A pack: what one source came to. One file: all stored frames, then a JSON that names clips in them, then its length.

A pack is drafted on the local disk and gets its name in one step when it is complete: one that has its name is whole.
"""

import json
import os
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from typing import IO, Any

from pipelines import storage
from pipelines.dataset.manifest import canonical_json, digest_of
from pipelines.errors import SSTrackError
from pipelines.ingest.reject import Reject, Unusable
from pipelines.ingest.state.workspace import Workspace
from sstrack.clips.clip import Clip

_MAGIC = b"SSTPACK1"
_TAIL = 16

Place = tuple[int, int]
"""Offset and size in bytes of one JPEG."""


@dataclass(frozen=True)
class SourceRecord:
    """One row of the sources table. `frames_decoded` below `frames_expected` says how much of the video is lost,
    `frames_corrupt` how many of those decoded are damaged or predicted from damaged ones."""

    source_id: str
    source_uri: str
    bytes: int
    config: str
    container: str = ""
    codec: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    seconds: float = 0.0
    frames_expected: int = 0
    frames_decoded: int = 0
    frames_corrupt: int = 0
    error_lines: int = 0
    clips: int = 0
    uris: tuple[str, ...] = ()
    """All names that these bytes were seen under, sorted."""
    versions: tuple[str, ...] = ()
    """What each of them had as its version (an ETag, say) when it was read."""
    treated: tuple[str, ...] = ()
    """What was done to its pictures before they were stored, in words: deinterlaced, turned 90, ...."""

    def reject(self, problem: Unusable, start_s: float | None = None, end_s: float | None = None) -> Reject:
        """The row that says why this source, or the span of it in seconds, was dropped."""
        return Reject(
            self.source_id,
            self.source_uri,
            problem.stage,
            problem.reason,
            problem.detail[:500],
            self.config,
            None if start_s is None else round(start_s, 6),
            None if end_s is None else round(end_s, 6),
        )


@dataclass(frozen=True)
class Pack:
    """A finished pack: the source's record, kept clips with their JPEGs' places in `frames`, and what was dropped."""

    source: SourceRecord
    clips: tuple[tuple[Clip, tuple[Place, ...]], ...]
    rejects: tuple[Reject, ...]
    frames: str = ""
    """URI of the file that the places are in, once the pack is finished."""

    def located(self, uris: tuple[str, ...], versions: tuple[str, ...]) -> "Pack":
        """This pack with all names of its source: it may have been made when the same bytes lay elsewhere."""
        return replace(
            self,
            source=replace(self.source, source_uri=uris[0], uris=uris, versions=versions),
            rejects=tuple(replace(reject, source_uri=uris[0]) for reject in self.rejects),
        )

    def to_json(self) -> bytes:
        return canonical_json(
            {
                "source": asdict(self.source),
                "clips": [{"clip": clip.as_dict(), "places": places} for clip, places in self.clips],
                "rejects": [asdict(reject) for reject in self.rejects],
            }
        )


@cache
def tool_versions() -> dict[str, str]:
    """Versions of all that shapes the bytes of a dataset."""
    names = ("av", "imageio-ffmpeg", "numpy", "opencv-python-headless", "pyarrow", "simplejpeg", "webdataset")
    return {name: version(name) for name in names}


def pack_key(source_id: str, config_digest: str) -> str:
    """Name of a source's pack: it changes with the bytes, the settings and the tools."""
    return digest_of({"source": source_id, "config": config_digest, "tools": tool_versions()})[:32]


def find_or_make(space: Workspace, key: str, fill: Callable[[IO[bytes]], Pack]) -> str:
    """URI of pack `key` in `space`, made by `fill` if need be, which writes the frames and returns the rest.

    Raises SSTrackError where the disk or the store refuses; nothing is left under the final name then.
    """
    final = space.pack(key)
    if storage.exists(final):
        return final
    with storage.draft(space.scratch / f"{key}.pack") as draft, storage.explained(draft):
        with draft.open("wb") as file:
            body = fill(file).to_json()
            file.seek(0, os.SEEK_END)
            file.write(body + struct.pack("<Q", len(body)) + _MAGIC)
        storage.move_if_absent(draft, final)
    return final


def read_pack(uri: str) -> Pack:
    """Read what a finished pack says; its frames stay where they are."""
    size = storage.size(uri)
    length, magic = struct.unpack("<Q8s", storage.read_range(uri, max(0, size - _TAIL), _TAIL).rjust(_TAIL, b"\0"))
    if magic != _MAGIC or length > size - _TAIL:
        raise SSTrackError(f"{uri} is damaged: it does not end like a pack; remove it and run the same command again.")
    body: dict[str, Any] = json.loads(storage.read_range(uri, size - _TAIL - length, length))
    return Pack(
        source=SourceRecord(**body["source"]),
        clips=tuple(
            (Clip.from_dict(entry["clip"]), tuple((offset, size) for offset, size in entry["places"]))
            for entry in body["clips"]
        ),
        rejects=tuple(Reject(**reject) for reject in body["rejects"]),
        frames=uri,
    )
