"""One source from its name to its pack: fetch or read it, say what its bytes are, and cut it unless it is known."""

import hashlib
import os
import shutil
from array import array
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines import storage
from pipelines.crew.schedules import Split
from pipelines.crew.stages import Tell, process_seconds, recorded, stage
from pipelines.ingest import fetch as remote
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.find.sources import Found
from pipelines.ingest.labelled.clips import digest_of_sequence, fill
from pipelines.ingest.labelled.find import Member
from pipelines.ingest.labelled.store import fetch
from pipelines.ingest.pack import SourceRecord, find_or_make, pack_key
from pipelines.ingest.reject import Transient, Unusable
from pipelines.ingest.state.shared_copy import drop, keep, shared_copy
from pipelines.ingest.state.workspace import Workspace
from pipelines.ingest.video.cut import pack_source
from pipelines.ingest.video.decoding import decoders
from pipelines.ingest.video.part import Segment
from pipelines.ingest.video.probe import Probe, probed
from pipelines.ingest.video.segments import join_segments, plan, process_segment
from pipelines.ingest.video.source import Source


@dataclass(frozen=True)
class Setup:
    """What all errands of a run share. `known` are sources that the dataset holds under these settings."""

    config: IngestConfig
    space: Workspace
    known: frozenset[str]
    split: bool = False
    """Several workers may share a long video."""


@dataclass(frozen=True)
class Result:
    """What became of one name: `pack` is the URI of its pack, empty where its bytes are known already or cannot be
    used (`problem` then says why). `cpu` maps stages to CPU seconds."""

    source_id: str
    bytes: int
    pack: str = ""
    problem: tuple[str, str, str] | None = None
    cpu: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SegmentErrand:
    """A part of a long video, or with `segment` None the join of all its `segments`. `video` is what the one probe of
    the source found, in a part without the keyframes, which only the join needs."""

    found: Found
    source_id: str
    video: Probe
    segments: tuple[Segment, ...]
    segment: Segment | None

    @property
    def label(self) -> str:
        """Name of the video."""
        return self.found.label

    @property
    def weight(self) -> float:
        """Its share of the video's bytes."""
        return self.found.weight * self.share

    @property
    def share(self) -> float:
        """What part of the video it is."""
        return 1 / len(self.segments) if self.segment else 0.0


def run_errand(setup: Setup, found: Found | SegmentErrand, tell: Tell) -> Result | Split:
    """Do one source or a part of one; a long video is split where several workers may share it.

    Raises Transient where it cannot be reached now, SSTrackError where the disk or the dataset's store refuses.
    """
    with recorded(tell, cpu_seconds) as stages:
        scratch = setup.space.scratch / f"fetch.{os.getpid()}"
        try:
            if isinstance(found, SegmentErrand):
                return _run_segment(setup, found, scratch, stages.cpu)
            try:
                return _run(setup, found, scratch, stages.cpu)
            except Unusable as problem:
                return Result("", found.bytes, problem=(problem.stage, problem.reason, problem.detail), cpu=stages.cpu)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def cpu_seconds() -> float:
    """CPU seconds of this process, of children that have ended, and of decoders."""
    return process_seconds() + decoders.cpu_seconds()


def _run(setup: Setup, found: Found, scratch: Path, cpu: dict[str, float]) -> Result | Split:
    if found.member is not None:
        return _run_labelled(setup, found, found.member, scratch, cpu)
    if storage.is_local(found.uri):
        path = storage.local_path(found.uri)
        with stage("read", found.bytes):
            source_id, size = _digest(path)
    else:
        path, source_id, size = _fetch(setup, found, scratch)
    if found.sha256 and found.sha256 != source_id:
        raise Unusable("read", "checksum", f"its bytes have sha256 {source_id}, the list promises {found.sha256}")
    if source_id in setup.known:
        return Result(source_id, size, cpu=cpu)
    pack = setup.space.pack(pack_key(source_id, setup.config.digest))
    if storage.exists(pack):
        return Result(source_id, size, pack, cpu=cpu)
    with stage("probe", size, source_id):
        video = probed(path, setup.config.probing)
        if setup.split and isinstance(video, Probe) and len(segments := plan(video, setup.config.segment_seconds)) > 1:
            if not storage.is_local(found.uri):
                keep(path, setup.space.scratch, source_id)
            return _split(found, source_id, video, segments)
        pack = pack_source(Source(source_id, found.label, path, size), video, setup.config, setup.space)
    return Result(source_id, size, pack, cpu=cpu)


