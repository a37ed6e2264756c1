"""Names and payloads of the events that flows emit; automations and triggers rely on them."""

from prefect.events import emit_event

DATASET_PUBLISHED = "sstrack.dataset.published"


def dataset_published(dataset: str, manifest: str, clips: int) -> None:
    """A new manifest is the dataset's newest one. Payload values are strings: triggers hand them on as strings."""
    emit_event(
        DATASET_PUBLISHED,
        resource={"prefect.resource.id": f"sstrack.dataset.{manifest}", "prefect.resource.name": dataset},
        payload={"dataset": dataset, "manifest": manifest, "clips": str(clips)},
    )
