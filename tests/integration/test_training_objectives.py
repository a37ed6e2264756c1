"""Every objective trains on real video with the real loader and loop, and says what it measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.dataset.dataset import Dataset
from pipelines.dataset.loader import ClipLoader
from pipelines.dataset.manifest import load_manifest
from pipelines.errors import SSTrackError
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import ingest
from pipelines.training.launch import train
from pipelines.training.metrics import read_metrics
from pipelines.trainings.find import open_datasets
from sstrack.configs.data import DataConfig
from sstrack.configs.recipe import Recipe
from sstrack.recipes import recipe
from tests.factories import TINY

SSTRACK = str(Path(sys.executable).with_name("sstrack"))


def two_groups(objective: dict[str, object]) -> Recipe:
    return recipe("tiny_cpu", {**TINY, "data.groups": 2, **{f"objective.{k}": v for k, v in objective.items()}})


def trained(dataset: Path, out: Path, **objective: object) -> dict[str, float]:
    """The last row of metrics of three steps in two groups."""
    result = train(open_datasets([str(dataset)]), two_groups(objective), str(out))
    return read_metrics(out / result.run_key)[-1]


def test_an_objective_is_chosen_on_the_command_line(real_dataset: Path, tmp_path: Path) -> None:
    sets = {**TINY, "objective.name": "cycle"}
    words = [word for name, value in sets.items() for word in ("--set", f"{name}={value}")]
    command = [SSTRACK, "train", str(real_dataset), "--recipe", "tiny_cpu", "--out", str(tmp_path), "--json"]
    done = subprocess.run([*command, "--workers", "0", *words], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr
    package = Path(json.loads(done.stdout)["package"])
    assert json.loads((package / "config.json").read_text())["recipe"]["objective"]["name"] == "cycle"
    row = read_metrics(package.parent)[-1]
    assert {"similarity", "backward_iou", "template_lead"} <= set(row)


def test_a_misspelt_objective_is_a_usage_error_that_names_the_near_one(real_dataset: Path, tmp_path: Path) -> None:
    command = [SSTRACK, "train", str(real_dataset), "--out", str(tmp_path), "--set", "objective.name=cicle"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "did you mean cycle" in done.stderr


@pytest.mark.parametrize("name", ["single_frame", "tads"])
def test_baselines_train_on_unlabelled_video(real_dataset: Path, tmp_path: Path, name: str) -> None:
    row = trained(real_dataset, tmp_path, name=name)
    assert row["loss"] > 0 and row["skipped"] == 0 and 0 <= row["search_iou"] <= 1


@pytest.fixture(scope="module")
def labelled_dataset(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real sequences with true boxes in every frame, stored at half their size or less."""
    folder = tmp_path_factory.mktemp("labelled") / "dataset"
    sequences = shared / "data" / "sequences" / "otb"
    ingest(
        [str(sequences / name) for name in ("Couple", "Crossing", "Football1", "Skiing")],
        str(folder),
        IngestConfig(long_side=160),
        allow_benchmarks=True,
    )
    return folder


def test_labels_reach_the_sample_in_pixels_of_its_frames(labelled_dataset: Path, shared: Path) -> None:
    manifest = load_manifest(str(labelled_dataset)).digest
    config = DataConfig(n_search=2, group_size=4, groups=1)
    batch = ClipLoader([Dataset(str(labelled_dataset), manifest)], config, seed=1).group(0, 0)
    assert batch.boxes.shape == (4, 3, 4) and batch.boxes.isfinite().all()
    torch.testing.assert_close(batch.boxes[:, 0], batch.seeds)
    truth = torch.from_numpy(np.loadtxt(shared / "data/sequences/otb/Crossing/groundtruth_rect.txt"))
    stored = truth - torch.tensor([1, 1, 0, 0])
    scale = (batch.sizes / torch.tensor([360, 240])).repeat(1, 2)[:, None]
    nearest = (batch.boxes[:, :, None] / scale[:, :, None] - stored).abs().amax(-1).amin(-1)
    assert nearest.amax(1).min() < 0.01


def test_labelled_video_is_trained_on_its_labels_and_measures_forward_tracking(
    labelled_dataset: Path, tmp_path: Path
) -> None:
    row = trained(labelled_dataset, tmp_path, name="supervised")
    assert row["labelled"] == 1 and row["loss"] > 0 and 0 <= row["search_iou"] <= 1
    row = trained(labelled_dataset, tmp_path, known_templates_until=0, paste_share=0)
    assert 0 <= row["labelled_iou"] <= 1 and row["forward_iou"] == row["labelled_iou"]


def test_supervised_training_without_labels_is_refused_unless_the_rest_is_trained_otherwise(
    real_dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(SSTrackError, match="no labelled clip"):
        trained(real_dataset, tmp_path, name="supervised")
    row = trained(real_dataset, tmp_path, name="supervised", unlabelled="decoupled")
    assert row["labelled"] == 0 and row["loss"] > 0 and "search_iou" not in row


def test_targets_of_other_groups_make_the_contrast_harder(real_dataset: Path, tmp_path: Path) -> None:
    wide = trained(real_dataset, tmp_path, negatives="all_groups")
    assert wide["contrastive"] > trained(real_dataset, tmp_path)["contrastive"]


def test_template_use_is_measured_every_so_many_steps_and_never_where_not_asked(
    real_dataset: Path, tmp_path: Path
) -> None:
    row = trained(real_dataset, tmp_path)
    assert row["template_lead"] == pytest.approx(
        row["template_right"] - max(row["template_zeroed"], row["template_foreign"])
    )
    assert not any(name.startswith("template_") for name in trained(real_dataset, tmp_path, template_use_every=0))
