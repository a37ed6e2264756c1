"""Lists of sources: `@names.txt` with one name a line, or a .csv or .parquet with a `uri` column and optional ones.

A row that cannot be used is named by its line and stops nothing."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import storage
from pipelines.errors import UsageError
from pipelines.settings import absolute

COLUMNS = ("uri", "sha256", "etag", "bytes")
"""What is read of a table; other columns are left alone."""
_MOST_BYTES = 1 << 30
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class BadRow:
    """A row of a list that gives no video, with a `reason` for the rejects table."""

    place: str
    """The list and the line, `videos.csv line 7`."""
    uri: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Row:
    """One row: an absolute path or URI, with the digest, ETag and size that the list promises, where it does."""

    place: str
    uri: str
    sha256: str = ""
    etag: str = ""
    bytes: int = 0

    def bad(self, reason: str, detail: str) -> BadRow:
        return BadRow(self.place, self.uri, reason, detail)


def is_list(source: str) -> bool:
    """Whether a source names a list of sources."""
    return source.startswith("@") or source.lower().endswith((".csv", ".parquet"))


def absolute_source(source: str) -> str:
    """A source as a command line gives it, a list's sign kept, with an absolute path."""
    return f"@{absolute(source[1:])}" if source.startswith("@") else absolute(source)


def read_list(source: str) -> tuple[list[Row], list[BadRow]]:
    """Usable rows and bad ones, in order. Relative names are relative to the list's folder.

    Raises UsageError for a list that cannot be read as one, SSTrackError where it cannot be read at all.
    """
    uri = source.removeprefix("@")
    if storage.is_local(uri):
        uri = str(storage.local_path(uri).expanduser().absolute())
    data = storage.read_bytes(uri)
    if len(data) > _MOST_BYTES:
        raise UsageError(f"the list {uri} has {len(data)} bytes, the limit is {_MOST_BYTES}; split it.")
    name = uri.lower()
    values = _parquet(uri, data) if name.endswith(".parquet") else _text(uri, data, table=name.endswith(".csv"))
    rows: list[Row] = []
    bad: list[BadRow] = []
    for number, fields in values:
        row = _row(f"{uri} line {number}", uri.rpartition("/")[0], fields)
        if isinstance(row, BadRow):
            bad.append(row)
        else:
            rows.append(row)
    return rows, bad


def _row(place: str, folder: str, fields: dict[str, str]) -> Row | BadRow:
    uri = fields.get("uri", "").strip()
    if not uri or "\0" in uri:
        return BadRow(place, uri.replace("\0", "\\0"), "bad_row", "no uri")
    if "://" in uri and not uri.startswith(("s3://", "file://")):
        return BadRow(place, uri, "bad_row", "only paths and s3:// URIs can be read")
    if "://" not in uri and not Path(uri).is_absolute():
        uri = storage.join(folder, uri)
    sha256 = fields.get("sha256", "").strip().lower()
    if sha256 and not _SHA256.fullmatch(sha256):
        return BadRow(place, uri, "bad_row", f"sha256 is {sha256[:80]!r}, not 64 hexadecimal digits")
    size = fields.get("bytes", "").strip() or "0"
    if not size.isascii() or not size.isdecimal():
        return BadRow(place, uri, "bad_row", f"bytes is {size[:80]!r}, not a number")
    return Row(place, uri, sha256, fields.get("etag", "").strip(), int(size))


def _text(uri: str, data: bytes, table: bool) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"the list {uri} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error
    if not table:
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                yield number, {"uri": line}
        return
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    header = [name.strip().lower() for name in next(reader, [])]
    _require_uri(uri, header)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise UsageError(f"the list {uri} is no CSV from line {reader.line_num} on: {error}.") from error


def _parquet(uri: str, data: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        file = pq.ParquetFile(io.BytesIO(data), pre_buffer=False)
        _require_uri(uri, file.schema_arrow.names)
        columns = [name for name in COLUMNS if name in file.schema_arrow.names]
        table = file.read(columns, use_threads=False)
    except pa.ArrowException as error:
        raise UsageError(f"the list {uri} is no parquet file that can be read: {error}.") from error
    for number, row in enumerate(table.to_pylist(), start=1):
        yield number, {name: "" if value is None else str(value) for name, value in row.items()}


def _require_uri(uri: str, names: list[str]) -> None:
    if "uri" not in names:
        raise UsageError(f"the list {uri} has no column `uri`, it has {', '.join(names) or 'none'}; name one so.")
