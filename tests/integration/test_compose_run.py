"""The processes of infra/compose, with its commands and its environment, on this machine: a real Postgres, a real S3
server, MLflow with logins, Prefect on Postgres, a Ray head that wants its token. One ingest, one retrain, one champion.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml

from pipelines import storage
from pipelines.demo_inputs import prepare
from pipelines.processes import stop_processes, tree
from pipelines.registry.promotion import journal_of
from pipelines.registry.versions import versions
from tests.conftest import REPO
from tests.mlflow_server import ADMIN, PASSWORD, mlflow_server, postgres
from tests.ray_head import ray_head
from tests.s3 import KEY, SECRET, S3Server
from tests.stack import Api, eventually, free_port, prefect

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

COMPOSE: dict[str, Any] = yaml.safe_load((REPO / "infra/compose/compose.yaml").read_text())
INGEST = {"long_side": 320, "max_frames": 60}


@dataclass(frozen=True)
class Running:
    """What runs, as its clients are told of it."""

    api: Api
    environment: dict[str, str]


def values(variables: dict[str, str], text: str) -> str:
    """`${NAME:?}` and `${NAME:-default}` filled in, as Compose does."""
    return re.sub(r"\$\{(\w+)(?::[?-]([^}]*))?\}", lambda m: variables.get(m[1], m[2] or ""), text)


@contextmanager
def service(name: str, environment: dict[str, str], words: list[str], folder: Path) -> Iterator[None]:
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *words] if words[0] != "sstrack" else words,
            env={**os.environ, **environment}, cwd=folder, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        stop_processes(tree(process.pid), patience=10.0)
        process.wait()


@pytest.fixture
def running(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    port = free_port()
    variables = {
        "S3_ACCESS_KEY": KEY,
        "S3_SECRET_KEY": SECRET,
        "MLFLOW_USER": ADMIN,
        "MLFLOW_PASSWORD": PASSWORD,
        "RAY_TOKEN": "a-token-of-at-least-16-characters",
        "SSTRACK_WORKERS": "1",
        "POSTGRES_PASSWORD": "unused",
    }
    places = {
        "http://s3:8333": s3_server.endpoint,
        "http://prefect:4200": f"http://127.0.0.1:{port}",
        "/cache/": f"{tmp_path}/cache/",
        "s3://tracking": s3_server.url("tracking"),
    }

    def adapted(given: dict[str, Any]) -> dict[str, str]:
        found = {name: values(variables, str(value)) for name, value in given.items()}
        for here, there in places.items():
            found = {name: value.replace(here, there) for name, value in found.items()}
        return found

    with ExitStack() as closing:
        store = closing.enter_context(postgres("pg_trgm"))  # Prefect asks for it
        connection = psycopg2.connect(host=store["PGHOST"], user=store["PGUSER"], dbname="mlflow")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE prefect")
        connection.close()
        places["postgresql+asyncpg://sstrack:unused@postgres:5432/prefect"] = (
            f"postgresql+asyncpg://{store['PGUSER']}@/prefect?host={store['PGHOST']}"
        )
        mlflow = closing.enter_context(mlflow_server(store, s3_server, tmp_path / "mlflow"))
        places["http://mlflow:5000"] = mlflow.uri
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": variables["RAY_TOKEN"]}
        settings = adapted(COMPOSE["x-settings"])
        assert token.items() <= settings.items()
        head = closing.enter_context(ray_head(environment=settings))
        places["http://ray-head:8265"] = head.jobs
        settings = adapted(COMPOSE["x-settings"])
        for name, value in settings.items():
            monkeypatch.setenv(name, value)

        server = COMPOSE["services"]["prefect"]
        words = [word.replace("0.0.0.0", "127.0.0.1").replace("4200", str(port)) for word in server["command"]]
        closing.enter_context(service("prefect", adapted(server["environment"]), words, tmp_path))
        api = Api(f"http://127.0.0.1:{port}/api")
        assert eventually(lambda: answers(api), 240)
        bootstrap = COMPOSE["services"]["bootstrap"]["command"]
        subprocess.run(
            [str(Path(sys.executable).with_name(bootstrap[0])), *bootstrap[1:]],
            env={**os.environ},
            cwd=REPO,
            check=True,
        )
        closing.enter_context(service("worker", settings, COMPOSE["services"]["worker"]["command"], tmp_path))
        yield Running(api, settings)


def answers(api: Api) -> bool:
    try:
        return bool(api("health"))
    except OSError:
        return False


def start(running: Running, name: str, **parameters: Any) -> dict[str, Any]:
    """Run a deployment to its end; its run."""
    words = ("deployment", "run", name, "--watch", "--params", json.dumps(parameters))
    done = prefect(*words, api=running.api.url, patience_s=1500)
    runs = running.api("flow_runs/filter", {"sort": "START_TIME_DESC"})
    run = next(one for one in runs if one["deployment_id"])
    assert done.returncode == 0, (run["state"], done.stdout, done.stderr)
    return run


def test_from_the_inbox_to_a_champion(running: Running, tmp_path: Path):
    settings = running.environment
    inputs = prepare(tmp_path / "inputs", rendered_videos=True, workers=2)
    for video in map(Path, inputs.videos):
        storage.write_atomic(f"{settings['SSTRACK_INBOX']}/{video.name}", video.read_bytes())
    for path in sorted(each for each in inputs.eval_root.rglob("*") if each.is_file()):
        place = f"{settings['SSTRACK_BENCHMARK_ROOT']}/{path.relative_to(inputs.eval_root)}"
        storage.write_atomic(place, path.read_bytes())

    ingested = start(running, "ingest-videos", config=INGEST)
    assert "published" in ingested["state"]["message"]
    again = start(running, "ingest-videos", config=INGEST)
    assert "nothing new" in again["state"]["message"]

    trained = start(running, "retrain-tracker", overrides={"checkpoint_every": 40}, workers=1)
    assert "promoted" in trained["state"]["message"]
    uri = settings["SSTRACK_MLFLOW_URI"]
    (champion,) = versions(uri, "sstrack")
    assert champion.aliases == ("champion",)
    assert [(entry.action, entry.version) for entry in journal_of(uri, "sstrack").entries()] == [("promote", "1")]
    packages = storage.list_files(f"{settings['SSTRACK_RUNS']}/{champion.run_key}/package")
    assert any(each.endswith("weights.safetensors") for each in packages)
