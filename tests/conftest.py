"""Fixtures that every test may use."""

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.s3 import S3Server, seaweedfs

REPO = Path(__file__).resolve().parent.parent

# Read when Prefect, Ray and MLflow are imported: nothing leaves the machine, nothing of the user's is touched.
for _name in [name for name in os.environ if name.startswith(("AWS_", "PREFECT_", "SSTRACK_", "MLFLOW_"))]:
    if _name != "SSTRACK_SHARED":
        del os.environ[_name]
# A run in the background of a script ignores Ctrl-C, and so would every child that a test presses it on.
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("sstrack", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("sstrack")
_HOME = tempfile.mkdtemp(prefix="sstrack-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
# Torch's threads spin while they wait; where cores are few and busy, one per process is many times faster than two.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.update(
    {
        "DO_NOT_TRACK": "true",
        "HF_HUB_OFFLINE": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_HOME": f"{_HOME}/prefect",
        "PREFECT_PLUGINS_ENABLED": "0",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "SSTRACK_WORK": f"{_HOME}/work",
    }
)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work folder of this test's own, in force for `settings()`."""
    folder = tmp_path / "work"
    monkeypatch.setenv("SSTRACK_WORK", str(folder))
    return folder


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """One temporary Prefect server for all tests of this session that call flows."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture(scope="session")
def migrated_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow SQLite store after its migrations, which take seconds; tests work on copies."""
    from pipelines.registry.runs import registry_client

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    registry_client(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def mlflow_uri(work: Path, migrated_mlflow: Path) -> str:
    """The store that `settings()` names for this test: empty and migrated."""
    work.mkdir(parents=True, exist_ok=True)
    shutil.copy(migrated_mlflow, work / "mlflow.db")
    return f"sqlite:///{work / 'mlflow.db'}"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server on loopback; the AWS_* variables name it and hold its keys until the session ends."""
    with seaweedfs(tmp_path_factory.mktemp("s3")) as server, pytest.MonkeyPatch.context() as environment:
        for name, value in server.environment.items():
            environment.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real videos and sequences, read in place (`SSTRACK_SHARED`, else `../shared`)."""
    folder = Path(os.environ.get("SSTRACK_SHARED", REPO.parent / "shared"))
    if not (folder / "data" / "videos").is_dir():
        pytest.fail(
            f"no real videos under {folder}/data/videos: set SSTRACK_SHARED to the folder that holds data/videos"
        )
    return folder


@pytest.fixture(scope="session")
def real_videos(shared: Path) -> Path:
    """Folder of real unlabeled videos in mixed codecs and containers."""
    return shared / "data" / "videos"
