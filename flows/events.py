"""Names and payloads of the events that flows emit; automations and triggers rely on them."""

from prefect.events import emit_event

DATASET_PUBLISHED = "sstrack.dataset.published"
CHAMPION_PROMOTED = "sstrack.champion.promoted"
HEALTH_ALARM = "sstrack.health.alarm"


def dataset_published(dataset: str, manifest: str, clips: int) -> None:
    """A new manifest is the dataset's newest one. Payload values are strings: triggers hand them on as strings."""
    emit_event(
        DATASET_PUBLISHED,
        resource={"prefect.resource.id": f"sstrack.dataset.{manifest}", "prefect.resource.name": dataset},
        payload={"dataset": dataset, "manifest": manifest, "clips": str(clips)},
    )


def champion_promoted(name: str, version: str, outcome: str) -> None:
    """The alias has moved, by the gate, a person or a rollback."""
    emit_event(
        CHAMPION_PROMOTED,
        resource={"prefect.resource.id": f"sstrack.model.{name}.{version}", "prefect.resource.name": name},
        payload={"model": name, "version": version, "outcome": outcome},
    )


def health_alarm(alarm: str, sentence: str) -> None:
    """Something that a person should look at."""
    emit_event(
        HEALTH_ALARM,
        resource={"prefect.resource.id": f"sstrack.health.{alarm}", "prefect.resource.name": alarm},
        payload={"alarm": alarm, "sentence": sentence},
    )
