"""Which manifests a training began with. Several may hold the same clips, spread over shards in other ways; where the
order of samples hangs on shards, as in streaming, a training that goes on has to read the ones that it began with."""

import json
from collections.abc import Sequence
from dataclasses import replace

from pipelines import storage
from pipelines.dataset.dataset import Dataset
from pipelines.errors import SSTrackError

_NAME = "datasets.json"


def note_begun(folder: str, datasets: Sequence[Dataset]) -> None:
    """Write down what a training reads, if its folder does not say so yet."""
    uri = storage.join(folder, _NAME)
    if not storage.exists(uri):
        rows = [{"uri": each.uri, "manifest": each.manifest, "weight": each.weight} for each in datasets]
        storage.write_atomic(uri, json.dumps(rows, indent=1).encode())


def as_begun(folder: str, datasets: tuple[Dataset, ...]) -> tuple[Dataset, ...]:
    """The datasets at the manifests that the training in `folder` began with, as they are where it did not begin.

    Raises SSTrackError where one of those manifests is not there any more.
    """
    found = storage.read_if_exists(storage.join(folder, _NAME))
    if found is None:
        return datasets
    begun = tuple(
        replace(each, manifest=row["manifest"]) for each, row in zip(datasets, json.loads(found), strict=True)
    )
    for each in begun:
        if not storage.exists(storage.join(each.uri, "manifests", f"{each.manifest}.json")):
            raise SSTrackError(
                f"{folder} began with manifest {each.manifest} of {each.uri}, whose shards it streams, and that is not "
                "there any more; bring it back from a copy, or remove the folder to train from the first step"
            )
    return begun
