"""Which clips can serve as training samples, and which of their frames one shows. Knows no torch, so that plans are
checked before it loads."""

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from pipelines.dataset.manifest import load_manifest, read_clips
from pipelines.errors import SSTrackError

_COLUMNS = (
    *("clip_id", "shard", "frames", "width", "height", "labelled"),
    *("seed_x", "seed_y", "seed_w", "seed_h", "seed_source"),
)


class UnusableSample(Exception):
    """A clip that cannot serve as this sample; the message is the reason it is counted under."""


def sample_clips(
    dataset: str, manifest: str, held_out: float = 0.0, use: Literal["training", "validation"] = "training"
) -> list[dict[str, Any]]:
    """Rows of the clips table that have a seed box and a later frame, in table order.

    Args:
        held_out: share of the clips, 0..1, that is kept from the training.
        use: for `training` all but those, for `validation` only those.
    """
    table = read_clips(dataset, load_manifest(dataset, manifest)).select(_COLUMNS)
    rows = [row for row in table.to_pylist() if row["seed_source"] and row["frames"] > 1]
    return [row for row in rows if is_held_out(row["clip_id"], held_out) == (use == "validation")]


def is_held_out(clip_id: str, share: float) -> bool:
    """Whether a clip is kept from the training: a matter of its id alone, so it stays so when a dataset grows."""
    return int(hashlib.sha256(f"held out {clip_id}".encode()).hexdigest()[:8], 16) < share * 2**32


def require_groups(dataset: str, manifest: str, group_size: int, groups: int = 1, held_out: float = 0.0) -> None:
    """Raise SSTrackError if fewer clips can serve as samples than the global batch of all groups holds."""
    found = len(sample_clips(dataset, manifest, held_out))
    if found < group_size * groups:
        raise SSTrackError(
            f"{dataset} has {found} clips with a seed box, and the global batch takes {group_size * groups} "
            f"({groups} group(s) of {group_size}); ingest more video, or train with --set "
            f"data.group_size={max(found // groups, 2)}"
        )


def choose_frames(
    visible: Sequence[bool], n_search: int, max_gap: int, rng: np.random.Generator, attempts: int = 20
) -> list[int]:
    """The first visible frame and `n_search` visible later ones, drawn with replacement, in time order.

    Later frames lie within `max_gap` of the first; a window without a visible frame grows by 5 frames an attempt, up
    to `attempts` times, as the published sampler does. Raises UnusableSample with the reason.
    """
    shown = np.flatnonzero(np.asarray(visible, bool))
    if not len(shown):
        raise UnusableSample("target never visible")
    first = int(shown[0])
    for attempt in range(attempts):
        near = shown[(shown > first) & (shown <= first + max_gap + 5 * attempt)]
        if len(near):
            return [first, *sorted(near[rng.integers(0, len(near), n_search)].tolist())]
    raise UnusableSample("no visible frame within the gap")


def require_labels(dataset: str, manifest: str) -> None:
    """Raise SSTrackError if no clip that can serve as a sample has labelled frames."""
    if not any(row["labelled"] for row in sample_clips(dataset, manifest)):
        raise SSTrackError(
            f"{dataset} has no labelled clip, and a supervised training learns from labels alone; import a labelled "
            "set, or train the other clips too with --set objective.unlabelled=decoupled"
        )
