"""Read-only view of a folder or a zip: names and bytes, with limits. Nothing is ever unpacked to disk.

Results and ground truth come from strangers, so a member may not be larger than `MAX_FILE`, an archive not hold more
than `MAX_FILES` members or `MAX_TOTAL` bytes, and a link may not lead out of its folder.
"""

import os
import zipfile
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path, PurePosixPath

MAX_FILE = 64 << 20
MAX_FILES = 200_000
MAX_TOTAL = 2 << 30


class Tree(ABC):
    """Files by their path relative to the root, with `/` between parts."""

    root: Path

    @cached_property
    @abstractmethod
    def names(self) -> frozenset[str]:
        """All files."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of one of `names`. ValueError if it is not there or too large."""

    def where(self, name: str) -> str:
        """How to call a file in messages."""
        return f"{self.root}/{name}"

    def get(self, name: str) -> bytes | None:
        """The bytes of a file, None where there is none."""
        return self.read(name) if name in self.names else None


class Folder(Tree):
    """A folder on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def names(self) -> frozenset[str]:
        found: list[str] = []
        for folder, _, files in os.walk(self.root):
            base = Path(folder).relative_to(self.root).as_posix()
            found.extend(name if base == "." else f"{base}/{name}" for name in files)
            if len(found) > MAX_FILES:
                raise ValueError(f"{self.root} holds more than {MAX_FILES} files: name the folder of the results")
        return frozenset(found)

    def read(self, name: str) -> bytes:
        path = self.root / name
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise ValueError(f"{path} is a link that leads out of {self.root}")
        try:
            size = path.stat().st_size
            if size > MAX_FILE:
                raise ValueError(f"{path} has {size} bytes; the limit is {MAX_FILE}")
            return path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from error


class Zip(Tree):
    """A zip archive, read in place."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            self._zip = zipfile.ZipFile(root)
        except (zipfile.BadZipFile, OSError) as error:
            raise ValueError(f"{root} is no readable zip: {error}") from error
        # Archives packed on a Mac carry a shadow of every file.
        members = [m for m in self._zip.infolist() if not m.is_dir() and "__MACOSX" not in m.filename]
        if len(members) > MAX_FILES or sum(member.file_size for member in members) > MAX_TOTAL:
            raise ValueError(f"{root} holds too much: at most {MAX_FILES} files and {MAX_TOTAL >> 20} MiB unpacked")
        self._members = {_plain(member.filename, root): member for member in members}

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(self._members)

    def read(self, name: str) -> bytes:
        member = self._members.get(name)
        if member is None:
            raise ValueError(f"{self.root} has no member {name}")
        if member.file_size > MAX_FILE:
            raise ValueError(f"{self.where(name)} has {member.file_size} bytes; the limit is {MAX_FILE}")
        try:
            with self._zip.open(member) as stream:
                data = stream.read(MAX_FILE + 1)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError) as error:
            raise ValueError(f"{self.where(name)} is damaged: {error}") from error
        if len(data) > MAX_FILE:
            raise ValueError(f"{self.where(name)} unpacks to more than {MAX_FILE} bytes")
        return data


def open_tree(path: Path) -> Tree:
    """`path` as a tree: a folder or a .zip. ValueError if it is neither."""
    if path.is_dir():
        return Folder(path)
    if path.is_file() and path.suffix.lower() == ".zip":
        return Zip(path)
    raise ValueError(f"no folder {path}" if not path.exists() else f"{path} is neither a folder nor a .zip")


def _plain(name: str, root: Path) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{root} holds a member {name!r} that leads out of the archive")
    return path.as_posix()
