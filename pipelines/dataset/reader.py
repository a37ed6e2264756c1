"""Positioned reads of single frames out of shards: an LRU of open tars, an index each, and checks that both agree.

A clip's first frame and its record are read together with their tar headers, whose names have to be theirs, and its
frames have to follow each other as members of a tar do: an index that points elsewhere is noticed before anything is
decoded, for 512 bytes a sample.
"""

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from re import compile as pattern

import numpy as np

from pipelines import storage
from pipelines.dataset.index import ClipSpan, load_index
from pipelines.dataset.tars import shard_uri
from pipelines.errors import SSTrackError
from sstrack.clips.clip import Clip

_HEADER = 512
_LARGEST_RECORD = 64 << 20
_NAME = pattern(r"[0-9a-f]{64}")


class DamagedFrame(Exception):
    """One frame or record that cannot be read although its shard's index is in order."""


@dataclass
class _Open:
    descriptor: int
    size: int
    spans: Mapping[str, ClipSpan]
    sound: set[str] = field(default_factory=set)
    """Clips whose span was looked at."""

    def __del__(self) -> None:
        # Closed when the last reader lets go, so that no thread reads from a number that means another file by then.
        os.close(self.descriptor)


@dataclass(frozen=True)
class OpenClip:
    """One clip in an open shard. Bytes that are not where the index says raise DamagedFrame."""

    dataset: str
    clip_id: str
    span: ClipSpan
    tar: _Open
    count: Callable[[int], None]

    def frame(self, number: int) -> bytes:
        """The JPEG of one frame."""
        offset, size = int(self.span.offsets[number]), int(self.span.sizes[number])
        if number:
            return self._bytes(offset, size, f"frame {number} of clip {self.clip_id}")
        return self._member(offset, size, f"{self.clip_id}.0000.jpg")

    def record(self) -> Clip:
        """The clip's own record, which lies behind its last frame."""
        end = int(self.span.offsets[-1]) + int(self.span.sizes[-1])
        start = end + -end % _HEADER + _HEADER
        header = os.pread(self.tar.descriptor, _HEADER, start - _HEADER)
        try:
            size = int(header[124:135] or b"-1", 8)
            if not 0 < size <= _LARGEST_RECORD:
                raise ValueError(f"{size} bytes")
            return Clip.from_dict(json.loads(self._member(start, size, f"{self.clip_id}.json")))
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedFrame(f"{self.dataset}: the record of clip {self.clip_id} is damaged ({error})") from error

    def _member(self, offset: int, size: int, name: str) -> bytes:
        data = self._bytes(offset - _HEADER, size + _HEADER, name)
        if data[:100].rstrip(b"\0") != name.encode():
            raise DamagedFrame(f"{self.dataset}: {name} does not lie where its shard's index says")
        return data[_HEADER:]

    def _bytes(self, offset: int, size: int, what: str) -> bytes:
        data = os.pread(self.tar.descriptor, size, offset) if offset >= 0 else b""
        self.count(len(data))
        if len(data) != size:
            raise DamagedFrame(f"{self.dataset}: {what} does not lie where its shard's index says")
        return data


class ShardReader:
    """Clips of one dataset's shards, for many threads at once."""

    def __init__(
        self, dataset: str, sizes: Mapping[str, int], fetch: Callable[[str], int] | None = None, most_open: int = 64
    ) -> None:
        """`sizes`: bytes of each shard, from the manifest. `fetch` opens a local copy of a shard, which may lose its
        name at any time."""
        self.dataset, self._sizes, self._most_open = dataset, sizes, most_open
        self._copies = fetch is not None
        self._fetch = fetch or self._open_local
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}
        self.bytes_read = 0
        """Bytes read from tars so far."""

    def clip(self, shard: str, clip_id: str, frames: int) -> OpenClip:
        """A clip of `frames` frames by the clips table.

        Raises SSTrackError where the index does not hold the clip, the tar is not of the manifest's size, or either
        cannot be read.
        """
        tar = self._shard(shard)
        span = tar.spans.get(clip_id)
        if span is None or len(span.sizes) != frames or not (clip_id in tar.sound or _follow_each_other(span)):
            raise SSTrackError(
                f"{self.dataset}: the index of shard {shard[:12]} does not hold the {frames} frames of clip {clip_id}; "
                "write the index anew with `sstrack dataset rebuild-index`, or restore it from a copy."
            )
        tar.sound.add(clip_id)
        return OpenClip(self.dataset, clip_id, span, tar, self._count)

    def _count(self, size: int) -> None:
        with self._lock:
            self.bytes_read += size

    def _shard(self, shard: str) -> _Open:
        with self._lock:
            if shard in self._open:
                self._open.move_to_end(shard)
                return self._open[shard]
            opening = self._opening.setdefault(shard, threading.Lock())
        with opening:
            with self._lock:
                if shard in self._open:
                    return self._open[shard]
            opened = self._open_shard(shard)
            with self._lock:
                self._open[shard] = opened
                self._opening.pop(shard, None)
                while len(self._open) > self._most_open:
                    self._open.popitem(last=False)
                if self._copies:
                    self._drop_nameless()
            return opened

    def _drop_nameless(self) -> None:
        """Let go of copies that the cache has removed: while they are open, the disk still holds them."""
        for shard in [name for name, tar in self._open.items() if os.fstat(tar.descriptor).st_nlink == 0]:
            del self._open[shard]

    def _open_shard(self, shard: str) -> _Open:
        if shard not in self._sizes or not _NAME.fullmatch(shard):
            raise SSTrackError(
                f"{self.dataset}: the clips table names shard {shard[:80]!r}, which the manifest does not; "
                "the dataset is damaged, restore its tables from a copy."
            )
        spans = load_index(self.dataset, shard)
        descriptor = self._fetch(shard)
        opened = _Open(descriptor, os.fstat(descriptor).st_size, spans)
        last = max(
            (int(span.offsets[-1]) + int(span.sizes[-1]) for span in spans.values() if len(span.sizes)), default=0
        )
        if opened.size != self._sizes[shard] or last > opened.size:
            raise SSTrackError(
                f"{shard_uri(self.dataset, shard)} has {opened.size} bytes, where the manifest says "
                f"{self._sizes[shard]} and its index reaches to {last}; restore the shard from a "
                "copy, `sstrack dataset verify` says what else is wrong."
            )
        return opened

    def _open_local(self, shard: str) -> int:
        path = storage.local_path(shard_uri(self.dataset, shard))
        with storage.explained(path, "read"):
            return os.open(path, os.O_RDONLY)


def _follow_each_other(span: ClipSpan) -> bool:
    """Whether the frames lie as members of a tar do: padded to blocks, a header of one block before each."""
    padded = -(-span.sizes.astype(np.int64) // _HEADER) * _HEADER
    return bool((span.sizes > 0).all() and (np.diff(span.offsets) == padded[:-1] + _HEADER).all())
