"""Training on real video: with and without Ray, found again, resumed after a kill, refused where it must be."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.dataset.manifest import load_manifest
from pipelines.errors import SSTrackError, UsageError
from pipelines.training.launch import train
from pipelines.training.metrics import read_metrics
from pipelines.training.spec import run_key
from pipelines.trainings.find import open_datasets
from sstrack.configs.recipe import Recipe
from sstrack.models.package import load_package
from sstrack.models.package_files import package_facts
from sstrack.recipes import recipe

SMALL = {
    "net.width": 48,
    "net.depth": 1,
    "data.group_size": 3,
    "optim.steps": 30,
    "optim.warmup": 5,
    "checkpoint_every": 10,
}


@pytest.fixture(scope="module")
def small() -> Recipe:
    return recipe("tiny_cpu", SMALL)


@pytest.fixture(scope="module")
def undisturbed(real_dataset: Path, small: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's folder after a training without Ray, in a process of its own."""
    out = tmp_path_factory.mktemp("runs")
    child = start_training(real_dataset, out)
    assert child.wait() == 0
    return out / run_key(small, open_datasets([str(real_dataset)]))


def start_training(dataset: Path, out: Path) -> subprocess.Popen[bytes]:
    """A child that trains the small recipe: equal processes round alike, so their runs can be compared bit by bit."""
    script = (
        "from pipelines.training.launch import train\n"
        "from pipelines.trainings.find import open_datasets\n"
        "from sstrack.recipes import recipe\n"
        f"train(open_datasets([{str(dataset)!r}]), recipe('tiny_cpu', {SMALL!r}), {str(out)!r})\n"
    )
    return subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "HF_HUB_OFFLINE": "1"})


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(folder)]


def test_a_run_leaves_a_package_that_loads_and_says_where_it_comes_from(
    real_dataset: Path, small: Recipe, undisturbed: Path
) -> None:
    net, its_recipe = load_package(undisturbed / "package")
    start, _ = load_package(undisturbed / "untrained")
    assert its_recipe == small
    assert package_facts(undisturbed / "package")["manifest"] == load_manifest(str(real_dataset)).digest
    moved = [name for name, p in net.named_parameters() if not p.equal(start.get_parameter(name))]
    assert len(moved) == len(list(net.parameters()))


def test_a_second_call_finds_the_run(real_dataset: Path, small: Recipe, undisturbed: Path) -> None:
    again = train(open_datasets([str(real_dataset)]), small, str(undisturbed.parent))
    assert all(row["data_damaged"] == 0 <= row["data_unusable"] for row in read_metrics(undisturbed))
    assert again.found and again.package == str(undisturbed / "package")
    assert [again.loss_start, again.loss_end] == [losses(undisturbed)[0], losses(undisturbed)[-1]]


def test_a_killed_run_goes_on_where_it_was_and_ends_the_same(
    real_dataset: Path, small: Recipe, undisturbed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / run_key(small, open_datasets([str(real_dataset)]))
    child = start_training(real_dataset, tmp_path)
    deadline = time.monotonic() + 120
    while not list(folder.glob("checkpoints/step_000010")):
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (folder / "result.json").exists() and not (folder / "package").exists()
    assert start_training(real_dataset, tmp_path).wait() == 0
    assert losses(folder) == losses(undisturbed)
    assert (folder / "package/weights.safetensors").read_bytes() == (
        undisturbed / "package/weights.safetensors"
    ).read_bytes()


def test_a_full_disk_ends_the_run_with_a_reason_and_a_rerun_goes_on(
    real_dataset: Path, small: Recipe, undisturbed: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "runs")

    def limited() -> None:
        # No file may grow past 300 kB: the weights fit, the optimiser's state, written with every checkpoint, does not.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    sstrack = str(Path(sys.executable).with_name("sstrack"))
    command = [sstrack, "train", str(real_dataset), "--out", out, "--workers", "0"]
    command += [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    failed = subprocess.run(command, preexec_fn=limited, capture_output=True, text=True, cwd=tmp_path)
    assert failed.returncode == 1 and "no space left to write" in failed.stderr, failed.stderr
    assert "Traceback" not in failed.stderr
    folder = tmp_path / "runs" / undisturbed.name
    assert list(folder.glob("checkpoints/step_*")) == [] and not (folder / "package").exists()
    assert train(open_datasets([str(real_dataset)]), small, out).steps == SMALL["optim.steps"]


def test_more_workers_than_groups_are_refused(real_dataset: Path, small: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="3 workers for 2 groups"):
        train(open_datasets([str(real_dataset)]), small, str(tmp_path), workers=3)


def test_too_few_clips_fail_before_anything_starts(real_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(SSTrackError, match="clips with a seed box"):
        train(
            open_datasets([str(real_dataset)]),
            recipe("tiny_cpu", {"data.group_size": 900}),
            str(tmp_path),
            workers=2,
        )
    assert list(tmp_path.iterdir()) == []


def test_a_gradient_that_is_never_finite_ends_the_run_with_a_reason(real_dataset: Path, tmp_path: Path) -> None:
    wild = recipe("tiny_cpu", {**SMALL, "objective.l1_weight": 100.0, "objective.temperature": 1e-45})
    with pytest.raises(SSTrackError, match=r"no finite gradient, more than optim\.max_skipped=10"):
        train(open_datasets([str(real_dataset)]), wild, str(tmp_path))
