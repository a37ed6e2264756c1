"""A training is known by its clips, not by how they are stored: no new manifest has the same clips trained again."""

import dataclasses
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.dataset.commit import publish_child, read_tables
from pipelines.dataset.compact import compact
from pipelines.dataset.manifest import Manifest, load_manifest
from pipelines.dataset.prune import prune
from pipelines.errors import SSTrackError
from pipelines.ingest.publish.tables import reject_rows
from pipelines.ingest.reject import Reject
from pipelines.registry.runs import registry_client
from pipelines.training.launch import train
from pipelines.training.metrics import read_metrics
from pipelines.trainings.find import open_datasets
from pipelines.trainings.record import train_and_record
from sstrack.recipes import recipe
from tests.dataset_factory import make_dataset
from tests.factories import TINY

BRIEF = {**TINY, "objective.template_use_every": 0}


@pytest.fixture
def dataset(work: Path, tmp_path: Path) -> str:
    make_dataset(str(work / "dataset"), tmp_path, shards=4, clips=4)
    return str(work / "dataset")


def train_newest(uri: str, dataset: str) -> dict[str, Any]:
    runs = str(Path(dataset).parent / "runs")
    return train_and_record(uri, [dataset], "tiny_cpu", BRIEF, runs, workers=0, progress=lambda *_: None)


def publish(dataset: str, clips: pa.Table | None = None, rejects: pa.Table | None = None) -> Manifest:
    parent = load_manifest(dataset)
    before = read_tables(dataset, parent)
    after = dataclasses.replace(
        before, clips=before.clips if clips is None else clips, rejects=before.rejects if rejects is None else rejects
    )
    return publish_child(dataset, parent, after, parent.shards, {}, "config", {})


def test_compaction_and_new_rejects_find_the_training_and_another_clip_does_not(dataset: str, mlflow_uri: str) -> None:
    first = train_newest(mlflow_uri, dataset)
    begun = load_manifest(dataset)
    assert not first["found"] and first["manifest"] == begun.digest
    tags = registry_client(mlflow_uri).get_run(first["run_id"]).data.tags
    assert (tags["sstrack.manifest"], tags["sstrack.data"]) == (begun.digest, first["data"])

    assert compact(dataset, shard_mib=2.0)["published"]
    rejected = publish(dataset, rejects=reject_rows([Reject("video", "a.mp4", "probe", "no_video", "", "config")]))
    assert len({begun.digest, rejected.digest, rejected.parent}) == 3
    again = train_newest(mlflow_uri, dataset)
    assert again == {**first, "found": True}  # its manifest too: the one that it was trained on
    tags = registry_client(mlflow_uri).get_run(first["run_id"]).data.tags
    assert tags["sstrack.manifest"] == begun.digest

    publish(dataset, clips=read_tables(dataset, rejected).clips.slice(1))
    other = train_newest(mlflow_uri, dataset)
    assert not other["found"] and other["run_key"] != first["run_key"] and other["run_id"] != first["run_id"]


class Interrupted(Exception):
    """Stands for whatever ends a training."""


def test_a_streamed_training_goes_on_with_the_shards_that_it_began_with(dataset: str, tmp_path: Path) -> None:
    streamed = recipe("tiny_cpu", {**BRIEF, "optim.steps": 8, "checkpoint_every": 2, "data.reading": "streaming"})
    whole = train(open_datasets([dataset]), streamed, str(tmp_path / "whole"))

    def stop(row: dict[str, float]) -> None:
        if row["step"] == 4:
            raise Interrupted

    for name in ("on", "pruned"):
        with pytest.raises(Interrupted):
            train(open_datasets([dataset]), streamed, str(tmp_path / name), progress=stop)
    compact(dataset, shard_mib=2.0)
    done = train(open_datasets([dataset]), streamed, str(tmp_path / "on"))
    assert (done.run_key, done.manifest) == (whole.run_key, whole.manifest)
    assert load_manifest(dataset).digest != whole.manifest
    losses = [[row["loss"] for row in read_metrics(Path(each.package).parent)] for each in (whole, done)]
    assert losses[0] == losses[1]
    prune(dataset, keep=1, hours=0)
    assert train(open_datasets([dataset]), streamed, str(tmp_path / "on")).found
    with pytest.raises(SSTrackError, match=rf"began with manifest {whole.manifest} .* not there any more"):
        train(open_datasets([dataset]), streamed, str(tmp_path / "pruned"))
