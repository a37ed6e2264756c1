"""What a dataset holds before an ingest adds to it: its newest manifest, its tables, the sources that are done."""

from dataclasses import dataclass

import pyarrow as pa

from pipelines.dataset.commit import Tables
from pipelines.dataset.manifest import Manifest, head, load_manifest
from pipelines.ingest.publish.publish import tables_of
from pipelines.ingest.state.quarantine import quarantined
from pipelines.ingest.state.withdrawn import withdrawn


@dataclass(frozen=True)
class Held:
    """`parent` is what HEAD names, None before the first manifest; `done` are ids of sources that were cut or rejected
    under the settings that are asked for."""

    parent: Manifest | None
    tables: Tables
    done: frozenset[str]

    @property
    def source_ids(self) -> list[str]:
        """All sources, under whatever settings."""
        return self.tables.sources["source_id"].to_pylist()

    def rejects_less(self, named: set[str]) -> pa.Table:
        """The reject rows less those of names without a source that a run judges anew: those in `named`."""
        columns = (self.tables.rejects[name].to_pylist() for name in ("source_id", "source_uri"))
        keep = [bool(key) or uri not in named for key, uri in zip(*columns, strict=True)]
        return self.tables.rejects.filter(pa.array(keep, pa.bool_()))


def held_in(dataset: str, config_digest: str, *, retry_quarantined: bool) -> Held:
    """Read what `dataset` holds now; sources that were set aside are not done where they are to be tried again, and
    withdrawn ones always are."""
    parent = load_manifest(dataset) if head(dataset) else None
    tables = tables_of(dataset, parent)
    columns = (tables.sources[name].to_pylist() for name in ("source_id", "config"))
    done = {key for key, digest in zip(*columns, strict=True) if digest == config_digest}
    if retry_quarantined:
        done -= quarantined(tables.rejects)
    done |= withdrawn(tables.rejects)  # under whatever settings
    return Held(parent, tables, frozenset(done))
