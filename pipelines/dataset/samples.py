"""Which clips of a dataset can serve as training samples. Knows no torch, so that plans are checked before it loads."""

from typing import Any

from pipelines.dataset.manifest import load_manifest, read_clips
from pipelines.errors import SSTrackError


def sample_clips(dataset: str, manifest: str) -> list[dict[str, Any]]:
    """Rows of the clips table that have a seed box and a later frame, in table order."""
    rows = read_clips(dataset, load_manifest(dataset, manifest)).to_pylist()
    return [row for row in rows if row["seed_source"] and row["frames"] > 1]


def require_groups(dataset: str, manifest: str, group_size: int) -> None:
    """Raise SSTrackError if fewer clips can serve as samples than one group holds."""
    found = len(sample_clips(dataset, manifest))
    if found < group_size:
        raise SSTrackError(
            f"{dataset} has {found} clips with a seed box, and a group takes {group_size}; ingest more video, or train "
            f"with --set data.group_size={max(found, 2)}"
        )


def require_labels(dataset: str, manifest: str) -> None:
    """Raise SSTrackError if no clip that can serve as a sample has labelled frames."""
    if not any(row["labelled"] for row in sample_clips(dataset, manifest)):
        raise SSTrackError(
            f"{dataset} has no labelled clip, and a supervised training learns from labels alone; import a labelled "
            "set, or train the other clips too with --set objective.unlabelled=decoupled"
        )
