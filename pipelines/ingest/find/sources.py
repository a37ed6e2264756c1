"""Which videos an ingest reads: named files, folders, patterns, s3:// objects and prefixes, lists of them. Names and
versions only; no byte of a video is read here."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from pipelines import storage
from pipelines.errors import SSTrackError, UsageError
from pipelines.ingest import objects as remote
from pipelines.ingest.find.lists import BadRow, is_list, read_list
from pipelines.ingest.labelled.find import Member, describe, find_members
from pipelines.ingest.labelled.store import find_stored
from pipelines.local_files import explained
from pipelines.s3 import Object
from pipelines.settings import settings

VIDEO_EXTENSIONS = frozenset(
    f".{name}"
    for name in (
        *("mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "m2ts"),
        *("mts", "wmv", "asf", "flv", "ogv", "3gp", "mxf", "vob", "ivf", "y4m"),
    )
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
    member: Member | None = None
    """The labelled sequence that this is. `uri` is the folder or file that it is read from then."""

    @property
    def label(self) -> str:
        """Its name as valid UTF-8, for tables and messages."""
        return label(f"{self.uri}#{self.member.name}" if self.member and self.member.name else self.uri)

    @property
    def weight(self) -> float:
        """Expected share of the work."""
        return float(self.bytes)

    @property
    def share(self) -> float:
        """What part of its video it is: all of it."""
        return 1.0


@dataclass
class Discovery:
    """What was found, each name once, and what is named in vain."""

    found: list[Found] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)


WITHHELD = "evaluation_split"
"""Reason of a row for a sequence that trackers are judged on."""


def discover(sources: Sequence[str], layout: str = "", allow_benchmarks: bool = False) -> Discovery:
    """All videos and labelled sequences that `sources` name, sorted by name; sequences alone where a `layout` is named.

    Sequences that benchmarks judge trackers on become rows, unless `allow_benchmarks` takes them like any other.

    Raises SSTrackError for a place that is not there, and where there is nothing to read at all; UsageError for a
    scheme that cannot be read, a list without a `uri` column and an unknown layout.
    """
    if not sources:
        raise UsageError("no sources were given; name video files, folders, s3:// prefixes or lists of them.")
    discovery = Discovery()
    named: dict[str, Found] = {}
    for source in sources:
        if not source.removeprefix("@").strip():
            raise UsageError("an empty source was given; name video files, folders, s3:// prefixes or lists of them.")
        finds = _from_set if layout else _from_list if is_list(source) else _from_place
        for found in finds(source, layout, discovery):
            withheld = found.member.withheld if found.member else ""
            if withheld and not allow_benchmarks:
                discovery.bad.append(_refused(found, withheld))
            else:
                named.setdefault(found.label, found)
    if not named and not discovery.bad:
        place = ", ".join(sources)
        if all(map(is_list, sources)):
            raise SSTrackError(f"{place} names no video; write one path or s3:// URI a line.")
        if layout:
            raise SSTrackError(f"no {layout} sequence in {place}; expected {describe(layout)}.")
        raise SSTrackError(
            f"no video in {place}: folders and prefixes are searched for {' '.join(sorted(VIDEO_EXTENSIONS))} and for "
            "labelled sets; put videos there or name files."
        )
    discovery.found = [named[name] for name in sorted(named)]
    return discovery


def _from_place(source: str, layout: str, discovery: Discovery) -> Iterator[Found]:
    if "://" in source and not source.startswith("file://"):
        yield from _from_store(source, discovery)
        return
    path = storage.local_path(source).expanduser().absolute()
    with explained(path, "read"):
        if path.is_dir():
            yield from _from_folder(path, discovery)
        elif path.is_file():
            yield local_file(path)
        elif path.exists():
            raise SSTrackError(f"{label(path)} is neither a file nor a folder; name a video file or a folder of them.")
        elif _PATTERN & set(str(path)):
            for match in _matching(path):
                if match.is_dir():
                    yield from _from_folder(match, discovery)
                elif _wanted(match.name):
                    yield from _file(match, discovery)
        else:
            raise SSTrackError(f"there is no file or folder {label(path)}; check the path.")


def _matching(pattern: Path) -> Iterator[Path]:
    """What a pattern names. `**` does not enter links to folders, which may lead round in a circle."""
    parts = pattern.parts
    first = next(number for number, part in enumerate(parts) if _PATTERN & set(part))
    rest = [part if part == "**" else part.replace("**", "*") for part in parts[first:]]
    yield from Path(*parts[:first]).glob("/".join(rest))


def _from_folder(path: Path, discovery: Discovery) -> Iterator[Found]:
    def unreadable(error: OSError) -> None:
        name = label(str(error.filename))
        discovery.bad.append(BadRow("", name, "unreadable", f"the folder cannot be read: {error.strerror}"))

    for place, _, names in os.walk(path, onerror=unreadable):
        for name in names:
            if _wanted(name):
                yield from _file(Path(place) / name, discovery)
    yield from _sequences(path, "")


def _file(path: Path, discovery: Discovery) -> Iterator[Found]:
    """A file with a video's name that was come across; a pipe or socket is none, and a link may lead nowhere."""
    try:
        if path.is_file():
            yield local_file(path)
        elif path.is_symlink() and not path.exists():
            discovery.bad.append(BadRow("", label(path), "missing", "it is a link that leads nowhere"))
    except OSError as error:
        discovery.bad.append(BadRow("", label(path), "unreadable", f"it cannot be read: {error.strerror}"))


