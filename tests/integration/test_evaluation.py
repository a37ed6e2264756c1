"""Evaluation on real image files with a real (tiny, untrained) network, in process and over Ray."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.cluster import local_cluster
from pipelines.errors import SSTrackError, UsageError
from pipelines.evaluation.run import How, evaluate, evaluate_static
from tests.factories import write_package, write_sequences

FRAMES = {"one": 4, "two": 6, "three": 3}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_sequences(tmp_path / "root", FRAMES)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "package")


def files(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.txt") if ".times" not in path.name}


def test_finished_sequences_are_found_and_missing_ones_done(root: Path, package: Path, tmp_path: Path):
    first = evaluate(str(package), "folder", str(root), str(tmp_path / "out"))
    assert not first.found
    assert first.rule == "got10k-like"
    assert (first.sequences, first.frames) == (3, 13)
    assert first.metrics["AO"] == pytest.approx(np.mean(list(first.per_sequence.values())))
    before = files(first.results)
    (Path(first.results) / "two.txt").unlink()
    touched = (Path(first.results) / "one.txt").stat().st_mtime_ns
    seen: list[tuple[int, int]] = []
    second = evaluate(
        str(package), "folder", str(root), str(tmp_path / "out"), workers=0, progress=lambda *at: seen.append(at)
    )
    assert not second.found
    assert seen == [(3, 3)]
    assert files(second.results) == before
    assert (Path(first.results) / "one.txt").stat().st_mtime_ns == touched
    third = evaluate(str(package), "folder", str(root), str(tmp_path / "out"))
    assert third.found
    assert third.metrics == first.metrics


def test_ray_tasks_give_the_bytes_that_one_process_gives(
    root: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("pipelines.evaluation.run.FRAMES_WORTH_A_CLUSTER", 0)
    alone = evaluate(str(package), "folder", str(root), str(tmp_path / "alone"))
    with local_cluster(2):
        spread = evaluate(str(package), "folder", str(root), str(tmp_path / "spread"), How(workers=2))
        assert files(spread.results) == files(alone.results)
        assert spread.per_sequence == alone.per_sequence
        (root / "two" / "0003.png").write_bytes(b"no picture")
        with pytest.raises(SSTrackError, match=r"0003\.png"):
            evaluate(str(package), "folder", str(root), str(tmp_path / "spread"), How(workers=2, force=True))
    assert set(files(spread.results)) == {"one.txt", "two.txt", "three.txt"}


@pytest.mark.parametrize("tracking", [None, {"templates": "swapped"}])
def test_a_batch_gives_what_one_by_one_gives(
    root: Path, package: Path, tmp_path: Path, tracking: dict[str, str] | None
):
    alone = evaluate(str(package), "folder", str(root), str(tmp_path / "alone"), How(tracking=tracking))
    seen: list[tuple[int, int]] = []
    both = [
        evaluate(
            str(package), "folder", str(root), str(tmp_path / f"{batch}"), workers=0, tracking=tracking, batch=batch,
            repetitions=5, progress=lambda *at: seen.append(at),
        )
        for batch in (2, 8)
    ]  # fmt: skip
    for report in both:
        assert report.results.split("/")[-3:] == alone.results.split("/")[-3:]
        for name, frames in FRAMES.items():
            one, other = (np.loadtxt(Path(r.results) / f"{name}.txt", delimiter=",") for r in (alone, report))
            assert one.shape == (frames, 4)
            np.testing.assert_allclose(other, one, atol=0.05)
        times = np.loadtxt(Path(report.results) / "one.times.txt")
        assert (times > 0).all() and report.fps > 0
        assert (Path(report.results) / "two" / "two_003.txt").is_file()
    # Three runs of each of three sequences; a sequence counts when its last run ends.
    assert len(seen) == 18 and seen[:9] == sorted(seen[:9]) and seen[8] == seen[17] == (3, 3)


def test_an_unreadable_frame_ends_a_batch_and_keeps_what_was_done(root: Path, package: Path, tmp_path: Path):
    (root / "two" / "0005.png").write_bytes(b"no picture")
    with pytest.raises(SSTrackError, match=r"two: .*0005\.png"):
        evaluate(str(package), "folder", str(root), str(tmp_path / "out"), How(batch=8))
    assert {path.name for path in (tmp_path / "out").rglob("*.txt") if ".times" not in path.name} == {
        "one.txt",
        "three.txt",
    }


def test_other_options_or_weights_are_another_tracker(root: Path, package: Path, tmp_path: Path):
    out = str(tmp_path / "out")
    reports = [
        evaluate(str(model), "folder", str(root), out, How(tracking=tracking))
        for model, tracking in (
            (package, None),
            (package, {"templates": "zeroed"}),
            (package, {"templates": "swapped"}),
            (write_package(tmp_path / "other", seed=1), None),
        )
    ]
    assert len({report.results for report in reports}) == 4
    assert not any(report.found for report in reports)


def test_wrong_input_is_named(root: Path, package: Path, tmp_path: Path):
    out = str(tmp_path / "out")
    with pytest.raises(UsageError, match="did you mean 'folder'"):
        evaluate(str(package), "foldre", str(root), out)
    with pytest.raises(UsageError, match="no rule 'official'"):
        evaluate(str(package), "folder", str(root), out, How(rule="official"))
    with pytest.raises(UsageError, match="Known options: hann"):
        evaluate(str(package), "folder", str(root), out, How(tracking={"window": 1}))
    with pytest.raises(UsageError, match="CUDA devices here"):
        evaluate(str(package), "folder", str(root), out, How(device="cuda:99"))
    with pytest.raises(UsageError, match="expected auto, cpu, cuda"):
        evaluate(str(package), "folder", str(root), out, How(device="tpu"))
    with pytest.raises(UsageError, match="expected 1 to 1024"):
        evaluate(str(package), "folder", str(root), out, How(batch=0))
    with pytest.raises(SSTrackError, match="Expected layout"):
        evaluate(str(package), "folder", str(tmp_path / "nowhere"), out)
    with pytest.raises(SSTrackError, match="is no model package"):
        evaluate(str(root), "folder", str(root), out)
    assert not Path(out).exists()


def test_the_static_box_is_scored_without_a_model(root: Path):
    scores = evaluate_static("folder", str(root))
    assert set(scores.per_sequence) == set(FRAMES)
    assert scores.per_sequence["two"] < scores.per_sequence["three"] < 100
