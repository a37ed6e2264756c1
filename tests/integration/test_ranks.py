"""The loss does not depend on how groups are spread over ranks; initial weights arrive from files and stores."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from simplejpeg import decode_jpeg

from pipelines import storage
from pipelines.errors import SSTrackError, UsageError
from pipelines.training.initial_net import initial_net
from pipelines.training.initial_weights import settle_weights
from pipelines.training.metrics import read_metrics
from pipelines.training.ranks import arithmetic
from sstrack.configs.recipe import as_dict, config_digest
from sstrack.models.package import load_package, save_package
from sstrack.models.weights_files import sha256_of
from sstrack.recipes import recipe
from tests.s3 import S3Server

# Everything that could tie a loss to its rank: stochastic depth, batch norm, elimination, negatives of other groups.
GROUPS = {
    "net.width": 24,
    "net.heads": 2,
    "net.depth": 3,
    "net.head_width": 16,
    "net.template_size": 16,
    "net.search_size": 48,
    "net.drop_path": 0.2,
    "net.head_norm": "batch",
    "net.keep_ratio": 0.7,
    "objective.negatives": "all_groups",
    "objective.template_use_every": 0,
    "data.groups": 3,
    "data.group_size": 2,
    "optim.steps": 4,
    "optim.warmup": 0,
    "optim.lr": 1e-4,
    "optim.ema_decay": 0.9,
    "validation.share": 0.2,
    "validation.every": 2,
    "validation.groups": 2,
    "checkpoint_every": 2,
}


def train_with(dataset: str, runs: list[dict[str, object]]) -> None:
    wanted = json.dumps(as_dict(recipe("tiny_cpu", GROUPS)))
    command = [sys.executable, "-m", "tests.rank_runs", dataset, wanted]
    done = subprocess.run([*command, *map(json.dumps, runs)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def last_row(folder: Path) -> dict[str, float]:
    return read_metrics(folder)[-1]


@pytest.fixture(scope="module")
def trained(drawn_dataset: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training by 1, 2 and 3 ranks, sharded over 3, and by 3, then 2, then 1 of which one was killed."""
    out = tmp_path_factory.mktemp("ranks")
    changing = str(out / "changing")
    train_with(
        drawn_dataset,
        [
            *({"folder": str(out / f"world{world}"), "world": world} for world in (1, 2, 3)),
            {"folder": str(out / "sharded"), "world": 3, "options": {"parallel": "fsdp"}},
            {"folder": changing, "world": 3, "signal": [1, 4, signal.SIGKILL], "options": {"timeout_s": 20}},
            {"folder": changing, "world": 2},
        ],
    )
    return out


def test_one_two_three_and_sharded_ranks_train_alike(trained: Path) -> None:
    alone = last_row(trained / "world1")
    weights = load_file(trained / "world1/package/weights.safetensors")
    assert alone["step"] == 4 and alone["validation_loss"] > 0
    for other in ("world2", "world3", "sharded"):
        row = last_row(trained / other)
        for name in ("loss", "contrastive"):
            assert row[name] == pytest.approx(alone[name], rel=1e-3), (other, name)
        # What is evaluated sees running statistics, which follow the order in which a rank met its groups: two
        # runs gave 1 % and 2.4 %.
        assert row["validation_loss"] == pytest.approx(alone["validation_loss"], rel=5e-2), other
        spread = load_file(trained / other / "package/weights.safetensors")
        assert spread.keys() == weights.keys()
        for name in (name for name in weights if "running" not in name and "tracked" not in name):
            torch.testing.assert_close(spread[name], weights[name], atol=2e-4, rtol=1e-2, msg=f"{other}: {name}")


def test_sharded_ranks_draw_the_pictures_that_whole_ones_draw(trained: Path) -> None:
    whole, sharded = (sorted((trained / each / "views").iterdir()) for each in ("world3", "sharded"))
    expected = [f"step_00000{n}.jpg" for n in range(1, 5)]
    assert [path.name for path in whole] == [path.name for path in sharded] == expected
    for one, other in zip(whole, sharded, strict=True):
        difference = decode_jpeg(one.read_bytes()).astype(float) - decode_jpeg(other.read_bytes())
        assert abs(difference).mean() < 1


def test_a_rank_that_dies_is_named_and_fewer_go_on_where_the_checkpoint_was(trained: Path) -> None:
    folder = trained / "changing"
    said = (folder / "rank0.txt").read_text() + (folder / "rank2.txt").read_text()
    assert re.search(r"rank \d of 3 lost the others in step .*rank 1 \(process \d+ on \S+\) is frozen", said), said
    assert last_row(folder)["loss"] == pytest.approx(last_row(trained / "world1")["loss"], rel=1e-3)
    assert [row["step"] for row in read_metrics(folder)] == [2, 4]


def test_a_frozen_rank_is_named(drawn_dataset: str, tmp_path: Path) -> None:
    frozen = {"folder": str(tmp_path), "world": 2, "signal": [1, 2, signal.SIGSTOP], "options": {"timeout_s": 6}}
    train_with(drawn_dataset, [frozen])
    assert re.search(r"rank 1 \(process \d+ on \S+\) is frozen or dead", (tmp_path / "rank0.txt").read_text())


def test_weights_in_a_store_are_fetched_once_and_named_by_their_digest(s3_server: S3Server, tmp_path: Path) -> None:
    made = recipe("tiny_cpu", GROUPS)
    folder = save_package(tmp_path / "package", initial_net(made)[0], made, {})
    uri = s3_server.url("weights", "start.safetensors")
    storage.write_atomic(uri, (folder / "weights.safetensors").read_bytes())
    wanted = recipe("tiny_cpu", {**GROUPS, "net.weights": uri, "seed": 9})
    settled = settle_weights(wanted, tmp_path / "cache")
    digest = sha256_of(folder / "weights.safetensors")
    assert settled.net.weights_sha256 == digest and Path(settled.net.weights).parent == tmp_path / "cache"
    assert settle_weights(settled, tmp_path / "cache") == settled
    for name, tensor in initial_net(settled)[0].state_dict().items():
        assert torch.equal(tensor, initial_net(made)[0].state_dict()[name])
    elsewhere = recipe("tiny_cpu", {**GROUPS, "net.weights": str(folder / "weights.safetensors"), "seed": 9})
    assert config_digest(settle_weights(elsewhere, tmp_path / "cache")) == config_digest(settled)
    package = save_package(tmp_path / "trained", initial_net(settled)[0], settled, {})
    assert str(tmp_path) not in (package / "config.json").read_text()
    assert load_package(package)[1].net.weights == f"sha256:{digest}"


def test_weights_that_are_missing_or_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(UsageError, match="no such file"):
        settle_weights(recipe("tiny_cpu", {"net.weights": str(tmp_path / "none.pth")}), tmp_path)
    with pytest.raises(UsageError, match="another file, or damaged"):
        settle_weights(recipe("tiny_cpu", {"net.weights": str(path), "net.weights_sha256": "0" * 64}), tmp_path)
    with pytest.raises(SSTrackError, match="of another network"):
        initial_net(settle_weights(recipe("tiny_cpu", {"net.weights": str(path)}), tmp_path))


def test_deterministic_arithmetic_is_in_force_for_a_training_and_not_after() -> None:
    with arithmetic(deterministic=True):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
