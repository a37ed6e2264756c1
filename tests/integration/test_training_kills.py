"""Trainings on Ray whose workers, driver and whole cluster are killed, and that end as the undisturbed one."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from pipelines.training.launch import train
from pipelines.training.metrics import read_metrics
from pipelines.training.result import TrainResult
from pipelines.training.spec import run_key
from pipelines.trainings.find import open_datasets
from sstrack.configs.recipe import Recipe
from sstrack.recipes import recipe

STEPS = 120
BRIEF = {
    "net.width": 24,
    "net.heads": 2,
    "net.depth": 1,
    "net.head_width": 16,
    "net.template_size": 16,
    "net.search_size": 48,
    "data.group_size": 2,
    "data.groups": 2,
    "optim.steps": STEPS,
    "checkpoint_every": 5,
    "objective.template_use_every": 0,
}


@pytest.fixture(scope="module")
def brief() -> Recipe:
    return recipe("tiny_cpu", BRIEF)


@pytest.fixture(scope="module")
def undisturbed(drawn_dataset: str, brief: Recipe, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(open_datasets([drawn_dataset]), brief, str(tmp_path_factory.mktemp("runs")))


class Training:
    """A driver in a process of its own, with a private Ray."""

    def __init__(self, dataset: str, out: Path, workers: str, overrides: Mapping[str, object] = BRIEF) -> None:
        script = (
            "import json, sys\n"
            "from pipelines.training.launch import train\n"
            "from pipelines.trainings.find import open_datasets\n"
            "from sstrack.recipes import recipe\n"
            f"wanted = recipe('tiny_cpu', {dict(overrides)!r})\n"
            f"print(json.dumps(train(open_datasets([{dataset!r}]), wanted, {str(out)!r},"
            f" workers={workers!r}, progress=lambda row: print(row['step'], file=sys.stderr)).as_dict()))"
        )
        environment = {**os.environ, "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def kin(self, name: str) -> list[psutil.Process]:
        """Living processes under the driver whose command begins with or names `name`."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        found = []
        for child in children:
            try:
                if name in " ".join(child.cmdline()):
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return found

    def ended(self) -> None:
        """Wait until it has ended well."""
        _, said = self.process.communicate(timeout=400)
        assert self.process.returncode == 0, said[-3000:]

    def wait_for(self, folder: Path, step: int) -> None:
        """Until the checkpoint of a step, or a later one, is there."""
        deadline = time.monotonic() + 400
        while newest(folder) < step:
            assert time.monotonic() < deadline and self.process.poll() is None, self.process.communicate()[1][-3000:]
            time.sleep(0.02)


def newest(folder: Path) -> int:
    found = [int(path.parent.name.removeprefix("step_")) for path in folder.glob("checkpoints/step_*/meta.json")]
    return max(found, default=0)


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=180)
    return not alive


def losses(folder: Path, steps: int = STEPS) -> list[float]:
    assert [row["step"] for row in read_metrics(folder)] == list(range(5, steps + 1, 5))
    return [row["loss"] for row in read_metrics(folder)]


def assert_equal_but_for_rounding(found: list[float], wanted: list[float]) -> None:
    """Other numbers of processes add up in another order, and in time a rounding moves a predicted cell."""
    assert found[:2] == pytest.approx(wanted[:2], rel=1e-3) and found == pytest.approx(wanted, rel=5e-2)


def kill(training: Training, what: str) -> list[psutil.Process]:
    """Kill a part of a training; returns what has to be gone thereafter."""
    # Ray's own agents look every minute whether they are still needed.
    everything = [
        each for name in ("ray::RayTrain", "ray::Train", "raylet", "gcs_server") for each in training.kin(name)
    ]
    if what == "worker":
        random.choice(training.kin("ray::RayTrainWorker")).kill()
        return []
    if what == "driver":
        training.process.kill()
    else:
        for process in training.kin("raylet") + training.kin("gcs_server"):
            process.kill()
    return everything


def test_a_killed_worker_driver_and_cluster_cost_a_few_steps_and_nothing_else(
    drawn_dataset: str, brief: Recipe, undisturbed: TrainResult, tmp_path: Path
) -> None:
    folder = tmp_path / undisturbed.run_key
    first = Training(drawn_dataset, tmp_path, "1-2")
    first.wait_for(folder, 10)
    kill(first, "worker")
    first.wait_for(folder, newest(folder) + 10)  # the same driver has begun anew
    left = kill(first, "driver")
    first.process.communicate()
    assert gone(left) and not (folder / "result.json").exists()

    second = Training(drawn_dataset, tmp_path, "2")
    second.wait_for(folder, newest(folder) + 5)
    left = kill(second, "cluster")
    said = second.process.communicate(timeout=180)[1]
    assert second.process.returncode != 0 and gone(left), said[-3000:]

    done = train(open_datasets([drawn_dataset]), brief, str(tmp_path))  # without Ray
    assert not done.found and done.steps == STEPS
    assert_equal_but_for_rounding(losses(folder), losses(Path(undisturbed.package).parent))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_twelve_kills_at_random_steps_leave_the_losses_of_an_undisturbed_run(
    drawn_dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random.seed(20261123)
    how = {**BRIEF, "optim.steps": 600}
    undisturbed = Training(drawn_dataset, tmp_path / "undisturbed", "2", how)
    undisturbed.ended()
    key = run_key(recipe("tiny_cpu", how), open_datasets([drawn_dataset]))
    folder = tmp_path / key
    kinds = ["worker", "driver", "cluster"] * 4
    random.shuffle(kinds)
    training, table = Training(drawn_dataset, tmp_path, "2", how), []
    for kind in kinds:
        training.wait_for(folder, newest(folder) + 5)
        time.sleep(random.random())
        at, killed = newest(folder), time.monotonic()
        left = kill(training, kind)
        if kind != "worker":  # there the same driver begins anew
            training.process.communicate(timeout=240)
            assert gone(left)
            training = Training(drawn_dataset, tmp_path, "2", how)
        while newest(folder) <= at:
            if training.process.poll() is not None:  # it forgives no more lost workers in a row
                training = Training(drawn_dataset, tmp_path, "2", how)
            time.sleep(0.1)
        back = f": past it after {time.monotonic() - killed:2.0f} s" if kind == "worker" else ""
        table.append(f"{kind:8} after checkpoint {at:3}{back}")
    training.ended()
    with capsys.disabled():
        print("", *table, sep="\n")
    assert losses(folder, 600) == losses(tmp_path / "undisturbed" / key, 600)
