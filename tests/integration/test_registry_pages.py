"""What a person finds in MLflow after a decision, that it survives a move of the work folder, and foreign files."""

import json
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow.models.model import Model
from typer.testing import CliRunner, Result

from cli.main import app
from pipelines.evaluation.run import evaluate
from pipelines.registry.card import Kept
from pipelines.registry.decide import Evaluated, register_and_decide
from pipelines.registry.journal import Entry
from pipelines.registry.model_scores import MODEL_ID, measured_on
from pipelines.registry.package import EXAMPLE
from pipelines.registry.promotion import journal_of
from pipelines.registry.runs import EXPERIMENT, TrainingRun, experiment_id, log_page, registry_client
from pipelines.registry.smoke import Clip, smoke
from pipelines.registry.tracker_names import former_champions
from pipelines.registry.versions import champion, find
from sstrack.gates import GateConfig
from tests.dataset_factory import make_dataset
from tests.factories import write_package, write_sequences

ANNOTATION = "0123456789abcdef"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, migrated_mlflow: Path) -> Iterator[Path]:
    """A work folder with one champion that went the whole way, smoke test and all; its dataset and clip are real."""
    work = tmp_path_factory.mktemp("made") / "work"
    work.mkdir()
    shutil.copy(migrated_mlflow, work / "mlflow.db")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSTRACK_WORK", str(work))
        make_champion(work, f"sqlite:///{work / 'mlflow.db'}", tmp_path_factory.mktemp("scratch"))
    yield work


@pytest.fixture
def decided(made: Path, work: Path) -> str:
    """The store in a copy of that folder."""
    shutil.copytree(made, work)
    return f"sqlite:///{work / 'mlflow.db'}"


def make_champion(work: Path, mlflow_uri: str, scratch: Path) -> None:
    manifest = make_dataset(str(work / "dataset"), scratch).digest
    root = write_sequences(work / "root", {"one": 4, "two": 4})
    package = write_package(work / "package")
    run = TrainingRun.find_or_create(registry_client(mlflow_uri), mlflow_uri, "key-1")
    for step, loss in enumerate((4.0, 3.0, 2.0), 1):
        run.log_metrics({"loss": loss}, step)
    run.flush()
    page, plot = scratch / "report.html", scratch / "folder-got10k-like-success.png"
    page.write_text("<!doctype html>")
    plot.write_bytes(b"")
    names = [f"scene_{number}" for number in range(12)]
    report = {
        "benchmark": "folder@1",
        "rule": "got10k-like",
        "metrics": {"AO": 50.0, "SR50": 40.0},
        "per_sequence": {name: 45.0 + index for index, name in enumerate(names)},
        "annotation": ANNOTATION,
        "fps": 20.0,
    }
    training = {
        "package": str(package),
        "run_id": run.run_id,
        "run_key": "key-1",
        "manifest": "m" * 64,
        "datasets": [{"uri": str(work / "dataset"), "manifest": manifest, "weight": 1.0}],
        "steps": 3,
        "loss_start": 4.0,
        "loss_end": 2.0,
    }
    decision = register_and_decide(
        mlflow_uri,
        "sstrack",
        training=training,
        evaluated=[Evaluated(report, dict.fromkeys(names, 10.0), dict.fromkeys(names, 20.0), None, {"Others": 67.1})],
        rival=None,
        gate=GateConfig(),
        actor="tests",
        clip=Clip(sorted((root / "one").glob("*.png")), (10.0, 20.0, 24.0, 24.0)),
        kept=Kept(*kept(mlflow_uri, run.run_id, page, plot)),
    )
    assert decision.new, decision.reasons
    assert any("in a fresh process it tracks 4 frames" in reason for reason in decision.reasons)


def kept(uri: str, run_id: str, page: Path, picture: Path) -> tuple[str, tuple[str, ...]]:
    first, *others = log_page(uri, run_id, page, [picture])
    return first, tuple(others)


