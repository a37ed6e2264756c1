"""The record of trainings and the registry, on a real MLflow SQLite store."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.errors import SSTrackError
from pipelines.registry.decide import Evaluated, register_and_decide, rival_of
from pipelines.registry.models import resolve_model
from pipelines.registry.package import REQUIREMENTS, save_pyfunc
from pipelines.registry.runs import EXPERIMENT, RUN_KEY, DatasetUse, TrainingRun, experiment_id, registry_client
from pipelines.registry.sqlite_store import SQLITE
from pipelines.registry.versions import champion, find, versions
from sstrack.gates import GateConfig
from sstrack.models.package_files import package_digest
from tests.factories import write_package, write_sequences


def test_a_run_key_has_one_run_however_often_it_is_recorded(mlflow_uri: str):
    client = registry_client(mlflow_uri)
    first = TrainingRun.find_or_create(client, mlflow_uri, "tiny-1-2")
    again = TrainingRun.find_or_create(registry_client(mlflow_uri), mlflow_uri, "tiny-1-2")
    assert first.run_id == again.run_id
    for run in (first, again):
        run.log_params({"optim.steps": 3})
        run.log_datasets([DatasetUse("/data/set", "a" * 64)])
        for step in range(1200):
            run.log_metrics({"loss": 1 / (step + 1), "iou": 0.5, "lr": 1e-3}, step)
        run.finish()
    data = client.get_run(first.run_id)
    assert data.data.params == {"optim.steps": "3"}
    assert data.inputs is not None
    assert [given.dataset.digest for given in data.inputs.dataset_inputs] == ["a" * 36]
    assert len(client.get_metric_history(first.run_id, "loss")) == 1200
    with pytest.raises(ValueError, match=r"optim\.steps"):
        again.log_params({"optim.steps": 4})


def test_two_runs_of_one_key_are_an_error_that_names_both(mlflow_uri: str):
    client = registry_client(mlflow_uri)
    one = TrainingRun.find_or_create(client, mlflow_uri, "key")
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    two = client.create_run(experiment.experiment_id, tags={"sstrack.run_key": "key"})
    with pytest.raises(SSTrackError, match=rf"{one.run_id}|{two.info.run_id}"):
        TrainingRun.find_or_create(client, mlflow_uri, "key")


def decide(uri: str, package: Path, ao: float, rival: float | None = None):
    run = TrainingRun.find_or_create(registry_client(uri), uri, f"key-{package.name}")
    names = [f"scene_{number}" for number in range(12)]
    report = {
        "benchmark": "folder@1",
        "rule": "got10k-like",
        "metrics": {"AO": ao},
        "per_sequence": dict.fromkeys(names, ao),
        "annotation": "0123456789abcdef",
        "fps": 20.0,
    }
    return register_and_decide(
        uri,
        "sstrack",
        training={
            "package": str(package),
            "run_id": run.run_id,
            "run_key": f"key-{package.name}",
            "manifest": "m" * 64,
        },
        evaluated=[
            Evaluated(
                report,
                dict.fromkeys(names, 10.0),
                dict.fromkeys(names, 20.0),
                None if rival is None else dict.fromkeys(names, rival),
            )
        ],
        rival=rival_of(uri, "sstrack", str(package)) if rival is not None else None,
        gate=GateConfig(),
        actor="tests",
    )


def test_the_champion_moves_only_through_the_gate_and_each_package_is_registered_once(mlflow_uri: str, tmp_path: Path):
    first, second, third = (write_package(tmp_path / name, seed) for seed, name in enumerate(("one", "two", "three")))
    assert champion(mlflow_uri, "sstrack") is None
    promoted = decide(mlflow_uri, first, 50)
    assert (promoted.promoted, promoted.new, promoted.version, promoted.champion) == (True, True, "1", "1")
    again = decide(mlflow_uri, first, 50)
    assert (again.promoted, again.new, again.version) == (True, False, "1")
    assert "nothing new" in again.outcome
    assert rival_of(mlflow_uri, "sstrack", str(first)) is None
    assert rival_of(mlflow_uri, "sstrack", str(second)) == "models:/sstrack/1"

    refused = decide(mlflow_uri, second, 45, rival=50)
    assert (refused.promoted, refused.version, refused.champion) == (False, "2", "1")
    assert "refused" in refused.outcome
    assert "champion" in find(mlflow_uri, "models:/sstrack/2").tags["sstrack.reason"]

    better = decide(mlflow_uri, third, 60, rival=50)
    assert (better.new, better.champion) == (True, "3")
    by_version = {version.version: version for version in versions(mlflow_uri, "sstrack")}
    assert by_version["3"].aliases == ("champion",)
    assert by_version["1"].aliases == ("previous",)
    assert "sstrack.demoted_at" in by_version["1"].tags
    assert by_version["3"].tags["AO/folder-1"] == "60.00"
    assert len(by_version) == 3

    fetched = resolve_model("models:/sstrack@champion")
    assert package_digest(fetched) == package_digest(third) == by_version["3"].package_digest
    assert resolve_model("models:/sstrack/3") == fetched
    for wrong in ("models:/sstrack@nobody", "models:/sstrack/9", "models:/other/1", "models:/sstrack"):
        with pytest.raises(SSTrackError, match="model"):
            resolve_model(wrong)


def test_the_served_package_tracks_whole_clips_where_we_are_not_installed(tmp_path: Path):
    """A fresh interpreter, started in another folder, sees the package's code instead of ours."""
    package = write_package(tmp_path / "package")
    root = write_sequences(tmp_path / "root", {"one": 4})
    save_pyfunc(package, tmp_path / "served")
    listed = {line.partition("==")[0] for line in (tmp_path / "served/requirements.txt").read_text().split()}
    assert listed == set(REQUIREMENTS), "MLflow guessed"
    assert not {path.suffix for path in (tmp_path / "served").rglob("*")} & {".pkl", ".pt", ".pth"}
    code = """
import json, sys
import importlib.machinery

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in ("sstrack", "pipelines", "flows"):
            return importlib.machinery.PathFinder.find_spec(name, [sys.argv[1] + "/code"])

sys.meta_path.insert(0, Hidden())
import mlflow
served = mlflow.pyfunc.load_model(sys.argv[1])
answer = served.predict([{"source": sys.argv[2], "box": [10, 20, 24, 24]}])[0]
import sstrack, pipelines.frames
assert sstrack.__file__.startswith(sys.argv[1]) and pipelines.frames.__file__.startswith(sys.argv[1])
from mlflow.pyfunc import scoring_server
from starlette.testclient import TestClient
caller = TestClient(scoring_server.init(served))
wrong = [("/none.mp4", [1, 2, 3, 4]), (sys.argv[1] + "/MLmodel", [1, 2, 3, 4])]
wrong += [(sys.argv[2], box) for box in ([500, 500, 9, 9], [1, 2, 3], [1, 2, 0, 4])]
said = [caller.post("/invocations", json={"inputs": [{"source": source, "box": box}]}) for source, box in wrong]
print(json.dumps([(one.status_code, one.json()) for one in said]))
print(json.dumps(answer.model_dump()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "served"), str(root / "one")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert len(answer["boxes"]) == len(answer["scores"]) == 4
    assert answer["boxes"][0] == [10, 20, 24, 24]
    refused = json.loads(done.stdout.splitlines()[-2])
    expected = ("no video at /none.mp4", "not a video", "outside the 96x96 frame", "need x, y, width", "sides above 0")
    for (status, told), sentence in zip(refused, expected, strict=True):
        assert status == 400 and "stack_trace" not in told
        _, _, ours = told["message"].partition("Error: ")
        assert sentence in ours and "\n" not in ours and "Traceback" not in ours


def test_a_store_whose_making_was_killed_is_made_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "work" / "mlflow.db"
    script = (
        "import sys\nfrom pathlib import Path\nfrom pipelines.registry.sqlite_store import make_sqlite_store\n"
        "make_sqlite_store(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", script, str(path)]
    killed = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not any(draft.stat().st_size for draft in path.parent.glob(".mlflow.db.*.tmp")):
        assert killed.poll() is None and not path.exists()
        time.sleep(0.005)
    killed.kill()
    killed.communicate()
    assert not path.exists()
    uri = f"{SQLITE}{path}"
    beside = subprocess.Popen(command, stderr=subprocess.PIPE)
    made = TrainingRun.find_or_create(registry_client(uri), uri, "key")
    beside.communicate()
    assert beside.returncode == 0
    client = registry_client(uri)
    (run,) = client.search_runs([experiment_id(client, uri)])
    assert run.info.run_id == made.run_id and run.data.tags[RUN_KEY] == "key"