def _from_set(source: str, layout: str, discovery: Discovery) -> Iterator[Found]:
    if "://" in source and not source.startswith("file://"):
        remote.require_scheme(source)
        yield from _stored(storage.list_objects(source), source, layout)
        return
    path = storage.local_path(source).expanduser().absolute()
    if not path.exists():
        raise SSTrackError(f"there is no file or folder {label(path)}; check the path.")
    with explained(path, "read"):
        yield from _sequences(path, layout)


def _sequences(path: Path, layout: str) -> Iterator[Found]:
    for member in find_members(path, layout):
        version, size = member.version()
        yield Found(str(member.path), version, size, member=member)


def _stored(objects: Sequence[Object], source: str, layout: str) -> Iterator[Found]:
    for stored in find_stored(objects, source, layout, settings().work / "scratch"):
        yield Found(stored.uri, stored.version, stored.bytes, member=stored.member)


def _refused(found: Found, withheld: str) -> BadRow:
    """The row of a sequence that must not be trained on."""
    return BadRow(
        "", found.label, WITHHELD, f"{withheld}; trackers are judged on it; --allow-benchmarks takes it all the same"
    )


def _from_store(source: str, discovery: Discovery) -> Iterator[Found]:
    remote.require_scheme(source)
    pattern = bool(_PATTERN & set(source))
    objects = remote.matching(source) if pattern else remote.under(source)
    if not objects:
        raise SSTrackError(f"there is no object and no prefix {source}; check the URI.")
    for each in objects:
        if each.uri == source or _wanted(PurePosixPath(each.uri).name):
            yield Found(each.uri, remote.version(each), each.size)
    if not pattern:
        yield from _stored(objects, source, "")


def _wanted(name: str) -> bool:
    """A video by its name; hidden files, which copying tools leave behind, are none."""
    return PurePosixPath(name).suffix.lower() in VIDEO_EXTENSIONS and not name.startswith(".")


def local_file(path: Path) -> Found:
    """One local file as it is now. Raises OSError where it is gone."""
    state = path.stat()
    return Found(str(path), f"{state.st_size}-{state.st_mtime_ns}", state.st_size)


def _from_list(source: str, layout: str, discovery: Discovery) -> Iterator[Found]:
    rows, bad = read_list(source)
    discovery.bad += bad
    objects = remote.look_up(row.uri for row in rows if row.uri.startswith("s3://") and not row.etag)
    for row in rows:
        if row.uri.startswith("s3://"):
            if row.etag:
                yield Found(row.uri, row.etag.strip('"'), row.bytes, row.sha256)
            elif each := objects.get(row.uri):
                yield Found(row.uri, remote.version(each), each.size, row.sha256)
            else:
                discovery.bad.append(row.bad("missing", "there is no such object"))
            continue
        path = storage.local_path(row.uri)
        try:
            found = local_file(path)
        except OSError as error:
            discovery.bad.append(row.bad("missing", f"it cannot be read: {error.strerror}"))
            continue
        if path.is_file():
            yield replace(found, sha256=row.sha256)
        else:
            discovery.bad.append(row.bad("bad_row", "it is a folder; a list names files"))


def label(path: str | Path) -> str:
    """A path as valid UTF-8, for tables and messages; bytes that are none are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    """A name for a message: line breaks and other control characters, which names may hold, are escaped."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def holds_videos(folder: str) -> bool:
    """Whether anything under a folder or prefix would be ingested."""
    return any(_wanted(PurePosixPath(uri).name) for uri in storage.list_files(folder))
