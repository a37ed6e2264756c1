"""Scores bound to model × dataset × rule, as MLflow's comparison of models reads them."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag
from mlflow.entities.model_registry import ModelVersion

MODEL_ID = "sstrack.model_id"
"""Tag of a version: the LoggedModel that it was made of; MLflow itself does not always keep it."""


@dataclass(frozen=True)
class Scored:
    """One tracker's numbers on one benchmark under one rule."""

    benchmark: str
    """`<name>@<version>`."""
    rule: str
    metrics: Mapping[str, float]
    """The one that ranks first."""
    per_sequence: Mapping[str, float]
    """That one by sequence."""
    annotation: str
    """Of what it was scored against, see `evaluation.content.annotation`."""

    @property
    def place(self) -> str:
        """`<benchmark>/<rule>`; MLflow's names know no @."""
        return f"{self.benchmark}/{self.rule}".replace("@", "-")

    @property
    def digest(self) -> str:
        """Of what was measured on, see `measured_on`."""
        return measured_on(self.benchmark, self.annotation)

    @property
    def headline(self) -> str:
        """`AO 61.20 on folder@1, rule got10k-like, 12 sequences`."""
        name, value = next(iter(self.metrics.items()))
        return f"{name} {value:.2f} on {self.benchmark}, rule {self.rule}, {len(self.per_sequence)} sequences"


def measured_on(benchmark: str, annotation: str) -> str:
    """MLflow's digest of the dataset that a benchmark (`<name>@<version>`) with this annotation is. 32 hex digits."""
    return hashlib.sha256(json.dumps([benchmark, annotation]).encode()).hexdigest()[:32]


def log_scores(client: MlflowClient, run_id: str, model_id: str, scored: Scored) -> None:
    """Bind the numbers to the LoggedModel and its run; those that are there already are not written twice."""
    inputs = client.get_run(run_id).inputs
    known = {given.dataset.digest for given in inputs.dataset_inputs} if inputs else set()
    if scored.digest not in known:
        profile = json.dumps({"num_rows": len(scored.per_sequence)})
        source = json.dumps({"benchmark": scored.benchmark})
        entity = DatasetEntity(scored.benchmark, scored.digest, "local", source, profile=profile)
        client.log_inputs(run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", "evaluation")])])
    there = {
        (metric.key, metric.value)
        for metric in client.get_logged_model(model_id).metrics or []
        if metric.dataset_digest == scored.digest
    }
    for name, value in scored.metrics.items():
        key = f"{scored.place}/{name}"
        if (key, float(value)) not in there:
            client.log_metric(
                run_id,
                key,
                float(value),
                dataset_name=scored.benchmark,
                dataset_digest=scored.digest,
                model_id=model_id,
            )


def model_id_of(version: ModelVersion) -> str | None:
    """The LoggedModel behind a version; None where it was not made by us."""
    if version.tags.get(MODEL_ID):
        return version.tags[MODEL_ID]
    found = re.search(r"/models/(m-[0-9a-f]+)(/|$)", str(version.source or ""))
    return found.group(1) if found else None
