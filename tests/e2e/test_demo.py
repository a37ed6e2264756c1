"""The whole way as a person types it: video to champion, found again by a second run, and with one's own videos."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.evaluation.run import EvaluationReport, How, evaluate, evaluate_static
from pipelines.training.metrics import read_metrics
from sstrack.models.package_files import package_recipe

SSTRACK = str(Path(sys.executable).with_name("sstrack"))
MARGIN = 8.0
"""Points of AO by which a network from scratch has to beat each control; three whole runs beat each by more than 20."""
SHIPPED_MARGIN = 5.0
"""Points of AO by which the fine-tuned model has to beat the box that never moves."""


STEPS = 8
"""Of fine-tuning, fewer than the demo has by itself: enough to go all the way."""


def sstrack(*words: object, work: Path, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SSTRACK, *map(str, words)],
        env={**os.environ, "SSTRACK_WORK": str(work), "SSTRACK_WORKERS": "2"},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the output of one whole demo on embedded inputs."""
    work = tmp_path_factory.mktemp("demo") / "work"
    done = sstrack("demo", "--work", work, "--set", f"optim.steps={STEPS}", work=work)
    assert done.returncode == 0, done.stdout + done.stderr
    return work, done.stdout


def run_folder(work: Path) -> Path:
    (folder,) = [path for path in (work / "runs").iterdir() if path.is_dir()]
    return folder


@pytest.mark.timeout(1200)
def test_the_demo_ends_with_a_table_a_champion_and_what_to_type_next(demo: tuple[Path, str]) -> None:
    work, output = demo
    for row in ("video", "clips", "training", "AO fine-tuned", "AO model that ships", "AO box that never", "champion"):
        assert f"│ {row}" in output
    assert f"{STEPS} steps, loss" in output and re.search(r"dropped: .*too_short", output)
    assert (work / "tracked.png").read_bytes().startswith(b"\x89PNG")
    leads = [row["real_lead"] for row in read_metrics(run_folder(work)) if "real_lead" in row]
    assert leads and min(leads) > 0.2


@pytest.mark.timeout(600)
def test_the_champion_is_never_behind_the_model_that_ships(demo: tuple[Path, str], tmp_path: Path) -> None:
    work, output = demo
    folder, root = run_folder(work), str(work / "held-out")

    def measured(model: str) -> float:
        return evaluate(model, "folder", root, str(work / "results"), How(workers=2)).metrics["AO"]

    tuned, shipped = measured(str(folder / "package")), measured("pretrained")
    promoted = "version 2 is the champion" in output
    assert promoted == (", fine-tuned on this video" in output)
    assert tuned > shipped if promoted else "version 1 as before" in output
    assert tuned > evaluate_static("folder", root).metrics["AO"] + SHIPPED_MARGIN


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_network_from_scratch_beats_its_start_stillness_and_blank_or_foreign_templates(
    demo: tuple[Path, str], tmp_path: Path
) -> None:
    work, _ = demo
    data, runs, root = work / "dataset", tmp_path / "runs", str(work / "held-out")
    done = sstrack("train", data, "--recipe", "tiny_cpu", "--workers", 2, "--out", runs, "--json", work=work)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = [path for path in runs.iterdir() if path.is_dir()]
    rows = read_metrics(str(folder))
    assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]
    assert rows[0]["known_templates"] == 1 and rows[-1]["known_templates"] < 0.2
    # Among look-alikes the right template has to win by far: 0.16 to 0.3 on average, and 0.00 before training. A single
    # row holds a few dozen samples, and swings by 0.1.
    leads = [row["template_lead"] for row in rows if row["step"] > 100 and "template_lead" in row]
    assert len(leads) > 3 and sum(leads) / len(leads) > 0.1

    def measured(package: str, **tracking: str) -> EvaluationReport:
        return evaluate(str(folder / package), "folder", root, str(tmp_path), How(workers=2, tracking=tracking or {}))

    trained = measured("package").metrics["AO"]
    controls = {
        "untrained": measured("untrained").metrics["AO"],
        "static": evaluate_static("folder", root).metrics["AO"],
        "zeroed": measured("package", templates="zeroed").metrics["AO"],
        "swapped": measured("package", templates="swapped").metrics["AO"],
    }
    assert all(trained > control + MARGIN for control in controls.values()), (trained, controls)