def test_what_a_person_finds_in_mlflow(decided: str, made: Path, work: Path):
    client = registry_client(decided)
    version = client.get_model_version("sstrack", "1")
    card = version.description or ""
    for part in (
        "# sstrack, version 1", "## Trained on", "videos of", "clips of",
        "Recipe `tiny_cpu`, objective `decoupled`, 3 of",
        "loss 4.00 to 2.00",
        "folder@1, rule got10k-like, 12 sequences: AO 50.00, SR50 40.00", "untrained start 10.0", "static box 20.0",
        "Worst sequences: scene_0 45.0", "The gate let it pass (challenger 1)",
        "by their own rule: Others 67.1", "| the box that never moves | +30.5 |", "passed: ", "models:/sstrack/1",
        "not licences",
    ):  # fmt: skip
        assert part in card, card
    assert len(card) <= 5000 and str(made) not in card
    assert "champion" in (client.get_registered_model("sstrack").description or "")
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None and experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    run = client.get_run(version.run_id or "")
    assert run.data.tags["mlflow.source.name"] == "sstrack train" and run.data.tags["mlflow.user"]
    assert "version 1" in run.data.tags["mlflow.note.content"]
    found = {info.path for info in client.list_artifacts(run.info.run_id)}
    assert found == {"card.md", "decisions", "evaluation", "loss.png", "reports"}
    for path in ("reports%2Ffolder-got10k-like-success.png", "loss.png"):
        assert f"](get-artifact?path={path}&run_uuid={run.info.run_id})" in card
    place = f"#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}/artifacts"
    assert f"[The whole report]({place}/reports/report.html)" in card
    beside = next((work / "mlflow-artifacts").rglob("card.md"))
    assert "](reports/folder-got10k-like-success.png)" in beside.read_text() and "](loss.png)" in beside.read_text()
    assert (beside.parent / "loss.png").read_bytes().startswith(b"\x89PNG")
    [table] = client.list_artifacts(run.info.run_id, "evaluation")
    assert table.path == "evaluation/folder-1.got10k-like.csv"
    assert version.tags["sstrack.score"] == "AO 50.00 on folder@1, rule got10k-like, 12 sequences"
    assert version.tags["sstrack.video"].endswith("clips")

    model = client.get_logged_model(version.tags[MODEL_ID])
    bound = {metric.key: (metric.value, metric.dataset_name) for metric in model.metrics or []}
    assert bound["folder-1/got10k-like/AO"] == (50.0, "folder@1")
    assert run.outputs is not None
    assert [each.model_id for each in run.outputs.model_outputs] == [model.model_id]
    assert run.inputs is not None
    [given] = run.inputs.dataset_inputs
    assert given.dataset.digest == measured_on("folder@1", ANNOTATION)
    last = journal_of(decided, "sstrack").last()
    assert isinstance(last, Entry) and last.verdict is not None and last.verdict["passed"]

    described = next((work / "mlflow-artifacts").rglob("MLmodel"))
    assert str(made.parent) not in described.read_text() and str(Path(sys.prefix)) not in described.read_text()
    flavor = yaml.safe_load(described.read_text())["flavors"]["python_function"]
    assert flavor["model_code_path"] == "serving_model.py"
    assert Model.load(str(described.parent)).load_input_example(str(described.parent)) == EXAMPLE
    shown = sstrack("models", "list")
    for part in ("AO 50.00 on folder@1", "clips", "key-1", "champion"):
        assert part in shown.stdout.replace("\n", " "), shown.stdout


