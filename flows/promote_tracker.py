"""Flows `promote-tracker` and `rollback-tracker`: a person changes the champion. Refused ones fail."""

from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from flows import artifacts, events
from flows.actor import this_actor
from flows.logs import show_our_logs
from pipelines.settings import settings

Version = Annotated[str, Field(pattern=r"^\d+$", description="Its number.")]
Reason = Annotated[str, Field(min_length=1, max_length=2000, description="Why; it is kept with the decision.")]
Expected = Annotated[
    str, Field(pattern=r"^\d+$", description="The champion that this is decided against; default the present one.")
]


@flow(name="promote-tracker", validate_parameters=True)
def promote_tracker(
    version: Version, reason: Reason, expected: Expected | None = None, override: bool = False
) -> dict[str, Any]:
    """Make `version` of `SSTRACK_MODEL_NAME` the champion.

    Args:
        version: what to promote.
        reason: why, in a sentence that the journal keeps.
        expected: the champion it replaces.
        override: also a version that no gate let pass.
    """
    from pipelines.registry.addresses import version_page
    from pipelines.registry.promotion import promote, state_of

    show_our_logs()
    here, actor = settings(), this_actor()
    now = state_of(here.mlflow_uri, here.model_name)
    done = promote(
        here.mlflow_uri,
        here.model_name,
        version,
        expected=expected or now.champion,
        actor=actor,
        reason=reason,
        override=override,
    ).as_dict()
    page = version_page(here.mlflow_uri, here.model_name, done["champion"])
    artifacts.champion_move(here.model_name, done, actor, reason, page)
    if done["moved"]:
        events.champion_promoted(here.model_name, done["champion"], done["outcome"])
    return done


@flow(name="rollback-tracker", validate_parameters=True)
def rollback_tracker(reason: Reason, to: Version | None = None, expected: Expected | None = None) -> dict[str, Any]:
    """Bring a former champion of `SSTRACK_MODEL_NAME` back.

    Args:
        reason: why, in a sentence that the journal keeps.
        to: a version that was champion before, default the previous one.
        expected: the champion to roll back from.
    """
    from pipelines.registry.addresses import version_page
    from pipelines.registry.promotion import rollback, state_of

    show_our_logs()
    here, actor = settings(), this_actor()
    now = state_of(here.mlflow_uri, here.model_name)
    done = rollback(
        here.mlflow_uri, here.model_name, to, expected=expected or now.champion, actor=actor, reason=reason
    ).as_dict()
    page = version_page(here.mlflow_uri, here.model_name, done["champion"])
    artifacts.champion_move(here.model_name, done, actor, reason, page)
    if done["moved"]:
        events.champion_promoted(here.model_name, done["champion"], done["outcome"])
    return done
