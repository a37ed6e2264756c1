"""What the forms of the Prefect UI show: every field of every flow's form has help, and names are choices."""

from collections.abc import Iterator
from typing import Any

import pytest
from prefect import Flow
from prefect.utilities.callables import parameter_schema

from flows.evaluate_tracker import evaluate_tracker
from flows.health import health
from flows.ingest_videos import ingest_videos
from flows.promote_tracker import promote_tracker, rollback_tracker
from flows.prune import prune
from flows.retrain_tracker import retrain_tracker
from flows.train_tracker import train_tracker
from sstrack.recipes import recipe_names

FLOWS = (
    ingest_videos,
    train_tracker,
    evaluate_tracker,
    retrain_tracker,
    promote_tracker,
    rollback_tracker,
    health,
    prune,
)


def fields(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of the form, those of configurations inside it too."""
    for holder in (schema, *schema.get("definitions", {}).values()):
        for name, field in holder.get("properties", {}).items():
            yield name, field
            for each in field.get("anyOf", ()):
                yield from fields(each)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_every_field_has_help(flow: Flow[..., Any]):
    schema = parameter_schema(flow.fn).model_dump()
    bare = [name for name, field in fields(schema) if len(field.get("description") or "") < 12]
    assert not bare


def test_recipes_and_benchmarks_are_choices():
    schema = parameter_schema(retrain_tracker.fn).model_dump()["properties"]
    assert schema["recipe"]["enum"] == recipe_names()
    assert {"folder", "otb100", "lasot"} <= set(schema["benchmark"]["enum"])


def test_numbers_of_ingest_have_bounds():
    schema = parameter_schema(ingest_videos.fn).model_dump()["definitions"]["IngestConfig"]["properties"]
    numbers = {name for name, field in schema.items() if field.get("type") in ("number", "integer")}
    bounds = {"minimum", "exclusiveMinimum"}
    assert len(numbers) > 20
    assert not [name for name in numbers if not bounds & set(schema[name])]
