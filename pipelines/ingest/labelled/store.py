"""Labelled sets in object stores: found by the names of their objects, fetched one sequence at a time.

Recognising needs names and sizes alone, so the labels' names are laid out as empty files in a scratch folder and the
code for local sets looks at that. Only COCO files are fetched for it.
"""

import hashlib
import os
import tempfile
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pipelines import s3, storage
from pipelines.errors import SSTrackError
from pipelines.ingest.fetch import require_room
from pipelines.ingest.labelled import coco
from pipelines.ingest.labelled.find import Member, find_members, may_be_coco
from pipelines.ingest.objects import version
from pipelines.ingest.reject import Transient, Unusable
from pipelines.local_files import explained
from pipelines.s3 import Object
from sstrack.benchmarks.layouts.frames import IMAGES, hidden, is_frame

_LABELS = frozenset({".txt", ".label", ".ini"})
_LONGEST_NAME = 255
_BATCH = 64
_BATCH_BYTES = 64 << 20
"""Objects and bytes that are in memory at once while a sequence is fetched."""


@dataclass(frozen=True)
class Stored:
    """A sequence in a store: the URI of its folder or file, what tells it from an earlier one there, and its bytes.

    The path of `member` is `bucket/key`, relative; `fetch` puts it in a folder.
    """

    uri: str
    member: Member
    version: str
    bytes: int


def find_stored(objects: Sequence[Object], prefix: str, layout: str, work: Path) -> Iterator[Stored]:
    """Labelled sequences among the objects below a prefix, of any layout where none is named.

    Args:
        objects: what lies below `prefix`, sorted by URI.
        work: a folder of this machine for names, and for COCO files while they are read.

    Raises as `find_members` does, SSTrackError where the store or the disk fails.
    """
    listed = {each.uri: each for each in objects}
    uris = list(listed)
    with explained(work):
        work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work, prefix="names.") as scratch:
        root = Path(scratch)
        _lay_out(objects, layout, root)
        place = root / prefix.removeprefix("s3://").rstrip("/")
        for found in find_members(place, layout) if place.is_dir() else ():
            path = found.path.relative_to(root)
            member = replace(found, path=path)
            if found.target is not None:
                member = replace(member, target=_resolved(found.target, path, listed))
            below = [
                each
                for start in _prefixes(member)
                for each in _below(f"s3://{start}", uris, listed)
                if each is not None
            ]
            marks = hashlib.sha256("\0".join(f"{each.uri}\0{version(each)}" for each in below).encode())
            size = sum(each.size for each in below)
            yield Stored(f"s3://{path.as_posix()}", member, f"{len(below)}-{marks.hexdigest()[:32]}", size)


def fetch(member: Member, folder: Path, limit: int) -> Member:
    """Copy the objects of a stored sequence below `folder`; returns it as a local one.

    Raises Unusable for more than `limit` bytes, Transient where the store fails, SSTrackError where the disk is too
    small. Objects that are gone are missing frames.
    """
    with _tried_again():
        if member.target is not None:
            found = s3.look_up(f"s3://{(coco.set_root(member.path) / name).as_posix()}" for name in member.target.files)
        else:
            found = [each for start in _prefixes(member) for each in _below_now(f"s3://{start}")]
    wanted = [each for each in found if _safe(each.uri)]
    if not wanted:
        raise Unusable("labels", "missing", "it was there when the run began and is gone")
    require_room(folder, sum(each.size for each in wanted), f"s3://{member.path.as_posix()}", limit)
    for batch in _batches(wanted):
        with _tried_again():
            contents = s3.get_some([each.uri for each in batch])
        for each, data in zip(batch, contents, strict=True):
            path = folder / each.uri.removeprefix("s3://")
            if data is not None and _has_folder(path):
                with explained(path):
                    path.write_bytes(data)
    return replace(member, path=folder / member.path)


@contextmanager
def _tried_again() -> Iterator[None]:
    """What a store refuses may work later."""
    try:
        yield
    except SSTrackError as error:
        raise Transient(str(error)) from error


def _has_folder(path: Path) -> bool:
    """Make the folder of a file; False where a store's keys want a file and a folder of the same name."""
    with explained(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            return False
    return not path.is_dir()


def _lay_out(objects: Sequence[Object], layout: str, root: Path) -> None:
    """Folders of all objects with one image of each, and files that are as long as the labels but hold nothing; COCO
    files whole."""
    made: set[Path] = set()
    for each in objects:
        path = root / each.uri.removeprefix("s3://")
        suffix = path.suffix.lower()
        if not _safe(each.uri) or (suffix not in _LABELS and path.parent in made and suffix != ".json"):
            continue
        if not _has_folder(path):
            continue
        with explained(path):
            if is_frame(path.name) and path.parent not in made:
                path.touch()
            made.add(path.parent)
            if suffix == ".json" and may_be_coco(path.parent, path.name, layout):
                if each.size > coco.MOST_BYTES:
                    raise SSTrackError(f"{each.uri} is above {coco.MOST_BYTES} bytes; split it.")
                storage.download(each.uri, path)
            elif suffix in _LABELS:
                path.touch()
                os.truncate(path, each.size)


def _safe(uri: str) -> bool:
    """Whether a key can be a path below a folder: stores allow `..`, empty parts and names of any length."""
    parts = uri.removeprefix("s3://").split("/")
    return "\0" not in uri and all(part not in ("", ".", "..") and len(os.fsencode(part)) <= _LONGEST_NAME
                                   for part in parts)  # fmt: skip


def _resolved(target: coco.Target, path: Path, listed: dict[str, Object]) -> coco.Target:
    """The target with its files' names from the root of its set, where they are found among the objects."""
    root = coco.set_root(path)
    files = []
    for name in target.files:
        places = (PurePosixPath(base) / name for base in coco.image_folders(path))
        files.append(next((str(place) for place in places if f"s3://{root.as_posix()}/{place}" in listed), name))
    return replace(target, files=tuple(files))


def _prefixes(member: Member) -> list[str]:
    """`bucket/key` of the objects and folders, the latter with a slash at the end, that belong to a sequence."""
    if member.target is not None:
        return [member.path.as_posix()]
    return [path.as_posix() + ("" if path.suffix == ".txt" else "/") for path in member.places()]


def _below(start: str, uris: list[str], listed: dict[str, Object]) -> Iterator[Object]:
    for number in range(bisect_left(uris, start), len(uris)):
        if not (uris[number].startswith(start) if start.endswith("/") else uris[number] == start):
            return
        yield listed[uris[number]]


def _below_now(start: str) -> list[Object]:
    objects = s3.list_objects(start) if start.endswith("/") else s3.look_up([start])
    return [each for each in objects if _is_read(PurePosixPath(each.uri))]


def _is_read(path: PurePosixPath) -> bool:
    return path.suffix.lower() in _LABELS.union(IMAGES) and not hidden(path.name)


def _batches(objects: Sequence[Object]) -> Iterator[list[Object]]:
    batch: list[Object] = []
    for each in objects:
        if batch and (len(batch) == _BATCH or sum(one.size for one in batch) + each.size > _BATCH_BYTES):
            yield batch
            batch = []
        batch.append(each)
    if batch:
        yield batch
