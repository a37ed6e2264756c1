"""Run folders, local and on S3: what is kept of a training, what it goes on from, and what faults do to it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from pipelines import storage
from pipelines.errors import SSTrackError
from pipelines.registry.models import resolve_model
from pipelines.registry.runs import TrainingRun, registry_client
from pipelines.training.launch import train
from pipelines.training.metrics import read_metrics
from pipelines.training.options import TrainOptions
from pipelines.training.result import TrainResult
from pipelines.training.spec import run_key
from pipelines.trainings.find import open_datasets
from sstrack.configs.recipe import Recipe
from sstrack.models.package import load_package
from sstrack.models.package_files import package_facts
from sstrack.recipes import recipe
from tests.faulty_s3 import faulty_proxy
from tests.s3 import S3Server

BRIEF = {
    "net.width": 24,
    "net.heads": 2,
    "net.depth": 1,
    "net.head_width": 16,
    "net.template_size": 16,
    "net.search_size": 48,
    "data.group_size": 2,
    "optim.steps": 8,
    "optim.ema_decay": 0.5,
    "validation.share": 0.3,
    "validation.every": 2,
    "validation.groups": 1,
    "checkpoint_every": 2,
    "objective.template_use_every": 0,
}


class Interrupted(Exception):
    pass


@pytest.fixture(scope="module")
def brief() -> Recipe:
    return recipe("tiny_cpu", BRIEF)


@pytest.fixture(scope="module")
def undisturbed(drawn_dataset: str, brief: Recipe, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(open_datasets([drawn_dataset]), brief, str(tmp_path_factory.mktemp("runs")))


def stop_at(step: int) -> Callable[[dict[str, float]], None]:
    def progress(row: dict[str, float]) -> None:
        if row["step"] == step:
            raise Interrupted

    return progress


def losses(folder: str | Path) -> list[tuple[float, float, float]]:
    return [(row["step"], row.get("loss", 0), row["validation_loss"]) for row in read_metrics(folder)]


def test_the_package_holds_the_average_of_the_weights(undisturbed: TrainResult) -> None:
    folder = Path(undisturbed.package).parent
    shipped = load_file(folder / "package/weights.safetensors")
    average = load_file(folder / "checkpoints/step_000008/ema.safetensors")
    last = load_file(folder / "checkpoints/step_000008/net.safetensors")
    assert shipped.keys() == average.keys() == last.keys()
    assert all(tensor.equal(average[name]) for name, tensor in shipped.items())
    assert not all(tensor.equal(last[name]) for name, tensor in shipped.items())


def test_the_newest_two_checkpoints_and_the_best_one_stay(undisturbed: TrainResult) -> None:
    folder = Path(undisturbed.package).parent
    best = min(read_metrics(folder), key=lambda row: row["validation_loss"])["step"]
    steps = {int(path.name.removeprefix("step_")) for path in (folder / "checkpoints").iterdir()}
    assert steps == {6, 8, int(best)}


def test_a_run_on_s3_goes_on_where_it_was_and_its_package_tracks(
    drawn_dataset: str,
    brief: Recipe,
    undisturbed: TrainResult,
    s3_server: S3Server,
    mlflow_uri: str,
) -> None:
    out, datasets = s3_server.url("runs"), open_datasets([drawn_dataset])
    with pytest.raises(Interrupted):
        train(datasets, brief, out, progress=stop_at(6))
    done = train(datasets, brief, out, options=TrainOptions(profile="7-8"))
    assert not done.found and train(datasets, brief, out).found
    folder = storage.join(out, done.run_key)
    kept = {uri.removeprefix(f"{folder}/") for uri in storage.list_files(folder)}
    assert {f"views/step_{step:06d}.jpg" for step in range(1, 9)} < kept
    assert "profile/steps_7-8.trace.json.gz" in kept
    run = TrainingRun.find_or_create(registry_client(mlflow_uri), mlflow_uri, done.run_key)
    for _ in "twice":
        run.log_files(folder, "views")
    artifacts = registry_client(mlflow_uri).list_artifacts(run.run_id, "views")
    assert {artifact.path for artifact in artifacts} == {name for name in kept if name.startswith("views/")}
    assert losses(folder) == losses(Path(undisturbed.package).parent)
    package = resolve_model(done.package)
    assert load_package(package)[1] == brief
    assert (package / "weights.safetensors").read_bytes() == (
        Path(undisturbed.package) / "weights.safetensors"
    ).read_bytes()


def test_an_upload_that_is_cut_costs_a_checkpoint_and_a_store_that_stays_away_the_run(
    drawn_dataset: str,
    brief: Recipe,
    undisturbed: TrainResult,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SSTRACK_WORK", str(tmp_path))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with faulty_proxy(s3_server.endpoint) as proxy:
        for name, value in {**s3_server.environment, "AWS_ENDPOINT_URL": proxy.endpoint}.items():
            monkeypatch.setenv(name, value)
        datasets = open_datasets([drawn_dataset])
        proxy.spoil("503", 1, "PUT", "/step_000004/optimizer.safetensors")
        done = train(datasets, brief, s3_server.url("cut"))
        assert proxy.seen["503"] == 1 and "a checkpoint could not be written, training goes on" in caplog.text
        folder = s3_server.url("cut", done.run_key)
        assert losses(folder) == losses(Path(undisturbed.package).parent)
        proxy.spoil("503", 10**6, "PUT", "/optimizer.safetensors")
        with pytest.raises(SSTrackError, match=r"optimizer\.safetensors"):
            train(datasets, brief, s3_server.url("away"))
        proxy.spoil("", 0)
        assert train(datasets, brief, s3_server.url("away")).steps == 8


def test_a_damaged_checkpoint_gives_way_to_the_one_before_and_leftovers_go(
    drawn_dataset: str, brief: Recipe, undisturbed: TrainResult, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / undisturbed.run_key
    with pytest.raises(Interrupted):
        train(open_datasets([drawn_dataset]), brief, str(tmp_path), progress=stop_at(6))
    newest = folder / "checkpoints/step_000004/net.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1] + b"?")
    (folder / "checkpoints/step_000005").mkdir()
    (folder / "checkpoints/step_000005/net.safetensors").write_bytes(b"half")
    train(open_datasets([drawn_dataset]), brief, str(tmp_path))
    assert "does not have the sha256" in caplog.text and "going on from the one before it" in caplog.text
    assert losses(folder) == losses(Path(undisturbed.package).parent)
    assert not (folder / "checkpoints/step_000005").exists()


def test_a_checkpoint_of_another_recipe_is_refused(
    drawn_dataset: str, brief: Recipe, undisturbed: TrainResult, tmp_path: Path
) -> None:
    other = recipe("tiny_cpu", {**BRIEF, "seed": 5})
    key = run_key(other, open_datasets([drawn_dataset]))
    shutil.copytree(Path(undisturbed.package).parent / "checkpoints", tmp_path / key / "checkpoints")
    with pytest.raises(SSTrackError, match="of another recipe, dataset or version"):
        train(open_datasets([drawn_dataset]), other, str(tmp_path))


def test_validation_ends_a_training_that_learns_nothing_more(drawn_dataset: str, tmp_path: Path) -> None:
    still = recipe("tiny_cpu", {**BRIEF, "optim.lr": 1e-30, "optim.ema_decay": 0, "validation.patience": 2})
    done = train(open_datasets([drawn_dataset]), still, str(tmp_path))
    assert done.steps == 6 and package_facts(Path(done.package))["step"] == 2
    facts = json.loads((tmp_path / done.run_key / "checkpoints/step_000006/meta.json").read_text())["facts"]
    assert facts["stopped"] and facts["best_step"] == 2


def test_a_mixture_has_a_key_of_its_own_and_the_order_of_weights_counts(
    drawn_dataset: str, brief: Recipe, undisturbed: TrainResult, tmp_path: Path
) -> None:
    mixed = train(open_datasets([drawn_dataset, drawn_dataset], weights=[1, 3]), brief, str(tmp_path))
    assert mixed.run_key != undisturbed.run_key
    assert [each["weight"] for each in mixed.datasets] == [1, 3]
    assert losses(tmp_path / mixed.run_key) != losses(Path(undisturbed.package).parent)
    assert train(open_datasets([drawn_dataset, drawn_dataset], weights=[2, 6]), brief, str(tmp_path)).found
