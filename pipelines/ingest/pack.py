"""A pack: what one source came to. A folder with all stored frames in one file and a JSON that names clips in it.

A pack is written under a temporary name and renamed when it is complete and on disk, so one that has its name is whole.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from pipelines import storage
from pipelines.dataset.manifest import canonical_json, digest_of
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.reject import Reject
from pipelines.ingest.sources import Source
from sstrack.clips.clip import Clip

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


@dataclass(frozen=True)
class Pack:
    """A finished pack: the source's record, kept clips with their JPEGs' places in `frames`, and what was dropped."""

    source: SourceRecord
    clips: tuple[tuple[Clip, tuple[Place, ...]], ...]
    rejects: tuple[Reject, ...]
    frames: Path

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
    return {name: version(name) for name in ("av", "imageio-ffmpeg", "numpy", "pyarrow", "simplejpeg", "webdataset")}


def pack_key(source: Source, config: IngestConfig) -> str:
    """Name of a source's pack: it changes with the bytes, the settings and the tools."""
    return digest_of({"source": source.source_id, "config": config.digest, "tools": tool_versions()})[:32]


def find_or_make(state: Path, key: str, fill: Callable[[IO[bytes]], Pack]) -> Path:
    """The folder of pack `key` under `state`, made by `fill` if need be, which writes the frames and returns the rest.

    Raises SSTrackError where the disk refuses; nothing is left under the final name then.
    """
    final = state / "packs" / key
    if final.exists():
        return final
    draft = state / "tmp" / f"{key}.{os.getpid()}"
    with storage.explained(final):
        draft.mkdir(parents=True)
        final.parent.mkdir(exist_ok=True)
        try:
            with (draft / "frames.bin").open("wb") as frames:
                pack = fill(frames)
                frames.flush()
                os.fsync(frames.fileno())
            storage.write_atomic(str(draft / "pack.json"), pack.to_json())
            storage.sync_folder(draft)
            draft.rename(final)
            storage.sync_folder(final.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return final


def read_pack(folder: Path) -> Pack:
    """Read a finished pack."""
    body: dict[str, Any] = json.loads(storage.read_bytes(str(folder / "pack.json")))
    return Pack(
        source=SourceRecord(**body["source"]),
        clips=tuple(
            (Clip.from_dict(entry["clip"]), tuple((offset, size) for offset, size in entry["places"]))
            for entry in body["clips"]
        ),
        rejects=tuple(Reject(**reject) for reject in body["rejects"]),
        frames=folder / "frames.bin",
    )