def test_seed_boxes_came_from_motion_and_held_out_photographs_were_not_trained_on(demo: tuple[Path, str]) -> None:
    from pipelines.dataset.manifest import load_manifest, read_clips, read_sources
    from pipelines.demo_inputs import HELD_OUT_PHOTOS, TRAINING_PHOTOS

    work, _ = demo
    manifest = load_manifest(str(work / "dataset"))
    clips = read_clips(str(work / "dataset"), manifest).to_pylist()
    assert {clip["seed_source"] for clip in clips} <= {"motion", ""}
    sources = read_sources(str(work / "dataset"), manifest).to_pylist()
    assert not any("held-out" in source["source_uri"] for source in sources)
    assert not set(HELD_OUT_PHOTOS) & set(TRAINING_PHOTOS)


@pytest.mark.timeout(300)
def test_a_second_run_finds_everything_done(demo: tuple[Path, str]) -> None:
    work, output = demo
    before = {path: path.stat().st_mtime_ns for path in [*work.glob("runs/*/*.json*"), *work.rglob("results/**/*.txt")]}
    again = sstrack("demo", "--work", work, "--set", f"optim.steps={STEPS}", work=work)
    assert again.returncode == 0, again.stderr
    assert "found done" in again.stdout and f"of {STEPS} steps" not in again.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before
    ao = re.compile(r"AO fine-tuned\s+│ ([\d.]+)")
    first, second = ao.search(output), ao.search(again.stdout)
    assert first is not None and second is not None and first[1] == second[1]


@pytest.mark.timeout(300)
def test_the_champion_is_registered_and_tracks_from_the_registry(demo: tuple[Path, str], tmp_path: Path) -> None:
    work, _ = demo
    models = json.loads(sstrack("models", "list", "--json", work=work).stdout)
    assert {row["version"] for row in models["models"]} == {"1", "2"}
    assert sum("champion" in row["aliases"] for row in models["models"]) == 1
    frames = work / "held-out" / "scene_000"
    box = (frames / "groundtruth.txt").read_text().splitlines()[0]
    tracked = sstrack(
        *("track", frames, "--box", box, "--model", "models:/sstrack@champion", "--out", tmp_path / "boxes.txt"),
        work=work,
    )
    assert tracked.returncode == 0, tracked.stderr
    assert len((tmp_path / "boxes.txt").read_text().splitlines()) == 50


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_demo_runs_on_ones_own_videos(real_videos: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    done = sstrack("demo", "--videos", real_videos, "--work", work, "--set", "optim.steps=2", work=work)
    # Two steps teach nothing: every stage ran, and the model that ships stays what it is, with a reason.
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "│ training" in done.stdout
        and "2 steps, loss" in done.stdout
        and "version 1 as before: the fine-tuned model is not surely better" in done.stdout
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert package_recipe(run_folder(work) / "package").optim.steps == 2
    # The picture shows two of these clips, each with the boxes of both models.
    assert [len(list(clip.glob("*.txt"))) for clip in (work / "shown").iterdir()] == [2, 2]


@pytest.mark.timeout(300)
def test_wrong_videos_end_the_demo_with_a_sentence_and_leave_no_dataset(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty", tmp_path / "text"
    empty.mkdir()
    text.mkdir()
    (text / "notes.mp4").write_text("no video at all\n" * 50)
    for folder, told in ((empty, "no video in"), (text, "not_a_video")):
        done = sstrack("demo", "--videos", folder, "--work", tmp_path / "work", work=tmp_path / "work")
        assert done.returncode == 1 and told in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert not (tmp_path / "work" / "dataset" / "HEAD").exists()


def test_a_wrong_recipe_field_ends_the_demo_before_its_first_stage(tmp_path: Path) -> None:
    done = sstrack("demo", "--work", tmp_path / "work", "--set", "optim.stepz=3", work=tmp_path / "work")
    assert done.returncode == 2 and "optim.stepz" in done.stderr
    assert not (tmp_path / "work" / "videos").exists()
