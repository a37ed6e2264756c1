"""A video file on this machine, known by its bytes."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.ingest.pack import SourceRecord


@dataclass(frozen=True)
class Source:
    """One video file on this machine: its sha256, its readable name, where it lies and its size in bytes."""

    source_id: str
    uri: str
    path: Path
    bytes: int

    def record(self, config_digest: str) -> SourceRecord:
        """What its pack says of it before it is opened."""
        return SourceRecord(self.source_id, self.uri, self.bytes, config_digest)
