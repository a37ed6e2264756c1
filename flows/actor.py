"""Who decides, where a flow run does."""

from prefect.runtime import flow_run

from pipelines.registry.actor import current_actor


def this_actor() -> str:
    """`user@host`, and the flow run that acts for them."""
    return f"{current_actor()} by flow {flow_run.flow_name} {flow_run.id}" if flow_run.id else current_actor()
