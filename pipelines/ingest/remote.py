"""Videos in object stores: what is there, in which version, and a copy of one in a scratch folder."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from pipelines import storage
from pipelines.errors import SSTrackError, UsageError
from pipelines.ingest.reject import Transient, Unusable

_CHUNK = 8 << 20
_SPARE = 256 << 20
_LOOKERS = 16


@dataclass(frozen=True)
class Entry:
    """An object: its URI, what names its version (ETag, else size and time of change), its size in bytes."""

    uri: str
    version: str
    bytes: int


def require_scheme(uri: str) -> None:
    """Raise UsageError for a scheme that is not read."""
    if not uri.startswith("s3://"):
        raise UsageError(f"{uri} cannot be read: sources are local paths and s3:// URIs.")


def under(uri: str) -> list[Entry]:
    """The object `uri`, or all objects below the prefix; empty where there is neither."""
    filesystem, key = _open(uri)
    with _answering(uri):
        found: dict[str, Any] = filesystem.find(key, detail=True)
    return [_entry(filesystem, info) for _, info in sorted(found.items())]


def matching(pattern: str) -> list[Entry]:
    """All objects that a pattern with *, ?, ** and [] names."""
    filesystem, key = _open(pattern)
    with _answering(pattern):
        found: dict[str, Any] = filesystem.glob(key, detail=True)
    return [_entry(filesystem, info) for _, info in sorted(found.items()) if info["type"] == "file"]


def look_up(uris: Sequence[str]) -> dict[str, Entry]:
    """Those of `uris` that are objects."""
    with ThreadPoolExecutor(_LOOKERS) as pool:
        return {entry.uri: entry for entry in pool.map(_look, uris) if entry is not None}


def _look(uri: str) -> Entry | None:
    filesystem, key = _open(uri)
    with _answering(uri):
        try:
            info = filesystem.info(key)
        except FileNotFoundError:
            return None
    return Entry(uri, _version(info), int(info["size"])) if info["type"] == "file" else None


def fetch(uri: str, size: int, folder: Path, limit: int) -> tuple[Path, str, int]:
    """Copy an object into `folder`; returns the copy, the hex sha256 of its bytes and their number.

    Raises Unusable for an object of more than `limit` bytes, Transient where the store fails, SSTrackError where the
    disk is too small for it. Nothing is left in `folder` then.
    """
    if size > limit:
        raise Unusable("fetch", "file_too_large", f"{size} bytes; a fetched copy may have {limit}")
    with storage.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    if free < size + _SPARE:
        raise SSTrackError(
            f"no space left to fetch {uri}: {size} bytes, {free} free in {folder}: free some space and run the same "
            "command again; what is finished is kept."
        )
    copy = folder / ("fetched" + Path(uri).suffix[:16])
    digest = hashlib.sha256()
    count = 0
    try:
        with copy.open("wb") as file:
            for piece in _pieces(uri):
                count += len(piece)
                if count > limit:
                    raise Unusable("fetch", "file_too_large", f"it grew above {limit} bytes while it was fetched")
                digest.update(piece)
                with storage.explained(copy):
                    file.write(piece)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    return copy, digest.hexdigest(), count


def _pieces(uri: str) -> Iterator[bytes]:
    filesystem, key = _open(uri)
    try:
        with filesystem.open(key, "rb", block_size=_CHUNK, cache_type="readahead") as stream:
            while piece := stream.read(_CHUNK):
                yield piece
    except Exception as error:
        raise Transient(f"{uri} could not be fetched: {type(error).__name__}: {error}") from error


def _open(uri: str) -> tuple[Any, str]:
    require_scheme(uri)
    return fsspec.core.url_to_fs(uri, use_listings_cache=False)


@contextmanager
def _answering(uri: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        raise SSTrackError(
            f"{uri} cannot be listed ({type(error).__name__}: {error}): check the bucket's name, the keys and "
            "AWS_ENDPOINT_URL, and run the same command again."
        ) from error


def _entry(filesystem: Any, info: dict[str, Any]) -> Entry:
    return Entry(filesystem.unstrip_protocol(info["name"]), _version(info), int(info["size"]))


def _version(info: dict[str, Any]) -> str:
    tag = str(info.get("ETag") or "").strip('"')
    return tag or f"{info['size']}-{info.get('LastModified', '')}"
