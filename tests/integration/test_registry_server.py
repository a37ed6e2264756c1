"""The registry as a team has it: MLflow with logins over a real Postgres, files on a real S3 server."""

import base64
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from pipelines import storage
from pipelines.registry.decide import Decision, Evaluated, register_and_decide, rival_of
from pipelines.registry.models import resolve_model
from pipelines.registry.promotion import journal_of, rollback
from pipelines.registry.runs import TrainingRun, registry_client
from pipelines.registry.smoke import Clip
from pipelines.registry.versions import versions
from sstrack.gates import GateConfig
from sstrack.models.package_files import package_digest
from tests.factories import write_package, write_sequences
from tests.mlflow_server import ADMIN, PASSWORD, MlflowServer, add_user, mlflow_server, postgres
from tests.s3 import S3Server

USER, SECRET = "trainer", "a-trainers-password"
NAMES = [f"scene_{number}" for number in range(12)]

pytestmark = pytest.mark.timeout(1800)  # three servers start, which takes long on a busy machine


@pytest.fixture(scope="module")
def server(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with postgres() as store, mlflow_server(store, s3_server, tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(autouse=True)
def here(server: MlflowServer, s3_server: S3Server, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our commands ask that server, as nobody yet; the journal is on S3, where all who promote share it."""
    monkeypatch.setenv("SSTRACK_MLFLOW_URI", server.uri)
    monkeypatch.setenv("SSTRACK_JOURNAL", s3_server.url("team", "journal"))


def login(monkeypatch: pytest.MonkeyPatch, user: str, password: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)


def sstrack(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, ["models", *words])


def decide(uri: str, package: Path, ao: float, rival: float | None, clip: Clip | None) -> Decision:
    run = TrainingRun.find_or_create(registry_client(uri), uri, f"key-{package.name}")
    report = {
        "benchmark": "folder@1", "rule": "got10k-like", "metrics": {"AO": ao}, "per_sequence": dict.fromkeys(NAMES, ao),
        "annotation": "0123456789abcdef", "fps": 20.0,
    }  # fmt: skip
    low = dict.fromkeys(NAMES, 10.0)
    return register_and_decide(
        uri,
        "sstrack",
        training={"package": str(package), "run_id": run.run_id, "run_key": f"key-{package.name}", "manifest": "m"},
        evaluated=[Evaluated(report, low, low, None if rival is None else dict.fromkeys(NAMES, rival))],
        rival=rival_of(uri, "sstrack", str(package)) if rival is not None else None,
        gate=GateConfig(),
        actor=USER,
        clip=clip,
    )


def test_a_user_registers_promotes_and_rolls_back_on_postgres_and_s3(
    server: MlflowServer, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    add_user(server, USER, SECRET)
    login(monkeypatch, USER, SECRET)
    first, second = write_package(tmp_path / "one", 0), write_package(tmp_path / "two", 1)
    root = write_sequences(tmp_path / "root", {"one": 4})
    clip = Clip(sorted((root / "one").glob("*.png")), (10.0, 20.0, 24.0, 24.0))
    one = decide(server.uri, first, 50, None, clip)
    assert one.new and any("in a fresh process it tracks 4 frames" in reason for reason in one.reasons), one.reasons
    two = decide(server.uri, second, 60, 50, None)
    assert (two.new, two.champion) == (True, "2")
    assert rollback(server.uri, "sstrack", None, expected="2", actor=USER, reason="a test").champion == "1"

    fetched = resolve_model("models:/sstrack@champion")
    assert package_digest(fetched) == package_digest(first)
    with (
        psycopg2.connect(host=server.postgres["PGHOST"], user="mlflow", dbname="mlflow") as store,
        store.cursor() as row,
    ):
        row.execute("SELECT alias, version FROM registered_model_aliases ORDER BY alias")
        assert row.fetchall() == [("champion", 1)]
        row.execute("SELECT version, storage_location FROM model_versions ORDER BY version")
        places = row.fetchall()
    assert [version for version, _ in places] == [1, 2]
    stored = storage.list_files(s3_server.url("mlflow"))
    assert sum(uri.endswith("weights.safetensors") for uri in stored) == 2
    assert any(uri.endswith("card.md") for uri in stored)
    entries = journal_of(server.uri, "sstrack").entries()
    assert [(entry.action, entry.version, entry.actor) for entry in entries] == [
        ("promote", "1", USER), ("promote", "2", USER), ("rollback", "1", USER),
    ]  # fmt: skip
    assert [version.aliases for version in versions(server.uri, "sstrack")] == [(), ("champion",)]
    assert "AO 50.00 on folder@1" in sstrack("show", "models:/sstrack@champion", "--json").stdout


def test_a_wrong_password_and_none_are_one_sentence_that_tells_no_secret(
    server: MlflowServer, monkeypatch: pytest.MonkeyPatch
):
    def refused(*words: str) -> str:
        done = sstrack(*words)
        assert done.exit_code == 1 and done.stdout == "" and len(done.stderr.strip().splitlines()) == 1, done.stderr
        return done.stderr

    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    sentence = f"sstrack: MLflow at {server.uri} knows no such user or password: set MLFLOW_TRACKING_USERNAME"
    assert refused("list").startswith(sentence)
    login(monkeypatch, ADMIN, "not-the-password")
    for words in (("list",), ("show", "models:/sstrack/1"), ("promote", "1", "--reason", "hope")):
        said = refused(*words)
        assert said.startswith(sentence) and "not-the-password" not in said
    monkeypatch.setenv("SSTRACK_MLFLOW_URI", "http://somebody:secret@127.0.0.1:9")
    assert refused("list") == (
        "sstrack: MLflow at http://127.0.0.1:9 does not answer; is it running, and is SSTRACK_MLFLOW_URI right?\n"
    )


def test_who_may_read_may_not_promote(server: MlflowServer, monkeypatch: pytest.MonkeyPatch):
    """Needs the versions of the first test."""
    add_user(server, "reader", "a-readers-password")
    login(monkeypatch, "reader", "a-readers-password")
    assert sstrack("list").exit_code == 0
    done = sstrack("promote", "2", "--reason", "mine is better", "--override")
    assert done.exit_code == 1 and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "does not let this user do that" in done.stderr


def test_it_answers_to_the_name_that_compose_gives_it(server: MlflowServer):
    login = base64.b64encode(f"{ADMIN}:{PASSWORD}".encode()).decode()
    headers = {"Host": "mlflow:5000", "Authorization": f"Basic {login}"}
    request = urllib.request.Request(f"{server.uri}/api/2.0/mlflow/experiments/search?max_results=1", headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
