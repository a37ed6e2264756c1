"""What a person sees in MLflow: descriptions of model, version and run, and the files behind a decision."""

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from pipelines.registry.card import CardFacts, card, run_note
from pipelines.registry.curve import draw_loss
from pipelines.registry.model_scores import Scored

NOTE = "mlflow.note.content"
LOSS_PICTURE = "loss.png"
_MODEL = (
    "A visual object tracker that learns from unlabeled video. Alias `champion`: the version in use; `previous`: where "
    "a rollback leads. Aliases follow the journal of decisions (`sstrack models history`); change them with `sstrack "
    'models promote` and `rollback`. Load: `mlflow.pyfunc.load_model("models:/{0}@champion")`.'
)


def describe_model(client: MlflowClient, name: str) -> None:
    """Say on the registered model's page what it is, unless somebody wrote something there."""
    if not client.get_registered_model(name).description:
        client.update_registered_model(name, _MODEL.format(name))


def describe_version(client: MlflowClient, facts: CardFacts, decision: dict[str, Any]) -> None:
    """The card on the version's page and, with pictures, results and decision, among the files of the run."""
    loss = draw_loss(client, facts.run_id)
    if loss is not None:
        with tempfile.TemporaryDirectory() as scratch:
            picture = Path(scratch) / LOSS_PICTURE
            picture.write_bytes(loss)
            client.log_artifact(facts.run_id, str(picture))
    pictures = (*facts.kept.pictures, *([LOSS_PICTURE] if loss is not None else []))
    client.update_model_version(facts.name, facts.version, card(facts, pictures, in_mlflow=True))
    client.set_tag(facts.run_id, NOTE, run_note(facts))
    client.log_text(facts.run_id, card(facts, pictures), "card.md")
    client.log_text(facts.run_id, json.dumps(decision, indent=1), f"decisions/version_{facts.version}.json")
    for each in facts.scored:
        client.log_text(facts.run_id, _table(each), f"evaluation/{each.place.replace('/', '.')}.csv")


def _table(scored: Scored) -> str:
    """CSV, worst sequence first."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["sequence", next(iter(scored.metrics))])
    rows.writerows(
        (name, f"{value:.3f}") for name, value in sorted(scored.per_sequence.items(), key=lambda row: row[1])
    )
    return out.getvalue()