def _split(found: Found, source_id: str, video: Probe, segments: tuple[Segment, ...]) -> Split:
    slim = replace(video, keyframes=array("q"))  # hours of video may have as many keyframes as frames
    parts = tuple(SegmentErrand(found, source_id, slim, segments, segment) for segment in segments)
    return Split(parts, SegmentErrand(found, source_id, video, segments, None))


def _run_segment(setup: Setup, errand: SegmentErrand, scratch: Path, cpu: dict[str, float]) -> Result:
    found = errand.found
    local = storage.is_local(found.uri)

    def fetch_again() -> Path:
        """On another machine than the one that split it, or where another run has cleared the folder."""
        try:
            copy, source_id, _ = _fetch(setup, found, scratch)
        except Unusable as problem:
            raise Transient(problem.detail) from problem
        if source_id != errand.source_id:
            raise Transient("it changed while it was ingested")
        return copy

    kept = setup.space.scratch, errand.source_id
    with stage("fetch", found.bytes, errand.source_id):  # or wait until another worker has
        path = _unchanged(found) if local else shared_copy(*kept, fetch_again)
    source = Source(errand.source_id, found.label, path, found.bytes)
    if errand.segment is not None:
        process_segment(source, errand.video, setup.config, setup.space, errand.segment)
        return Result(errand.source_id, found.bytes, cpu=cpu)
    with stage("join", found.bytes, errand.source_id):
        pack = join_segments(source, errand.video, setup.config, setup.space, errand.segments)
    if not local:
        drop(*kept)
    return Result(errand.source_id, found.bytes, pack, cpu=cpu)


def _unchanged(found: Found) -> Path:
    """A local file that was probed before. Raises Transient where it is gone or has another length by now."""
    path = storage.local_path(found.uri)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise Transient(f"it is gone: {error.strerror}") from error
    if size != found.bytes:
        raise Transient("it changed while it was ingested")
    return path


def _fetch(setup: Setup, found: Found, folder: Path) -> tuple[Path, str, int]:
    """A copy of a remote source in `folder`, the hex sha256 of its bytes and their number."""
    limit = int(min(setup.config.scratch_mib, setup.config.max_mib) * 2**20)
    with stage("fetch", found.bytes):
        return remote.fetch(found.uri, found.bytes, folder, limit)


def _run_labelled(setup: Setup, found: Found, member: Member, scratch: Path, cpu: dict[str, float]) -> Result:
    if not storage.is_local(found.uri):
        with stage("fetch", found.bytes):
            member = fetch(member, scratch, int(setup.config.scratch_mib * 2**20))
    with stage("read", found.bytes):
        sequence = member.read()
        source_id = digest_of_sequence(sequence)
    if source_id in setup.known:
        return Result(source_id, found.bytes, cpu=cpu)
    record = SourceRecord(source_id, found.label, found.bytes, setup.config.digest, container=member.layout)
    key = pack_key(source_id, setup.config.digest)
    with stage("decode", len(sequence.frames) / sequence.fps, source_id):
        pack = find_or_make(setup.space, key, lambda file: fill(sequence, record, setup.config, file))
    return Result(source_id, found.bytes, pack, cpu=cpu)


def _digest(path: Path) -> tuple[str, int]:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    except FileNotFoundError as error:
        raise Unusable("read", "missing", "it was there when the run began and is gone") from error
    except PermissionError as error:
        raise Unusable("read", "unreadable", "it may not be read; get the permission") from error
    except OSError as error:
        raise Transient(f"it cannot be read: {error.strerror or error}") from error
