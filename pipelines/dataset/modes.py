"""Which way of reading a training takes, and which one to recommend for a dataset."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.dataset.dataset import Dataset
from pipelines.dataset.manifest import Manifest
from pipelines.errors import SSTrackError
from pipelines.settings import settings
from sstrack.configs.data import DataConfig

if TYPE_CHECKING:  # it imports torch, which commands that only ask for `recommended_mode` do without
    from pipelines.dataset.batches import Loader


def open_loader(datasets: Sequence[Dataset], config: DataConfig, seed: int) -> "Loader":
    """The loader that `config.reading` names. Raises as it does, and SSTrackError for a mixture to be streamed."""
    if config.reading == "random":
        from pipelines.dataset.loader import ClipLoader

        return ClipLoader(datasets, config, seed)
    if len(datasets) != 1:
        raise SSTrackError(
            f"{len(datasets)} datasets cannot be streamed together; train with --set data.reading=random"
        )
    from pipelines.dataset.streaming import StreamLoader

    return StreamLoader(datasets[0], config, seed)


def recommended_mode(manifest: Manifest, ranks: int, workers: int, remote: bool = False) -> tuple[str, str]:
    """`random` or `streaming` for `data.reading`, and the reason in one sentence.

    `ranks` training processes with `workers` decode threads each; `remote`: whether the dataset lies on S3. Random
    access wins wherever shards stay on disk: it reads only the frames it shows.
    """
    room = settings().cache_bytes
    amount = manifest.totals.bytes
    size = f"{amount / 2**30:.1f} GiB" if amount >= 2**30 else f"{amount / 2**20:.1f} MiB"
    if not remote:
        return "random", f"its {size} lie on a local disk, where only the frames of a sample are read."
    if manifest.totals.bytes <= room:
        return "random", f"its {size} fit into the cache of {room / 2**30:.1f} GiB, so each shard is fetched once."
    shards = len(manifest.shards)
    if shards < 4 * ranks:
        return "random", f"its {shards} shards are fewer than 4 for each of {ranks} rank(s), too few to stream apart."
    return (
        "streaming",
        f"its {size} exceed the cache of {room / 2**30:.1f} GiB, so random access would fetch each shard again every "
        f"epoch for {ranks * workers} decoding thread(s).",
    )
