"""Videos that lie where the server can read them: under the places it was told to serve, and nowhere else."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pipelines import storage
from pipelines.errors import SSTrackError, UsageError
from pipelines.s3_errors import MissingObject
from pipelines.serving.refusals import Refusal


class ServedRoots:
    """What callers may name: files below local folders, and objects of S3."""

    def __init__(self, roots: Sequence[str]) -> None:
        """`roots`: local folders, and prefixes on s3:// that callers are kept to; with none of the latter, whatever on
        S3 the server's own credentials reach. Raises UsageError for a folder that is not there, or another scheme."""
        self._folders: list[Path] = []
        self._prefixes: list[str] = []
        for root in roots:
            if not storage.is_local(root):
                self._prefixes.append(f"{root.rstrip('/')}/")
                continue
            folder = storage.local_path(root).expanduser().resolve()
            if not folder.is_dir():
                raise UsageError(f"--root {root}: there is no such folder")
            self._folders.append(folder)

    @contextmanager
    def opened(self, uri: str, most_bytes: int) -> Iterator[Path]:
        """The video as a file of this machine, there while the block runs. Blocks its thread while it is fetched.

        Raises Refusal for a place that is not served, nothing there, and more than `most_bytes`.
        """
        if uri.startswith("s3://"):
            with tempfile.TemporaryDirectory(prefix="sstrack-") as scratch:
                yield self._fetched(uri, Path(scratch), most_bytes)
            return
        if "://" in uri and not uri.startswith("file://"):
            raise Refusal(422, "uri", f"{uri}: only s3:// and served local folders are read; upload the video instead")
        yield self._served_file(uri, most_bytes)

    def _served_file(self, uri: str, most_bytes: int) -> Path:
        if not self._folders:
            raise Refusal(403, "uri", f"{uri}: this server reads no local path; it was started without --root")
        path = Path(uri.removeprefix("file://"))
        if not path.is_absolute():
            raise Refusal(422, "uri", f"{uri}: name the path from the root on")
        try:
            found = path.resolve()  # links are followed first, so that none leads out
        except (OSError, RuntimeError, ValueError) as error:
            raise Refusal(422, "uri", f"{uri!r} is no path") from error
        if not any(found.is_relative_to(folder) for folder in self._folders):
            raise Refusal(403, "uri", f"{uri} does not lie under what this server was told to serve")
        if not found.is_file():
            raise Refusal(404, "uri", f"{uri}: there is no such file")
        _require_small(uri, found.stat().st_size, most_bytes)
        return found

    def _fetched(self, uri: str, scratch: Path, most_bytes: int) -> Path:
        if self._prefixes and not any(uri.startswith(prefix) for prefix in self._prefixes):
            raise Refusal(403, "uri", f"{uri} does not lie under what this server was told to serve")
        copy = scratch / ("video" + PurePosixPath(uri).suffix[:16])
        try:
            _require_small(uri, storage.size(uri), most_bytes)
            storage.download(uri, copy)
        except MissingObject as error:
            raise Refusal(404, "uri", f"{uri}: there is no such object") from error
        except Refusal:
            raise
        except SSTrackError as error:
            raise Refusal(502, "uri", str(error)) from error
        return copy


def _require_small(uri: str, size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise Refusal(413, "bytes", f"{uri} has {size} bytes; at most {most_bytes} are taken")
