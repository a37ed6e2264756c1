"""Evaluation on real image files with a real (tiny, untrained) network, in process and over Ray."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines import storage
from pipelines.cluster import local_cluster
from pipelines.errors import SSTrackError, UsageError
from pipelines.evaluation import sequence_runs
from pipelines.evaluation.content import contents
from pipelines.evaluation.run import How, evaluate, evaluate_all, evaluate_static
from pipelines.evaluation.targets import check_judge, open_target
from tests import seams
from tests.factories import write_package, write_sequences
from tests.layouts import LAYOUTS
from tests.s3 import S3Server

FRAMES = {"one": 4, "two": 6, "three": 3}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_sequences(tmp_path / "root", FRAMES)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "package")


def files(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.txt") if ".times" not in path.name}


def damage(frame: Path) -> None:
    frame.write_bytes(b"no picture")


def test_finished_sequences_are_found_and_missing_ones_done(root: Path, package: Path, tmp_path: Path):
    args = (str(package), "folder", str(root), str(tmp_path / "out"))
    seen: list[tuple[int, int, str]] = []
    first = evaluate(*args, progress=lambda *at: seen.append(at))
    assert not first.found
    assert first.rule == "got10k-like"
    assert (first.sequences, first.expected, first.frames) == (3, 3, 13)
    assert first.metrics["AO"] == pytest.approx(np.mean(list(first.per_sequence.values())))
    assert [done for done, *_ in seen] == sorted(done for done, *_ in seen)
    assert seen[0] == (1, 13, "0 of 3 sequences") and seen[-1] == (13, 13, "3 of 3 sequences")
    before = files(first.results)
    (Path(first.results) / "two.txt").unlink()
    touched = (Path(first.results) / "one.txt").stat().st_mtime_ns
    seen.clear()
    second = evaluate(*args, progress=lambda *at: seen.append(at))
    assert not second.found
    assert seen[0][:2] == (8, 13) and seen[-1][:2] == (13, 13)
    assert files(second.results) == before
    assert (Path(first.results) / "one.txt").stat().st_mtime_ns == touched
    third = evaluate(*args)
    assert third.found
    assert third.metrics == first.metrics


def test_scenes_that_changed_places_are_not_scored_by_old_results(root: Path, package: Path, tmp_path: Path):
    args = (str(package), "folder", str(root), str(tmp_path / "out"))
    first = evaluate(*args)
    kept = {path: path.read_bytes() for path in Path(first.results).iterdir()}
    (root / "two").rename(root / "aside")
    write_sequences(root, {"two": 6}, side=128)  # as many frames, another scene
    changed = evaluate(*args)
    assert changed.results != first.results and not changed.found
    assert files(changed.results)["two.txt"] != files(first.results)["two.txt"]
    assert changed.metrics == evaluate(*args[:3], str(tmp_path / "fresh")).metrics
    assert {path: path.read_bytes() for path in Path(first.results).iterdir()} == kept
    shutil.rmtree(root / "two")
    (root / "aside").rename(root / "two")
    back = evaluate(*args)
    assert back.found and back.results == first.results and back.metrics == first.metrics


def test_scenes_of_equal_sizes_and_times_are_told_apart(root: Path, package: Path, tmp_path: Path):
    """Frames without compression, stamped alike, as a tar may leave them; long enough ago to be remembered."""
    for number, name in enumerate(("a", "b")):
        (root / name).mkdir()
        for frame in range(3):
            picture = np.full((64, 64, 3), 60 * number + frame, dtype=np.uint8)
            picture[20:40, 10 + frame : 30 + frame] = 255
            cv2.imwrite(str(root / name / f"{frame}.bmp"), picture)
        (root / name / "groundtruth.txt").write_text("10,20,20,20\n" * 3)
    for path in root.rglob("*"):
        os.utime(path, (1e9, 1e9))
    args = (str(package), "folder", str(root), str(tmp_path / "out"))
    first = evaluate(*args)
    (root / "a").rename(root / "c")
    (root / "b").rename(root / "a")
    (root / "c").rename(root / "b")
    swapped = evaluate(*args)
    assert swapped.results != first.results
    assert files(swapped.results)["a.txt"] == files(first.results)["b.txt"]


def test_frames_are_hashed_once(root: Path, monkeypatch: pytest.MonkeyPatch):
    target = open_target("folder", str(root))
    monkeypatch.setattr(seams.SETTLED_SECONDS, 0.0)
    first = contents(target.entry, target.root, target.sequences)
    read: list[Path] = []
    plain = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or plain(path))
    assert contents(target.entry, target.root, target.sequences) == first
    assert not [path for path in read if path.suffix == ".png"]
    (root / "two" / "0003.png").write_bytes(plain(root / "two" / "0002.png"))
    changed = contents(target.entry, target.root, target.sequences)
    assert {name for name in first if first[name] != changed[name]} == {"two"}
    assert {path.parent.name for path in read if path.suffix == ".png"} == {"two"}


def test_more_of_a_benchmark_or_another_truth_keeps_what_was_tracked(root: Path, package: Path, tmp_path: Path):
    args = (str(package), "folder", str(root), str(tmp_path / "out"))
    first = evaluate(*args)
    write_sequences(root, {"four": 5}, side=128)
    seen: list[tuple[int, int, str]] = []
    more = evaluate(*args, progress=lambda *at: seen.append(at))
    assert seen[0][:2] == (14, 18), "only the new sequence is tracked"
    assert files(first.results).items() <= files(more.results).items()
    lines = (root / "one" / "groundtruth.txt").read_text().splitlines()
    answer = files(more.results)["one.txt"].decode().splitlines()[-1]
    (root / "one" / "groundtruth.txt").write_text("\n".join([*lines[:-1], answer]) + "\n")
    corrected = evaluate(*args)
    assert corrected.found and corrected.results != more.results
    assert corrected.per_sequence["one"] > more.per_sequence["one"]


def test_ray_tasks_give_the_bytes_that_one_process_gives(
    root: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(seams.WORTH_A_CLUSTER, 0)
    alone = evaluate(str(package), "folder", str(root), str(tmp_path / "alone"))
    seen: list[tuple[int, int, str]] = []
    with local_cluster(2):
        args = (str(package), "folder", str(root), str(tmp_path / "spread"))
        spread = evaluate(*args, How(workers=2), lambda *at: seen.append(at))
        assert seen[-1] == (13, 13, "3 of 3 sequences")
        assert files(spread.results) == files(alone.results)
        assert spread.per_sequence == alone.per_sequence
        damage(root / "two" / "0003.png")
        with pytest.raises(SSTrackError, match=r"folder has no score: 1 sequence.*two: .*0003\.png"):
            evaluate(*args, How(workers=2, force=True))
    assert set(files(spread.results)) == {"one.txt", "two.txt", "three.txt"}


@pytest.mark.parametrize("tracking", [{}, {"templates": "swapped"}])
def test_a_batch_gives_what_one_by_one_gives(root: Path, package: Path, tmp_path: Path, tracking: dict[str, str]):
    alone = evaluate(str(package), "folder", str(root), str(tmp_path / "alone"), How(tracking=tracking))
    seen: list[tuple[int, int, str]] = []
    both = [
        evaluate(
            str(package), "folder", str(root), str(tmp_path / f"{batch}"),
            How(tracking=tracking, batch=batch, repetitions=5), lambda *at: seen.append(at),
        )
        for batch in (2, 8)
    ]  # fmt: skip
    for report in both:
        assert report.results.split("/")[-4:] == alone.results.split("/")[-4:]
        for name, frames in FRAMES.items():
            one, other = (np.loadtxt(Path(r.results) / f"{name}.txt", delimiter=",") for r in (alone, report))
            assert one.shape == (frames, 4)
            np.testing.assert_allclose(other, one, atol=0.05)
        times = np.loadtxt(Path(report.results) / "one.times.txt")
        assert (times > 0).all() and report.fps > 0
        assert (Path(report.results) / "two" / "two_003.txt").is_file()
    assert seen[-1][2] == "3 of 3 sequences"


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_an_unreadable_frame_fails_its_sequence_and_no_other(root: Path, package: Path, tmp_path: Path, batch: int):
    damage(root / "one" / "0001.png")
    args = (str(package), "folder", str(root), str(tmp_path / "out"), How(batch=batch))
    with pytest.raises(SSTrackError, match=r"folder has no score: 1 sequence.*one: .*0001\.png.*are kept in") as caught:
        evaluate(*args)
    (kept,) = (tmp_path / "out").rglob("content.json")
    assert str(kept.parent) in str(caught.value)
    assert set(files(str(kept.parent))) == {"two.txt", "three.txt"}
    assert not (kept.parent / "scores.json").exists()
    shutil.copy(root / "one" / "0000.png", root / "one" / "0001.png")
    seen: list[tuple[int, int, str]] = []
    assert evaluate(*args, progress=lambda *at: seen.append(at)).sequences == 3
    assert seen[-1][:2] == (13, 13) and (batch > 1 or seen[0][:2] == (10, 13)), "the others are not tracked again"


@pytest.mark.parametrize("batch", [1, 8])
def test_a_template_that_cannot_be_read_fails_its_borrower_too(root: Path, package: Path, tmp_path: Path, batch: int):
    damage(root / "two" / "0000.png")
    how = How(tracking={"templates": "swapped"}, batch=batch)
    with pytest.raises(SSTrackError, match=r"2 sequence\(s\)"):
        evaluate(str(package), "folder", str(root), str(tmp_path / "out"), how)
    assert len(list((tmp_path / "out").rglob("one.txt"))) == 1


def test_a_frame_that_is_not_there_fails_its_sequence(root: Path, package: Path, tmp_path: Path):
    frame = root / "two" / "0002.png"
    frame.unlink()
    frame.symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(SSTrackError, match="two: a frame cannot be read"):
        evaluate(str(package), "folder", str(root), str(tmp_path / "out"))
    assert len(list((tmp_path / "out").rglob("one.txt"))) == 1


@pytest.mark.parametrize("batch", [1, 8])
def test_what_changes_while_it_is_tracked_is_not_kept(
    root: Path, package: Path, tmp_path: Path, batch: int, monkeypatch: pytest.MonkeyPatch
):
    """A frame of `two`, which comes last, is written again when it has been read."""
    plain = sequence_runs.read_image

    def interfere(path: Path) -> np.ndarray:
        if path.name == "0005.png":
            shutil.copy(root / "three" / "0000.png", root / "two" / "0000.png")
        return plain(path)

    args = (str(package), "folder", str(root), str(tmp_path / "out"), How(batch=batch))
    with monkeypatch.context() as patched:
        patched.setattr(sequence_runs, "read_image", interfere)
        with pytest.raises(SSTrackError, match=r"1 sequence.*two: its frames changed while it was tracked"):
            evaluate(*args)
    assert not list((tmp_path / "out").rglob("two*.txt"))
    assert len(list((tmp_path / "out").rglob("one.txt"))) == 1
    assert evaluate(*args).sequences == 3


def test_several_benchmarks_are_checked_first_and_fail_alone(root: Path, package: Path, tmp_path: Path):
    other = write_sequences(tmp_path / "other", {"four": 4}, side=128)
    out = str(tmp_path / "out")
    with pytest.raises(SSTrackError, match=r"no folder .*nowhere"):
        evaluate_all(str(package), [("folder", str(root)), ("folder", str(tmp_path / "nowhere"))], out, How())
    assert not Path(out).exists()
    names: list[str] = []
    done: list[str] = []

    def watch(name: str):
        names.append(name)
        return lambda *at: None

    roots = [("folder", str(root)), ("folder", str(other))]
    reports = evaluate_all(str(package), roots, out, How(), watch, lambda report: done.append(report.results))
    assert [report.sequences for report in reports] == [3, 1]
    assert names == ["folder", "folder"] and done == [report.results for report in reports]
    damage(root / "one" / "0001.png")
    done.clear()
    with pytest.raises(SSTrackError, match=r"1 of 2 benchmarks failed: .*one: .*0001\.png"):
        evaluate_all(str(package), roots, out, How(), None, lambda report: done.append(report.results))
    assert done == [reports[1].results]


@pytest.mark.parametrize("as_json", [True, False])
def test_what_was_measured_is_shown_although_another_benchmark_failed(
    as_json: bool, root: Path, package: Path, tmp_path: Path
):
    other = write_sequences(tmp_path / "other", {"four": 4}, side=128)
    damage(root / "one" / "0001.png")
    roots = ("--benchmark", "folder", "--root", str(root), "--benchmark", "folder", "--root", str(other))
    words = ["evaluate", "--model", str(package), *roots, "--out", str(tmp_path / "out"), "--workers", "0"]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("sstrack")), *words, *(["--json"] if as_json else [])],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "1 of 2 benchmarks failed" in done.stderr
    if as_json:
        (shown,) = json.loads(done.stdout)["benchmarks"]
        assert set(shown["per_sequence"]) == {"four"}
    else:
        assert "four" in done.stdout and "all: AO" in done.stdout


def test_other_options_or_weights_are_another_tracker(root: Path, package: Path, tmp_path: Path):
    out = str(tmp_path / "out")
    reports = [
        evaluate(str(model), "folder", str(root), out, How(tracking=tracking))
        for model, tracking in (
            (package, {}),
            (package, {"templates": "zeroed"}),
            (package, {"templates": "swapped"}),
            (write_package(tmp_path / "other", seed=1), {}),
        )
    ]
    assert len({report.results for report in reports}) == 4
    assert not any(report.found for report in reports)


def test_wrong_input_is_named(root: Path, package: Path, tmp_path: Path):
    out = str(tmp_path / "out")
    with pytest.raises(UsageError, match="did you mean folder"):
        evaluate(str(package), "foldre", str(root), out)
    with pytest.raises(UsageError, match="no rule 'official'"):
        evaluate(str(package), "folder", str(root), out, How(rule="official"))
    with pytest.raises(UsageError, match="Known options: "):
        evaluate(str(package), "folder", str(root), out, How(tracking={"window": 1}))
    with pytest.raises(UsageError, match="CUDA devices here"):
        evaluate(str(package), "folder", str(root), out, How(device="cuda:99"))
    with pytest.raises(UsageError, match="expected auto, cpu, cuda"):
        evaluate(str(package), "folder", str(root), out, How(device="tpu"))
    with pytest.raises(UsageError, match="expected 1 to 1024"):
        How(batch=0)
    with pytest.raises(UsageError, match="expected 1 to 256"):
        How(threads=0)
    with pytest.raises(UsageError, match="gopher:// is not known here"):
        evaluate(str(package), "folder", "gopher://bucket/root", out)
    with pytest.raises(SSTrackError, match="Expected layout"):
        evaluate(str(package), "folder", str(tmp_path / "nowhere"), out)
    with pytest.raises(SSTrackError, match="is no model package"):
        evaluate(str(root), "folder", str(root), out)
    assert not Path(out).exists()


def test_weights_that_cannot_be_loaded_are_named(root: Path, package: Path, tmp_path: Path):
    (package / "weights.safetensors").write_bytes(b"no weights")
    with pytest.raises(SSTrackError, match=r"weights\.safetensors"):
        evaluate(str(package), "folder", str(root), str(tmp_path / "out"))


def test_a_benchmark_that_cannot_judge_is_refused(root: Path, tmp_path: Path, shared: Path):
    check_judge("folder", str(root))
    with pytest.raises(SSTrackError, match="no folder"):
        check_judge("folder", str(tmp_path / "nowhere"))
    for name, words in (("vot2018", "box that never moves"), ("got10k_test", "truth on a server")):
        LAYOUTS[name](tmp_path / name, shared)
        with pytest.raises(UsageError, match=words):
            check_judge(name, str(tmp_path / name))


def test_the_static_box_is_scored_without_a_model(root: Path):
    scores = evaluate_static("folder", str(root))
    assert set(scores.per_sequence) == set(FRAMES)
    assert scores.per_sequence["two"] < scores.per_sequence["three"] < 100


def test_a_root_in_a_bucket_is_fetched_once(root: Path, package: Path, tmp_path: Path, work: Path, s3_server: S3Server):
    bucket = s3_server.url("benchmarks")
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        storage.write_atomic(f"{bucket}/set/{path.relative_to(root)}", path.read_bytes())
    plain = evaluate(str(package), "folder", str(root), str(tmp_path / "plain"))
    args = (str(package), "folder", f"{bucket}/set", str(tmp_path / "out"))
    remote = evaluate(*args)
    assert (remote.metrics, files(remote.results)) == (plain.metrics, files(plain.results))
    (cached,) = (work / "benchmarks").glob("*/root")
    stamps = {path: path.stat().st_ino for path in cached.rglob("*.png")}
    assert evaluate(*args).found
    assert {path: path.stat().st_ino for path in cached.rglob("*.png")} == stamps
    storage.delete([f"{bucket}/set/three/{name}" for name in ("0000.png", "0001.png", "0002.png", "groundtruth.txt")])
    assert evaluate(*args).sequences == 2
    with pytest.raises(SSTrackError, match="nothing at s3://"):
        evaluate(str(package), "folder", f"{bucket}/other", str(tmp_path / "out"))
