"""Who decides or asks, where a flow run does."""

from prefect.runtime import flow_run

from pipelines.registry.actor import current_actor


def this_actor() -> str:
    """`user@host`, and the flow run that acts for them."""
    return f"{current_actor()} by flow {flow_run.flow_name} {flow_run.id}" if flow_run.id else current_actor()


def run_tags() -> dict[str, str]:
    """The flow run that asks, as tags for MLflow: its id, and its page where there is a UI."""
    found = {"prefect.flow_run_id": flow_run.id, "prefect.flow_run_url": flow_run.ui_url}
    # Without a server that has a UI, Prefect builds a URL of "None" all the same.
    return {name: str(value) for name, value in found.items() if value and not str(value).startswith("None")}
