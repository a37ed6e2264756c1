"""Which files an ingest reads: named files as they are, folders searched for video extensions, and their identity."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines import storage
from pipelines.errors import SSTrackError

VIDEO_EXTENSIONS = frozenset(
    [
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".ts",
        ".m2ts",
        ".mts",
        ".wmv",
        ".asf",
        ".flv",
        ".ogv",
        ".3gp",
        ".mxf",
        ".vob",
        ".ivf",
        ".y4m",
    ]
)


@dataclass(frozen=True)
class Source:
    """One video file: its sha256, its readable name, where it lies and its size in bytes."""

    source_id: str
    uri: str
    path: Path
    bytes: int


def discover(sources: Sequence[str]) -> list[Path]:
    """All files to read, absolute and sorted, each once.

    Raises SSTrackError for a path that is not there and where there is nothing to read at all.
    """
    if not sources:
        raise SSTrackError("no sources were given; name video files or folders of them.")
    found: set[Path] = set()
    for source in sources:
        found.update(_files(storage.local_path(source).expanduser().absolute()))
    if not found:
        raise SSTrackError(
            f"no video in {', '.join(sources)}: a folder is searched for {' '.join(sorted(VIDEO_EXTENSIONS))}; "
            "put videos there or name files."
        )
    return sorted(found)


def _files(path: Path) -> list[Path]:
    with storage.explained(path, "read"):
        if path.is_dir():
            return [file for file in path.rglob("*") if file.suffix.lower() in VIDEO_EXTENSIONS and file.is_file()]
        if not path.exists():
            raise SSTrackError(f"there is no file or folder {path}; check the path.")
        if not path.is_file():
            raise SSTrackError(f"{path} is neither a file nor a folder; name a video file or a folder of them.")
        return [path]


def identify(path: Path) -> Source:
    """Digest one file. Raises SSTrackError where it cannot be read."""
    with storage.explained(path, "read"):
        size = path.stat().st_size
    return Source(storage.sha256_file(str(path)), label(path), path, size)


def label(path: Path) -> str:
    """A path as valid UTF-8, for tables and messages; bytes that are none are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
