"""`sstrack bootstrap` on a Prefect server of somebody else's."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from typer.testing import CliRunner

from cli.main import app
from flows.schedules import read_schedules
from tests.conftest import REPO

TEMPLATE = REPO / "infra/kubernetes/pool.json"


@pytest.fixture
def client(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncPrefectClient]:
    monkeypatch.setenv("PREFECT_API_URL", PREFECT_API_URL.value())
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def no_pool(client: SyncPrefectClient) -> None:
    with suppress(ObjectNotFound):
        client.delete_work_pool("local")


@pytest.mark.usefixtures("no_pool")
def test_flow_runs_can_be_pods_and_another_call_changes_nothing(client: SyncPrefectClient) -> None:
    with_template = ["bootstrap", "--pool-template", str(TEMPLATE)]
    told = [CliRunner().invoke(app, words) for words in (with_template, with_template, ["bootstrap"])]
    assert [one.exit_code for one in told] == [0, 0, 0], told[0].output
    assert told[0].output == told[1].output == told[2].output
    pool = client.read_work_pool("local")
    assert (pool.type, pool.base_job_template) == ("kubernetes", json.loads(TEMPLATE.read_text()))
    queues = {one.name: one.work_queue_name for one in client.read_deployments()}
    assert {name for name, queue in queues.items() if queue == "gpu"} == {
        "train-tracker",
        "retrain-tracker",
        "evaluate-tracker",
    }
    assert queues["ingest-videos"] == "cpu"


def test_a_template_that_is_not_there_is_one_sentence(client: SyncPrefectClient) -> None:
    told = CliRunner().invoke(app, ["bootstrap", "--pool-template", "pool.yml"])
    assert told.exit_code == 2
    assert "no file pool.yml: name a base job template" in told.output


@pytest.mark.usefixtures("no_pool")
def test_a_pool_of_processes_is_not_taken_for_one_of_pods(client: SyncPrefectClient) -> None:
    assert CliRunner().invoke(app, ["bootstrap"]).exit_code == 0
    told = CliRunner().invoke(app, ["bootstrap", "--pool-template", str(TEMPLATE)])
    assert told.exit_code == 1
    assert "prefect work-pool delete local" in told.output
    assert client.read_work_pool("local").type == "process"


@pytest.mark.usefixtures("no_pool")
def test_a_schedule_that_is_gone_from_the_file_is_gone_from_the_server_and_parameters_stay(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    assert CliRunner().invoke(app, ["bootstrap"]).exit_code == 0
    assert {one.deployment for one in read_schedules(PREFECT_API_URL.value())} >= {"ingest-videos", "health"}
    retrain = client.read_deployment_by_name("retrain-tracker/retrain-tracker").id
    client.update_deployment(retrain, DeploymentUpdate(parameters={"recipe": "fine_tune", "of_another_version": 1}))
    prune = client.read_deployment_by_name("prune/prune")
    client.create_deployment_schedules(prune.id, [(CronSchedule(cron="0 4 * * 1"), True)])  # somebody's own
    config = yaml.safe_load((REPO / "prefect.yaml").read_text())
    for each in config["deployments"]:
        if each["name"] != "health":
            each.pop("schedules", None)
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(config))
    told = CliRunner().invoke(app, ["bootstrap", "--prefect-file", str(tmp_path / "prefect.yaml")])
    assert told.exit_code == 0, told.output
    assert {one.deployment for one in read_schedules(PREFECT_API_URL.value())} == {"health", "prune"}
    assert client.read_deployment(retrain).parameters == {"recipe": "fine_tune"}
