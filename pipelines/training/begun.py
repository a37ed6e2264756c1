"""Which manifests a training began with. Others may hold the same clips, spread over shards in other ways; a training
goes on with its own, and has to where the order of samples hangs on shards, as it does in streaming."""

import json
from collections.abc import Sequence
from dataclasses import replace

from pipelines import storage
from pipelines.dataset.dataset import Dataset
from pipelines.errors import SSTrackError

_NAME = "datasets.json"


def as_begun(folder: str, datasets: tuple[Dataset, ...]) -> tuple[Dataset, ...]:
    """The datasets at the manifests that the training in `folder` began with, where it did and they are still there."""
    begun = _begun(folder)
    if begun is None:
        return datasets
    return tuple(
        replace(each, manifest=manifest)
        if storage.exists(storage.join(each.uri, "manifests", f"{manifest}.json"))
        else each
        for each, manifest in zip(datasets, begun, strict=True)
    )


def begin(folder: str, datasets: Sequence[Dataset], *, by_shards: bool) -> None:
    """Write down what a training reads, if its folder does not say so yet.

    Raises SSTrackError where it began with other manifests, and its order of samples hangs on their shards.
    """
    begun = _begun(folder)
    if begun is None:
        rows = [{"uri": each.uri, "manifest": each.manifest, "weight": each.weight} for each in datasets]
        storage.write_atomic(storage.join(folder, _NAME), json.dumps(rows, indent=1).encode())
        return
    for each, manifest in zip(datasets, begun, strict=True):
        if by_shards and each.manifest != manifest:
            raise SSTrackError(
                f"{folder} began with manifest {manifest} of {each.uri}, whose shards it streams, and that is not "
                "there any more; bring it back from a copy, or remove the folder to train from the first step"
            )


def _begun(folder: str) -> list[str] | None:
    found = storage.read_if_exists(storage.join(folder, _NAME))
    return None if found is None else [row["manifest"] for row in json.loads(found)]
