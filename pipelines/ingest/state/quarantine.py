"""Sources that kill their workers: counted over runs, set aside after some deaths, tried again when asked."""

import json

import pyarrow as pa

from pipelines import storage
from pipelines.ingest.reject import QUARANTINE, Reject

STAGE = "worker"
"""Stage of a quarantine's reject row."""


class Crashes:
    """Deaths by source name, kept beside the dataset until the next manifest, so that a stopped run counts on."""

    def __init__(self, dataset: str) -> None:
        self._uri = storage.join(dataset, "_state", "crashes.json")
        data = storage.read_if_exists(self._uri)
        self.counts: dict[str, int] = json.loads(data) if data else {}

    def one_more(self, name: str) -> int:
        """Count a death of a worker on `name`; returns how many there were."""
        self.counts[name] = self.counts.get(name, 0) + 1
        storage.write_atomic(self._uri, json.dumps(self.counts, sort_keys=True).encode())
        return self.counts[name]

    def forget(self) -> None:
        """After a new manifest, whose rejects say it all, and where quarantined sources are tried again."""
        self.counts = {}
        storage.delete([self._uri])


def quarantined(rejects: pa.Table) -> set[str]:
    """Source ids that are set aside."""
    columns = (rejects[name].to_pylist() for name in ("source_id", "stage", "reason"))
    return {key for key, stage, reason in zip(*columns, strict=True) if stage == STAGE and reason in QUARANTINE}


def row(source_id: str, uri: str, reason: str, detail: str, config: str) -> Reject:
    """The reject row of a source that is set aside."""
    return Reject(source_id, uri, STAGE, reason, detail[:500], config)
