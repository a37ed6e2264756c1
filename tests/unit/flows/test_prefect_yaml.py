"""Prefect ignores unknown keys in prefect.yaml, so this file is checked here."""

import importlib
import inspect
from typing import Any

import prefect
import pytest
import yaml

from flows.automations import SILENT_S
from tests.conftest import REPO

CONFIG: dict[str, Any] = yaml.safe_load((REPO / "prefect.yaml").read_text())
DEPLOYMENTS: list[dict[str, Any]] = CONFIG["deployments"]
NAMES = [deployment["name"] for deployment in DEPLOYMENTS]

ALLOWED = {
    *("name", "entrypoint", "description", "tags", "parameters", "work_pool", "pull", "schedules"),
    "concurrency_limit",
}


def test_all_flows_are_deployed():
    trackers = {f"{what}-tracker" for what in ("train", "evaluate", "retrain", "promote", "rollback")}
    assert set(NAMES) == {"ingest-videos", "health", "prune", *trackers}
    assert set(CONFIG) == {"name", "prefect-version", "pull", "definitions", "deployments"}
    assert CONFIG["prefect-version"] == prefect.__version__


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=NAMES)
def test_a_deployment_has_known_keys_and_a_flow_of_its_name(deployment: dict[str, Any]):
    assert set(deployment) <= ALLOWED
    assert deployment["pull"] == []
    heavy = deployment["name"] in ("train-tracker", "retrain-tracker", "evaluate-tracker")
    pool = deployment["work_pool"]
    assert set(pool) == {"name", "work_queue_name", "job_variables"}
    assert (pool["name"], pool["work_queue_name"]) == ("local", "gpu" if heavy else "cpu")
    every = pool["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]
    assert 2 * int(every) < SILENT_S, "a healthy run would be taken for dead"
    module, _, attribute = deployment["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), attribute)
    assert flow.name == deployment["name"]
    assert flow.should_validate_parameters
    assert set(deployment["parameters"]) <= set(inspect.signature(flow.fn).parameters)
    given = inspect.signature(flow.fn).parameters
    assert all(
        p.default in (None, False, True, "tiny_cpu", "folder", 168.0)
        for p in given.values()
        if p.name not in BY_A_PERSON
    )


BY_A_PERSON = ("version", "reason")
"""Parameters without which a run cannot do its work, so that only a person or another flow starts it."""


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=NAMES)
def test_schedules_have_slugs_and_limits_a_strategy(deployment: dict[str, Any]):
    for schedule in deployment.get("schedules", []):
        assert set(schedule) <= {"slug", "cron", "timezone", "parameters", "active"}
        assert schedule["slug"]
        assert schedule["active"] is False  # until somebody switches it on
    limit = deployment["concurrency_limit"]
    assert set(limit) == {"limit", "collision_strategy"}
    assert limit["collision_strategy"] in ("ENQUEUE", "CANCEL_NEW")


def test_what_comes_by_the_clock_is_dropped_and_what_somebody_asked_for_waits():
    dropped = {d["name"] for d in DEPLOYMENTS if d["concurrency_limit"]["collision_strategy"] == "CANCEL_NEW"}
    assert dropped == {"ingest-videos", "health", "prune"}
