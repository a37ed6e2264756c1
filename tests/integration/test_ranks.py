"""The loss does not depend on how groups are spread over ranks; initial weights arrive from files and stores."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines import storage
from pipelines.errors import SSTrackError, UsageError
from pipelines.training.initial_weights import settle_weights
from pipelines.training.loop import build_net
from pipelines.training.metrics import read_metrics
from pipelines.training.ranks import arithmetic
from sstrack.models.package import load_package, save_package
from sstrack.models.weights_files import sha256_of
from sstrack.recipes import as_dict, config_digest, recipe
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
    "optim.steps": 3,
    "optim.warmup": 0,
    "optim.lr": 1e-4,
}


def test_one_two_and_three_ranks_train_alike(real_dataset: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.rank_runs", str(real_dataset), str(tmp_path)]
    command += [json.dumps(as_dict(recipe("tiny_cpu", GROUPS))), "{}", "1", "2", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = {world: read_metrics(tmp_path / f"world{world}")[-1] for world in (1, 2, 3)}
    for world in (2, 3):
        assert rows[world]["loss"] == pytest.approx(rows[1]["loss"], rel=1e-4)
        assert rows[world]["contrastive"] == pytest.approx(rows[1]["contrastive"], rel=1e-4)
    alone = load_file(tmp_path / "world1/package/weights.safetensors")
    for world in (2, 3):
        spread = load_file(tmp_path / f"world{world}/package/weights.safetensors")
        assert spread.keys() == alone.keys()
        # Running statistics follow the order in which a rank met its groups; the loss does not see them.
        for name in (name for name in alone if "running" not in name and "tracked" not in name):
            torch.testing.assert_close(spread[name], alone[name], atol=2e-4, rtol=1e-2, msg=f"{world} ranks: {name}")


def test_weights_in_a_store_are_fetched_once_and_named_by_their_digest(s3_server: S3Server, tmp_path: Path) -> None:
    made = recipe("tiny_cpu", GROUPS)
    folder = save_package(tmp_path / "package", build_net(made), made, {})
    uri = s3_server.url("weights", "start.safetensors")
    storage.write_atomic(uri, (folder / "weights.safetensors").read_bytes())
    wanted = recipe("tiny_cpu", {**GROUPS, "net.weights": uri, "seed": 9})
    settled = settle_weights(wanted, tmp_path / "cache")
    digest = sha256_of(folder / "weights.safetensors")
    assert settled.net.weights_sha256 == digest and Path(settled.net.weights).parent == tmp_path / "cache"
    assert settle_weights(settled, tmp_path / "cache") == settled
    for name, tensor in build_net(settled).state_dict().items():
        assert torch.equal(tensor, build_net(made).state_dict()[name])
    elsewhere = recipe("tiny_cpu", {**GROUPS, "net.weights": str(folder / "weights.safetensors"), "seed": 9})
    assert config_digest(settle_weights(elsewhere, tmp_path / "cache")) == config_digest(settled)
    package = save_package(tmp_path / "trained", build_net(settled), settled, {})
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
        build_net(settle_weights(recipe("tiny_cpu", {"net.weights": str(path)}), tmp_path))


def test_deterministic_arithmetic_is_in_force_for_a_training_and_not_after() -> None:
    with arithmetic(deterministic=True):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