def test_from_a_version_to_its_videos_and_from_a_video_to_its_versions(decided: str, made: Path, tmp_path: Path):
    line = json.loads(sstrack("models", "lineage", "1", "--json", "--picture", str(tmp_path / "line.png")).stdout)
    [data] = line["data"]
    assert line["run_key"] == "key-1" and data["missing"] is None and len(data["shards"]) == 3
    assert sum(source["clips"] for source in data["sources"]) == 12
    assert (tmp_path / "line.png").read_bytes().startswith(b"\x89PNG")
    video = data["sources"][0]["sha256"]
    learnt = sstrack("models", "lineage", "--source", video)
    assert "version 1 learnt from it (champion)" in learnt.stdout
    assert f"publish {made / 'dataset'} without it" in learnt.stdout
    assert "no version is known" in sstrack("models", "lineage", "--source", "0" * 64).stdout
    assert f"`sstrack dataset withdraw {made / 'dataset'} --source {video} --reason WHY`" in learnt.stdout
    reason = ("--source", video, "--reason", "its owner asks", "--json")
    gone = json.loads(sstrack("dataset", "withdraw", str(made / "dataset"), *reason).stdout)
    assert gone["published"] and [each["version"] for each in gone["retire"]] == ["1"]
    again = sstrack("dataset", "withdraw", str(made / "dataset"), *reason[:-1])
    assert again.exit_code == 0 and "withdrawn before" in again.stdout
    assert "retire version 1, which learnt from it (champion)" in again.stdout
    assert "version 1 learnt from it" in sstrack("models", "lineage", "--source", video).stdout  # the past stays
    (made / "dataset").rename(tmp_path / "gone")
    cannot = sstrack("models", "lineage", "--source", video)
    (tmp_path / "gone").rename(made / "dataset")
    assert "version 1 cannot be told" in cannot.stdout
    assert sstrack("models", "lineage").exit_code == 2


def sstrack(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, words)


def test_a_work_folder_may_be_moved(decided: str, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    moved = tmp_path / "an other place"
    work.rename(moved)
    monkeypatch.setenv("SSTRACK_WORK", str(moved))
    uri = f"sqlite:///{moved / 'mlflow.db'}"
    done = evaluate("models:/sstrack@champion", "folder", str(moved / "root"), str(tmp_path / "out"))
    assert done.sequences == 2
    holder = champion(uri, "sstrack")
    assert holder is not None and holder.version == "1"
    mlflow.set_tracking_uri(uri)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        served = mlflow.pyfunc.load_model("models:/sstrack@champion")
        answer = served.predict([{"source": str(moved / "root/one"), "box": [10, 20, 24, 24]}])[0]
    assert len(answer.boxes) == 4
    for folder in (moved / "mlflow-artifacts").rglob("artifacts"):
        assert folder.is_dir()
    client = registry_client(uri)
    run = TrainingRun.find_or_create(client, uri, "key-1")
    assert str(client.get_run(run.run_id).info.artifact_uri).startswith((moved / "mlflow-artifacts").as_uri())
    experiment_id(client, uri)


def test_a_report_knows_what_a_former_champion_scored(decided: str):
    (former,) = former_champions("folder@1", "got10k-like", ANNOTATION)
    assert former.label == "sstrack/1 (champion)" and former.metrics == {"AO": 50.0, "SR50": 40.0}
    others = (("folder@1", "another", ANNOTATION), ("otb100@1", "got10k-like", ANNOTATION))
    for other in (*others, ("folder@1", "got10k-like", "another set of the same name")):
        assert former_champions(*other) == []


def test_a_store_without_its_files_says_where_they_belong(decided: str, work: Path, tmp_path: Path):
    registry_client(decided)  # opened once where it lies now, so that its paths lead here
    (work / "mlflow-artifacts").rename(tmp_path / "lost")
    done = sstrack("track", str(work / "root/one"), "--box", "10,20,24,24", "--model", "models:/sstrack@champion")
    assert done.exit_code == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "the files of version 1 of sstrack are not at" in done.stderr and "mlflow.db" in done.stderr


def test_foreign_files_are_warned_of_and_fail_the_smoke_test(decided: str, work: Path):
    clean = sstrack("models", "show", "models:/sstrack/1", "--json")
    assert clean.exit_code == 0 and json.loads(clean.stdout)["warning"] is None
    weights = next((work / "mlflow-artifacts").rglob("artifacts/weights.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-4])
    shown = sstrack("models", "show", "models:/sstrack/1", "--json")
    assert shown.exit_code == 0 and "foreign or damaged" in json.loads(shown.stdout)["warning"]
    assert "sstrack: warning: version 1" in shown.stderr
    clip = Clip(sorted((work / "root/one").glob("*.png")), (10.0, 20.0, 24.0, 24.0))
    check = smoke(decided, "sstrack", "1", clip)
    assert check.passed is False and "it fails" in check.sentence
    assert find(decided, "models:/sstrack/1").package_digest
