"""What is watched of a training: pictures and profiles that change nothing of it."""

import gzip
import json
import logging
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from pipelines.errors import UsageError
from pipelines.training.launch import train
from pipelines.training.options import TrainOptions
from pipelines.training.watch import Watch, WatchPlan, plan_watch
from pipelines.trainings.find import open_datasets
from sstrack.models.tracker_net import TrackerNet
from sstrack.objectives.base import ClipBatch
from sstrack.objectives.registry import build_objective
from sstrack.objectives.step import TrainStep
from sstrack.recipes import recipe
from tests.dataset_factory import make_dataset
from tests.factories import TINY
from tests.moving_squares import squares

SMALL = {"net.depth": 1, "net.width": 32, "net.heads": 2, "net.head_width": 16, "net.drop_path": 0.5}


def trained(folder: Path, plan: WatchPlan, start: int = 0, steps: int = 6) -> tuple[list[float], TrackerNet]:
    """Losses and network of a few steps in which every kind of random state and statistic has a part."""
    built = recipe("tiny_cpu", {**SMALL, "net.head_norm": "batch"})
    torch.manual_seed(0)
    net = TrackerNet(built.net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    step = TrainStep(net, build_objective(built.net, built.objective))
    batch: ClipBatch = squares()
    losses: list[float] = []
    net.train()
    with closing(Watch(str(folder), plan, step, start)) as watch:
        watch.begin()
        for done in range(start + 1, steps + 1):
            loss, _ = step(batch, torch.Generator().manual_seed(done), done / steps)
            (loss + torch.rand(())).backward()  # a draw from the global generator, which a step leaves somewhere
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
            watch.step(done, batch, done, done / steps)
            losses.append(float(torch.rand(())))
    return losses, net


def test_pictures_and_profile_change_nothing_of_a_training(tmp_path: Path) -> None:
    plain, net = trained(tmp_path / "plain", WatchPlan())
    watched, same = trained(tmp_path / "watched", WatchPlan(2, (3, 4)))
    assert plain == watched
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), same.state_dict().values(), strict=True))
    assert any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    assert not (tmp_path / "plain").exists()
    names = sorted(path.name for path in (tmp_path / "watched/views").iterdir())
    assert names == ["step_000002.jpg", "step_000004.jpg", "step_000006.jpg"]
    pictures = [np.asarray(cv2.imread(str(tmp_path / "watched/views" / name))) for name in names]
    assert pictures[0].shape == (4 * 112 + 36, 13 * 112, 3) and (pictures[0] != pictures[2]).any()


def test_a_profile_is_a_trace_that_opens_and_names_what_the_objective_does(tmp_path: Path) -> None:
    trained(tmp_path, WatchPlan(profile=(2, 3)), steps=4)
    trace = json.loads(gzip.decompress((tmp_path / "profile/steps_2-3.trace.json.gz").read_bytes()))
    names = [event.get("name") for event in trace["traceEvents"]]
    assert names.count("forward tracking") == names.count("backward tracking") == names.count("copy-paste") == 2
    assert "aten::addmm" in names or "aten::mm" in names
    table = (tmp_path / "profile/steps_2-3.txt").read_text()
    assert "Self CPU" in table and "aten::" in table
    assert len(list((tmp_path / "profile").iterdir())) == 2


def test_a_resumed_training_profiles_what_is_left_of_the_range(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained(tmp_path, WatchPlan(profile=(2, 4)), start=2, steps=5)
    assert (tmp_path / "profile/steps_3-4.trace.json.gz").is_file()
    with caplog.at_level(logging.WARNING):
        trained(tmp_path / "late", WatchPlan(profile=(2, 3)), start=3, steps=4)
    assert "step 3 was done before" in caplog.text and not (tmp_path / "late").exists()


def test_a_place_that_refuses_pictures_ends_no_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "views").write_text("in the way")
    (tmp_path / "profile").write_text("in the way")
    assert trained(tmp_path, WatchPlan(2, (1, 1)), steps=2) is not None
    assert "the picture step_000002 is not kept" in caplog.text and "the profile is not kept" in caplog.text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("20", "between 1 and the training's last, 10"),
        ("5-3", "in rising order"),
        ("0-2", "between 1"),
        ("a-b", "20-25 say"),
        ("-3", "20-25 say"),
        ("1-2-3", "20-25 say"),
    ],
)
def test_a_wrong_range_is_one_sentence(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        plan_watch(10, profile=text)


def test_the_numbers_of_pictures_and_profiled_steps_are_bounded() -> None:
    assert plan_watch(320) == WatchPlan(32, None) and plan_watch(3) == WatchPlan(1, None)
    assert plan_watch(320, 0, "7") == WatchPlan(0, (7, 7))
    with pytest.raises(UsageError, match="at most 50 pictures, so use at least 7"):
        plan_watch(320, 6)
    with pytest.raises(UsageError, match="try 1-20"):
        plan_watch(320, profile="1-100")


def test_a_whole_run_ends_with_the_same_bytes_whether_watched_or_not(tmp_path: Path) -> None:
    make_dataset(str(tmp_path / "dataset"), tmp_path)
    tiny = recipe("tiny_cpu", {**TINY, "objective.template_use_every": 0})
    weights = []
    for name, options in (
        ("plain", TrainOptions(view_every=0)),
        ("watched", TrainOptions(view_every=1, profile="1-2")),
    ):
        done = train(open_datasets([str(tmp_path / "dataset")]), tiny, str(tmp_path / name), options=options)
        weights.append((Path(done.package) / "weights.safetensors").read_bytes())
        pictures = list(Path(done.package).parent.glob("views/*.jpg"))
        assert len(pictures) == (3 if name == "watched" else 0)
    assert weights[0] == weights[1]
    with pytest.raises(UsageError, match="in rising order"):
        train(
            open_datasets([str(tmp_path / "dataset")]), tiny, str(tmp_path / "no"), options=TrainOptions(profile="3-2")
        )
    assert not (tmp_path / "no").exists()
