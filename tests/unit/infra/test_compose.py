"""The stack of containers: no engine here, so every field, name, path, variable and command is checked."""

import json
import re
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from typer.testing import CliRunner

from cli.main import app
from pipelines.settings import Settings
from tests.compose import Compose
from tests.conftest import REPO

FOLDER = REPO / "infra/compose"
TEXT = (FOLDER / "compose.yaml").read_text()
OURS = "${SSTRACK_IMAGE:-sstrack:0.1.0-cpu}"


@pytest.fixture(scope="module")
def compose() -> Compose:
    return Compose.model_validate(yaml.safe_load(TEXT))


@pytest.mark.parametrize("wrong", [{"comand": ["x"]}, {"depends_on": ["nobody"]}, {"ports": ["5000:5000"]}])
def test_a_mistake_is_found(wrong: dict[str, Any]) -> None:
    content = yaml.safe_load(TEXT)
    content["services"]["worker"].update(wrong)
    with pytest.raises(ValidationError):
        Compose.model_validate(content)


def test_every_variable_is_in_the_example_or_has_a_default_and_no_password_has_one(compose: Compose) -> None:
    named = dict(re.findall(r"\$\{(\w+)(:[-?][^}]*)?\}", TEXT))
    example = dict(line.split("=", 1) for line in (FOLDER / "example.env").read_text().splitlines() if "=" in line)
    for name, default in named.items():
        assert name in example or default.startswith(":-"), name
        if re.search("PASSWORD|SECRET|TOKEN|KEY", name):
            assert default == ":?", f"{name} has to be given"
    assert set(example) <= set(named)


def test_settings_are_ours_and_alike_everywhere(compose: Compose) -> None:
    ours = {name: service for name, service in compose.services.items() if service.image == OURS}
    assert set(ours) == {"buckets", "prefect", "bootstrap", "worker", "serve", "ray-head", "ray-worker"}
    shared: dict[str, Any] = yaml.safe_load(TEXT)["x-settings"]
    fields = {name.removeprefix("SSTRACK_").lower() for name in shared if name.startswith("SSTRACK_")}
    assert fields <= set(Settings.model_fields)
    values = {"SSTRACK_WORKERS": "2", "SSTRACK_NOTIFY_URL": ""}
    Settings.model_validate({name: (shared | values)[f"SSTRACK_{name.upper()}"] for name in fields})
    database = str(compose.services["prefect"].environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"])
    assert database.startswith("postgresql")
    assert {"PREFECT_PLUGINS_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}.items() <= shared.items()
    for name, service in ours.items():
        assert shared.items() <= service.environment.items(), name


def test_mlflow_starts_no_workers_that_nobody_needs_and_tells_nobody() -> None:
    text = (REPO / "infra/mlflow/Dockerfile").read_text()
    for word in ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true"):
        assert word in text


def test_commands_are_commands_of_what_is_installed(compose: Compose) -> None:
    runner = CliRunner()
    for service in compose.services.values():
        if service.command[:1] == ["sstrack"]:
            known = runner.invoke(app, [service.command[1], "--help"])
            assert known.exit_code == 0
            assert all(word.split("=")[0] in known.output for word in service.command[2:])
        elif service.command[:2] == ["python", "-m"]:
            assert (REPO / (service.command[2].replace(".", "/") + ".py")).is_file()


def test_addresses_are_those_of_services_and_their_ports(compose: Compose) -> None:
    for host, port in re.findall(r"(?:http://|@)([a-z][a-z0-9-]*):(\d+)", TEXT):
        assert host == "localhost" or host in compose.services
        if host in ("prefect", "s3"):
            assert f"port={port}" in " ".join(compose.services[host].command)
    buckets = {*re.findall(r"s3://(\w+)", TEXT), "mlflow"}  # which infra/mlflow keeps its files in
    assert {f"s3://{name}" for name in buckets} == set(compose.services["buckets"].command[3:])


def test_what_is_mounted_exists_and_images_are_named_by_version(compose: Compose) -> None:
    for name, service in compose.services.items():
        for mount in service.volumes:
            source = mount.split(":")[0]
            assert not source.startswith("./") or (FOLDER / source).exists()
        assert not service.image.endswith(":latest"), name
    assert all(config.file is None or (FOLDER / config.file).is_file() for config in compose.configs.values())
    scraped = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"]
    targets = [target for job in scraped for each in job["static_configs"] for target in each["targets"]]
    assert {target.split(":")[0] for target in targets} <= set(compose.services)
    (guarded,) = (job for job in scraped if job["job_name"] == "sstrack-serve")
    (secret,) = compose.services["prometheus"].secrets
    assert guarded["authorization"] == {"credentials_file": f"/run/secrets/{secret}"}
    assert compose.services["serve"].environment["SSTRACK_TOKEN"] == f"${{{compose.secrets[secret].environment}:?}}"


def test_the_dashboard_asks_for_what_is_measured() -> None:
    board = json.loads((FOLDER / "grafana/dashboards/sstrack.json").read_text())
    assert board["uid"] == "sstrack" and len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    asked = set(re.findall(r"\b(sstrack_\w+)", json.dumps(board)))
    source = (REPO / "pipelines/serving/metrics.py").read_text()
    defined = set(re.findall(r'"(sstrack_\w+)"', source))
    assert asked and {re.sub("_(total|bucket|sum|count)$", "", name) for name in asked} <= defined
