"""Which videos an ingest reads: named files, folders, patterns, s3:// objects and prefixes, lists of them. Names and
versions only; no byte of a video is read here."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipelines import storage
from pipelines.errors import SSTrackError, UsageError
from pipelines.ingest import remote
from pipelines.ingest.lists import BadRow, is_list, read_list

VIDEO_EXTENSIONS = frozenset(
    """.mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .m2ts .mts .wmv .asf .flv .ogv .3gp .mxf .vob .ivf .y4m""".split()
)
"""What a folder or prefix is searched for; a file that is named itself may have any other."""
_PATTERN = frozenset("*?[")


@dataclass(frozen=True)
class Found:
    """A video to ingest: where it is, and what tells its bytes from earlier or later ones under the same name."""

    uri: str
    """A local path or an s3:// URI."""
    version: str
    """A local file's size and time of change, an object's ETag."""
    bytes: int
    sha256: str = ""
    """What a list promises its bytes to be."""
    layout: str = ""
    """For a labelled sequence: the name of its set's layout. `uri` is its folder or truth file then."""
    sequence: str = ""
    """For a labelled sequence: its name inside the set."""

    @property
    def label(self) -> str:
        """Its name as valid UTF-8, for tables and messages."""
        return label(f"{self.uri}#{self.sequence}" if self.sequence else self.uri)

    @property
    def weight(self) -> float:
        """Expected share of the work."""
        return float(self.bytes)


@dataclass(frozen=True)
class Source:
    """One video file on this machine: its sha256, its readable name, where it lies and its size in bytes."""

    source_id: str
    uri: str
    path: Path
    bytes: int


@dataclass
class Discovery:
    """What was found, each name once, and what lists name in vain."""

    found: list[Found] = field(default_factory=list)
    bad_rows: list[BadRow] = field(default_factory=list)


def discover(sources: Sequence[str]) -> Discovery:
    """All videos that `sources` name, sorted by name.

    Raises SSTrackError for a place that is not there, and where there is nothing to read at all; UsageError for a
    scheme that cannot be read and a list without a `uri` column.
    """
    if not sources:
        raise UsageError("no sources were given; name video files, folders, s3:// prefixes or lists of them.")
    discovery = Discovery()
    named: dict[str, Found] = {}
    for source in sources:
        for found in _from_list(source, discovery) if is_list(source) else _from_place(source):
            named.setdefault(found.uri, found)
    if not named and not discovery.bad_rows:
        raise SSTrackError(
            f"no video in {', '.join(sources)}: folders and prefixes are searched for "
            f"{' '.join(sorted(VIDEO_EXTENSIONS))}; put videos there or name files."
        )
    discovery.found = [named[uri] for uri in sorted(named)]
    return discovery


def _from_place(source: str) -> Iterator[Found]:
    if not storage.is_local(source):
        yield from _from_store(source)
        return
    path = storage.local_path(source).expanduser().absolute()
    with storage.explained(path, "read"):
        if path.exists():
            yield from _from_path(path)
        elif _PATTERN & set(str(path)):
            for match in map(Path, glob.iglob(str(path), recursive=True)):
                if match.is_dir() or _wanted(match.name):
                    yield from _from_path(match)
        else:
            raise SSTrackError(f"there is no file or folder {label(path)}; check the path.")


def _from_path(path: Path) -> Iterator[Found]:
    if path.is_dir():
        for file in path.rglob("*"):
            if _wanted(file.name) and file.is_file():
                yield local_file(file)
    elif path.is_file():
        yield local_file(path)
    else:
        raise SSTrackError(f"{label(path)} is neither a file nor a folder; name a video file or a folder of them.")


def _from_store(source: str) -> Iterator[Found]:
    remote.require_scheme(source)
    if _PATTERN & set(source):
        entries = remote.matching(source)
    else:
        entries = remote.under(source)
        if not entries:
            raise SSTrackError(f"there is no object and no prefix {source}; check the URI.")
    for entry in entries:
        if entry.uri == source or _wanted(PurePosixPath(entry.uri).name):
            yield Found(entry.uri, entry.version, entry.bytes)


def _wanted(name: str) -> bool:
    """A video by its name; hidden files, which copying tools leave behind, are none."""
    return PurePosixPath(name).suffix.lower() in VIDEO_EXTENSIONS and not name.startswith(".")


def local_file(path: Path) -> Found:
    """One local file as it is now. Raises OSError where it is gone."""
    state = path.stat()
    return Found(str(path), f"{state.st_size}-{state.st_mtime_ns}", state.st_size)


def _from_list(source: str, discovery: Discovery) -> Iterator[Found]:
    rows, bad = read_list(source)
    discovery.bad_rows += bad
    places = remote.look_up([row.uri for row in rows if not storage.is_local(row.uri) and not row.etag])
    for row in rows:
        if not storage.is_local(row.uri):
            if row.etag:
                yield Found(row.uri, row.etag.strip('"'), row.bytes, row.sha256)
            elif entry := places.get(row.uri):
                yield Found(row.uri, entry.version, entry.bytes, row.sha256)
            else:
                discovery.bad_rows.append(row.bad("missing", "there is no such object"))
            continue
        path = storage.local_path(row.uri)
        try:
            found = local_file(path)
        except OSError as error:
            discovery.bad_rows.append(row.bad("missing", f"it cannot be read: {error.strerror}"))
            continue
        if path.is_file():
            yield Found(found.uri, found.version, found.bytes, row.sha256)
        else:
            discovery.bad_rows.append(row.bad("bad_row", "it is a folder; a list names files"))


def label(path: str | Path) -> str:
    """A path as valid UTF-8, for tables and messages; bytes that are none are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def holds_videos(folder: str) -> bool:
    """Whether anything under a folder or prefix would be ingested."""
    return any(_wanted(PurePosixPath(uri).name) for uri in storage.list_files(folder))
