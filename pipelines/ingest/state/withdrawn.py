"""Sources that were withdrawn from a dataset: told by a reject row of their own, and never taken in again."""

import pyarrow as pa

from pipelines.ingest.reject import Reject

STAGE = "withdraw"
"""Stage of the reject row, and its only one, of a withdrawn source."""


def withdrawn(rejects: pa.Table) -> set[str]:
    """Source ids that were withdrawn."""
    columns = (rejects[name].to_pylist() for name in ("source_id", "stage"))
    return {key for key, stage in zip(*columns, strict=True) if stage == STAGE}


def row(source_id: str, uri: str, why: str, config: str) -> Reject:
    """The reject row of a source that is withdrawn as a whole."""
    return Reject(source_id, uri, STAGE, "withdrawn", why[:500], config)
