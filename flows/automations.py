"""Automations that every server of ours has: silent runs count as crashed, new data starts a retrain, and whoever is to
be told is told.

Prefect's own server leaves a run whose process was killed Running, and so the slot of its deployment taken.
"""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import CallWebhook, ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from flows.events import CHAMPION_PROMOTED, DATASET_PUBLISHED, HEALTH_ALARM

SILENT_S = 180.0
"""After so many seconds without a heartbeat a run counts as crashed; our deployments have them come every 60."""
CALM_S = 1800.0
"""A retrain starts when this many seconds have passed since the last of several ingests published something."""
RETRAIN = "retrain-tracker/retrain-tracker"

_BEAT = "prefect.flow-run.heartbeat"
_ENDED = tuple(f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Crashed", "Cancelled", "Cancelling"))
_WEBHOOK = "sstrack-notify"
_DATASET = {"__prefect_kind": "jinja", "template": "{{ event.payload.dataset }}"}


def zombies(silent_s: float = SILENT_S) -> AutomationCore:
    """A run that showed a sign of life and then neither another nor an end is marked as crashed."""
    return AutomationCore(
        name="sstrack: runs that fell silent have crashed",
        description=f"No heartbeat for {silent_s:.0f} s: the process is gone, and its slot is given back.",
        trigger=EventTrigger(
            after={_BEAT},
            expect={_BEAT, *_ENDED},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=silent_s),
        ),
        actions=[
            ChangeFlowRunState(
                name=None,
                force=False,
                state=StateType.CRASHED,
                message=f"no sign of life for {silent_s:.0f} s: its process was killed or its machine is gone; run it "
                "again, it goes on from where it was",
            )
        ],
    )


def retrain_on_new_data(deployment: UUID, enabled: bool, calm_s: float = CALM_S) -> AutomationCore:
    """A dataset was published, and for `calm_s` seconds no further state of it: one retrain on it for all of them."""
    return AutomationCore(
        name="sstrack: new data starts a retrain",
        description=f"Once, {calm_s / 60:.0f} minutes after the last of several ingests.",
        enabled=enabled,
        trigger=EventTrigger(
            after={DATASET_PUBLISHED},
            expect={DATASET_PUBLISHED},
            for_each={"prefect.resource.name"},  # without it Prefect fires at the end of every such time
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=calm_s),
        ),
        actions=[
            RunDeployment(
                source="selected", deployment_id=deployment, parameters={"dataset": _DATASET}, job_variables=None
            )
        ],
    )


def notices(webhook: UUID) -> list[AutomationCore]:
    """A JSON object with `text` is posted for each failed retrain, promotion and alarm."""
    failed = EventTrigger(
        expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification(
            {"prefect.resource.role": "flow", "prefect.resource.name": "retrain-tracker"}
        ),
        posture=Posture.Reactive,
    )
    state = "{{ flow_run.state.name }}: {{ flow_run.state.message }}"
    told = (
        ("a retrain failed", failed, "retrain {{ flow_run.name }} " + state),
        ("a promotion", _on(CHAMPION_PROMOTED), "{{ event.payload.model }}: {{ event.payload.outcome }}"),
        ("an alarm", _on(HEALTH_ALARM), "{{ event.payload.alarm }}: {{ event.payload.sentence }}"),
    )  # fmt: skip
    return [
        AutomationCore(
            name=f"sstrack: tell of {what}",
            trigger=trigger,
            actions=[CallWebhook(block_document_id=webhook, payload=_as_json(text))],
        )
        for what, trigger, text in told
    ]


def _on(event: str) -> EventTrigger:
    return EventTrigger(expect={event}, posture=Posture.Reactive)


def _as_json(template: str) -> str:
    return "{% set text %}sstrack: " + template + '{% endset %}{"text": {{ text | tojson }}}'


def set_up_automations(
    api_url: str,
    notify_url: str = "",
    *,
    by_event: bool | None = None,
    silent_s: float = SILENT_S,
    calm_s: float = CALM_S,
) -> list[str]:
    """Make or renew our automations on a server that our deployments are on. A second call changes nothing.

    Args:
        api_url: address of the server's API.
        notify_url: where notices are posted to; empty for nowhere, which takes those of an earlier call away.
        by_event: whether new data starts a retrain; None leaves it as it is, at first off.
        silent_s: seconds without a heartbeat after which a run has crashed, 10 at least.
        calm_s: seconds without a further ingest after which a retrain starts, 10 at least.

    Returns their names. Raises httpx.HTTPError where the server does not answer.
    """
    with temporary_settings({PREFECT_API_URL: api_url}), get_client(sync_client=True) as client:
        there = {one.name: one for one in client.read_automations()}
        retrain = retrain_on_new_data(client.read_deployment_by_name(RETRAIN).id, False, calm_s)
        before = there.get(retrain.name)
        retrain.enabled = by_event if by_event is not None else before is not None and before.enabled
        wanted = [zombies(silent_s), retrain]
        if notify_url:
            wanted += notices(_webhook(notify_url))
        for one in wanted:
            if one.name in there:
                client.update_automation(there[one.name].id, one)
            else:
                client.create_automation(one)
        _drop(client, [one.id for name, one in there.items() if name in _NOTICES and not notify_url])
    return [one.name for one in wanted]


_NOTICES = frozenset(one.name for one in notices(UUID(int=0)))


def _webhook(url: str) -> UUID:
    """The block that holds the address, so that the server's pages do not show it."""
    saved = Webhook(method="POST", url=SecretStr(url)).save(_WEBHOOK, overwrite=True)
    assert isinstance(saved, UUID)
    return saved


def _drop(client: SyncPrefectClient, automations: Iterable[UUID]) -> None:
    for each in automations:
        client.delete_automation(each)
