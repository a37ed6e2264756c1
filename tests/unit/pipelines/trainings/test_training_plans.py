"""What is refused before a training starts, in one sentence; how options and keys are read."""

import dataclasses
from pathlib import Path

import pytest
import torch

from pipelines.dataset.dataset import Dataset
from pipelines.dataset.samples import is_held_out
from pipelines.errors import SSTrackError, UsageError
from pipelines.training.options import train_options, worker_range
from pipelines.training.preflight import memory_bytes, parameters, require_disk, require_memory, require_workers
from pipelines.training.spec import TrainingSpec, data_digest
from pipelines.trainings.find import open_datasets
from sstrack.configs.recipe import Recipe
from sstrack.models.tracker_net import TrackerNet
from sstrack.recipes import recipe


def spec(folder: Path, config: Recipe, workers: str = "0", **options: object) -> TrainingSpec:
    data = Dataset("somewhere", "ab" * 32, content="cd" * 32)
    return TrainingSpec((data,), config, str(folder), "key", workers, train_options(options))


def test_workers_are_a_number_or_a_range() -> None:
    assert [worker_range(given) for given in (0, 4, "4", "2-8")] == ["0", "4", "4", "2-8"]
    for wrong in ("-1", "8-2", "0-2", "two", "1-", 1.5):
        with pytest.raises(UsageError, match="workers"):
            worker_range(wrong)  # type: ignore[arg-type]


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(UsageError, match=r"training option keep: .* \(given: 0\)"):
        train_options({"keep": 0})
    with pytest.raises(UsageError, match="training option kepe"):
        train_options({"kepe": 3})


def test_every_worker_needs_a_group_and_shards_the_same_number(tmp_path: Path) -> None:
    config = recipe("tiny_cpu", {"data.groups": 4})
    require_workers(spec(tmp_path, config, "2-4"))
    with pytest.raises(UsageError, match=r"5 workers for 4 groups.*--set data\.groups=5"):
        require_workers(spec(tmp_path, config, "2-5"))
    with pytest.raises(UsageError, match="do not spread evenly over 3 workers"):
        require_workers(spec(tmp_path, config, "2-4", parallel="fsdp"))


def test_a_disk_too_small_for_the_checkpoints_is_refused_before_the_first(tmp_path: Path) -> None:
    require_disk(spec(tmp_path / "new", recipe("tiny_cpu")))
    vast = recipe("b256", {"net.width": 12 * 8192, "net.depth": 48})
    with pytest.raises(SSTrackError, match=r"no space left to write the checkpoints of key: 4 of \d+\.\d+ GiB"):
        require_disk(spec(tmp_path / "new", vast))
    assert not (tmp_path / "new").exists()


def test_a_group_too_large_for_the_memory_is_refused_with_a_smaller_one() -> None:
    require_memory(recipe("tiny_cpu"), torch.device("cpu"), 2)
    with pytest.raises(SSTrackError, match=r"of b384 takes about .*--set data\.group_size=512 --set data\.groups=4"):
        require_memory(recipe("b384", {"data.group_size": 1024}), torch.device("cpu"), 1)


@pytest.mark.parametrize("name", ["tiny_cpu", "s14"])
def test_the_parameters_of_a_network_are_known_without_building_it(name: str) -> None:
    config = recipe(name, {"net.weights": ""})
    there = sum(parameter.numel() for parameter in TrackerNet(config.net).parameters())
    assert parameters(config) == pytest.approx(there, rel=0.1)
    assert memory_bytes(config) > 16 * there


def test_held_out_clips_are_few_and_stay_so_as_the_share_grows() -> None:
    names = [f"{number:04d}" for number in range(2000)]
    few, more = ({name for name in names if is_held_out(name, share)} for share in (0.1, 0.3))
    assert few < more and len(few) == pytest.approx(200, rel=0.3) and len(more) == pytest.approx(600, rel=0.2)
    assert not any(is_held_out(name, 0.0) for name in names)


def test_data_is_named_by_contents_and_the_proportion_of_weights() -> None:
    a, b = Dataset("a", "1" * 64, content="3" * 64), Dataset("b", "2" * 64, content="4" * 64)
    moved = dataclasses.replace(a, uri="elsewhere", manifest="5" * 64, weight=3.0)
    assert data_digest([a]) == data_digest([moved]) != data_digest([b])
    double = [dataclasses.replace(each, weight=2.0) for each in (a, b)]
    assert data_digest([a, b]) == data_digest(double) != data_digest([a, double[1]])


def test_datasets_and_weights_have_to_fit() -> None:
    with pytest.raises(UsageError, match="1 weights for 2 datasets"):
        open_datasets(["a", "b"], weights=[1.0])
    with pytest.raises(UsageError, match="must be above 0"):
        open_datasets(["a", "b"], weights=[1.0, 0.0])
    with pytest.raises(UsageError, match="a manifest goes with one dataset"):
        open_datasets(["a", "b"], manifest="c")
