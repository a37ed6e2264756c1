"""Our tracker on benchmarks in their own layouts and protocols, from real frames to scores, submissions and reports."""

import csv
import dataclasses
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from cli.tables import evaluation_table
from pipelines.errors import SSTrackError, UsageError
from pipelines.evaluation.content import annotation
from pipelines.evaluation.files import convert_results, write_submission
from pipelines.evaluation.report.trackers import Given
from pipelines.evaluation.report.write import write_page_of, write_report
from pipelines.evaluation.run import How, evaluate, evaluate_static
from pipelines.evaluation.score import score_files
from pipelines.registry.promotion import promote
from pipelines.registry.runs import TrainingRun, registry_client
from pipelines.registry.versions import register
from sstrack.benchmarks.layouts.got10k import TEST
from sstrack.benchmarks.registry import benchmark
from tests.factories import write_package
from tests.layouts import LAYOUTS, write_vot2018

SCORED = ("otb100", "lasot", "got10k", "tnl2k", "uav123", "nfs", "tlp")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_package(tmp_path_factory.mktemp("model") / "package"))


@pytest.mark.parametrize("name", SCORED)
def test_one_pass_results_are_what_score_reads(name: str, package: str, tmp_path: Path, shared: Path):
    root = tmp_path / "root"
    names = LAYOUTS[name](root, shared)
    done = evaluate(package, name, str(root), str(tmp_path / "out"))
    entry = benchmark(name)
    assert (done.sequences, set(done.per_sequence)) == (len(names), set(names))
    again = score_files(name, root, Path(done.results))
    assert again.metrics == pytest.approx(done.metrics)
    assert next(iter(done.metrics)) == entry.rules[0].headline
    assert evaluate(package, name, str(root), str(tmp_path / "out")).found
    static = evaluate_static(name, str(root))
    assert set(static.metrics) <= set(done.metrics)
    first = entry.read(root)[0]
    row = (Path(done.results) / f"{first.name}.txt").read_text().splitlines()[0]
    assert [float(word) for word in row.split(",")] == pytest.approx(first.truth.boxes[0])


def test_a_damaged_raw_result_is_tracked_again(package: str, tmp_path: Path, shared: Path):
    LAYOUTS["lasot"](tmp_path / "root", shared)
    args = (package, "lasot", str(tmp_path / "root"), str(tmp_path / "out"))
    first = evaluate(*args)
    file = Path(first.results) / "airplane-1.txt"
    whole = file.read_bytes()
    for damage in (whole[:-40], whole.replace(b",", b"x", 1), b""):
        file.write_bytes(damage)
        again = evaluate(*args)
        assert not again.found
        assert (file.read_bytes(), again.metrics) == (whole, first.metrics)


def test_a_test_set_without_truth_is_tracked_and_not_scored(package: str, tmp_path: Path, shared: Path):
    for name in ("got10k_test", "trackingnet"):
        root = tmp_path / name
        (clip,) = LAYOUTS[name](root, shared)
        done = evaluate(package, name, str(root), str(tmp_path / "out"))
        assert (done.rule, done.metrics) == ("none", {})
        assert len((Path(done.results) / f"{clip}.txt").read_text().splitlines()) == done.frames
        with pytest.raises((SSTrackError, UsageError), match="server"):
            score_files(name, root, Path(done.results))


def test_three_repetitions_of_a_deterministic_tracker_are_equal_and_enough(package: str, tmp_path: Path, shared: Path):
    LAYOUTS["got10k"](tmp_path / "root", shared)
    args = (package, "got10k", str(tmp_path / "root"), str(tmp_path / "out"))
    once = evaluate(*args)
    five = evaluate(*args, How(repetitions=5))
    clip = Path(five.results) / "GOT-10k_Val_000001"
    assert sorted(path.name for path in clip.glob("*_00?.txt")) == [f"{clip.name}_002.txt", f"{clip.name}_003.txt"]
    assert (clip / f"{clip.name}_002.txt").read_bytes() == (clip.parent / f"{clip.name}.txt").read_bytes()
    assert five.metrics["AO"] == pytest.approx(once.metrics["AO"])
    assert evaluate(*args, How(repetitions=5)).found


def test_vot2018_runs_start_again_after_failures(package: str, tmp_path: Path, shared: Path):
    write_vot2018(tmp_path / "root", shared, frames=110)
    done = evaluate(package, "vot2018", str(tmp_path / "root"), str(tmp_path / "out"))
    lines = (Path(done.results) / "baseline" / "bag" / "bag_001.txt").read_text().split()
    assert len(lines) == 110 and lines[0] == "1"
    failures = [index for index, line in enumerate(lines) if line == "2"]
    for index in failures:
        assert lines[index + 1 : index + 6] == ["0", "0", "0", "0", "1"][: len(lines) - index - 1]
    assert done.metrics["failures"] == len(failures)
    assert next(iter(done.metrics)) == "EAO"
    with pytest.raises(UsageError, match="one-pass"):
        evaluate_static("vot2018", str(tmp_path / "root"))


def test_vot2020_runs_from_every_anchor_both_ways(package: str, tmp_path: Path, shared: Path):
    LAYOUTS["vot2020"](tmp_path / "root", shared)
    done = evaluate(package, "vot2020", str(tmp_path / "root"), str(tmp_path / "out"))
    folder = Path(done.results) / "baseline" / "bag"
    lengths = {path.stem: len(path.read_text().split()) for path in folder.glob("*.txt")}
    assert lengths == {"bag_00000000": 16, "bag_00000008": 9}
    assert set(done.metrics) == {"EAO", "A", "R"}
    (folder / "bag_00000008.txt").unlink()
    with pytest.raises(SSTrackError, match="from anchor 8"):
        score_files("vot2020", tmp_path / "root", Path(done.results))


def test_real_time_is_another_result(package: str, tmp_path: Path, shared: Path):
    LAYOUTS["lasot"](tmp_path / "root", shared)
    args = (package, "lasot", str(tmp_path / "root"), str(tmp_path / "out"))
    plain = evaluate(*args)
    hasty = evaluate(*args, How(realtime=1e6))
    assert hasty.results != plain.results
    boxes = (Path(hasty.results) / "airplane-1.txt").read_text().splitlines()
    # At a million frames a second nothing is ready in time after the three frames that wait.
    assert len(set(boxes[4:])) == 1
    with pytest.raises(UsageError, match="above 0"):
        evaluate(*args, How(realtime=0))


def test_results_go_round_through_the_formats_of_others(package: str, tmp_path: Path, shared: Path):
    root = tmp_path / "root"
    LAYOUTS["uav123"](root, shared)
    done = evaluate(package, "uav123", str(root), str(tmp_path / "out"))
    want = score_files("uav123", root, Path(done.results)).metrics
    for to in ("sstrack", "pysot", "got10k"):
        convert_results("uav123", root, Path(done.results), to, tmp_path / to)
        assert score_files("uav123", root, tmp_path / to).metrics == pytest.approx(want, abs=0.5)
    convert_results("uav123", root, Path(done.results), "pytracking", tmp_path / "pytracking")
    text = (tmp_path / "pytracking" / "uav_bird1_2.txt").read_text().splitlines()
    ours = np.loadtxt(Path(done.results) / "bird1_2.txt", delimiter=",")
    assert [int(word) for word in text[3].split("\t")] == np.trunc(ours[3]).tolist()
    assert (
        score_files("uav123", root, tmp_path / "pytracking").counted.keys()
        == score_files("uav123", root, Path(done.results)).counted.keys()
    )
    with pytest.raises(SSTrackError, match="VOT's protocols"):
        convert_results("uav123", root, Path(done.results), "vot", tmp_path / "vot")
    with pytest.raises(UsageError, match="there already"):
        convert_results("uav123", root, Path(done.results), "pysot", tmp_path / "pysot")
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_a_got10k_submission_is_whole_or_not_written(tmp_path: Path):
    results = tmp_path / "results"
    results.mkdir()
    for name in TEST:
        (results / f"{name}.txt").write_text("1,2,30,40\n" * 4)
        (results / f"{name}.times.txt").write_text("0.01\n" * 4)
    out = tmp_path / "got10k.zip"
    assert write_submission("got10k", results, out, None) == 180
    with zipfile.ZipFile(out) as archive:
        assert len(archive.namelist()) == 360
        clip = TEST[0]
        assert archive.read(f"{clip}/{clip}_001.txt") == b"1.0000,2.0000,30.0000,40.0000\n" * 4
        assert archive.read(f"{clip}/{clip}_time.txt") == b"0.01000000\n" * 4
    first = out.read_bytes()
    assert write_submission("got10k", results, out, None) == 180
    assert out.read_bytes() == first
    assert write_submission("got10k", out, tmp_path / "again.zip", None) == 180
    out.unlink()
    for text, said in (
        ("1,2,30,40\n" * 3, "4 times for 3 boxes"),
        ("1,2,nan,40\n" * 4, "row 1.*no box of finite numbers"),
        ("1,2,0,40\n" * 4, "positive size"),
    ):
        (results / f"{TEST[7]}.txt").write_text(text)
        with pytest.raises(SSTrackError, match=said):
            write_submission("got10k", results, out, None)
    (results / f"{TEST[7]}.txt").unlink()
    with pytest.raises(SSTrackError, match=f"{TEST[7]}: no result"):
        write_submission("got10k", results, out, None)
    assert not out.exists()


def test_a_trackingnet_submission_has_511_flat_files_with_names_apart(tmp_path: Path):
    results = tmp_path / "results"
    results.mkdir()
    for number in range(511):
        (results / f"clip-{number:03d}_0.txt").write_text("1,2,30,40\n" * 3)
    out = tmp_path / "trackingnet.zip"
    assert write_submission("trackingnet", results, out, None) == 511
    with zipfile.ZipFile(out) as archive:
        assert all("/" not in name for name in archive.namelist())
        assert archive.read("clip-000_0.txt") == b"1.00,2.00,30.00,40.00\n" * 3
    out.unlink()
    (results / "clip-000_0.txt").rename(results / "a-clip-001_0.txt")
    with pytest.raises(SSTrackError, match=r"clip-001_0\.txt is part of another"):
        write_submission("trackingnet", results, out, None)
    (results / "a-clip-001_0.txt").unlink()
    with pytest.raises(SSTrackError, match="510 clips; the test set has 511"):
        write_submission("trackingnet", results, out, None)
    with pytest.raises(UsageError, match="no submission for 'lasot'"):
        write_submission("lasot", results, out, None)
    assert not out.exists()


def test_a_report_stands_alone_and_escapes_names(package: str, tmp_path: Path, shared: Path):
    root = tmp_path / "root"
    LAYOUTS["uav123"](root, shared)
    done = evaluate(package, "uav123", str(root), str(tmp_path / "out"))
    nasty = tmp_path / "<script>alert($x_1$)<"
    nasty.mkdir()
    (nasty / "uav_bird1_2.txt").write_text("620,300,12,40\n" * 10)
    given = Given("uav123", root)
    written = write_report([done.results, str(nasty)], tmp_path / "report", given)
    assert {path.suffix for path in written.files} == {".svg", ".png", ".csv", ".jpg"}
    (worst,) = [path for path in written.files if path.name.endswith("-worst.jpg")]
    assert worst.read_bytes().startswith(b"\xff\xd8")
    page = written.page.read_text()
    assert "<script>" not in page and "&lt;script&gt;alert($x_1$)&lt;" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page), "nothing lies beside the page or on a server"
    assert "http" not in re.sub(r'http://www\.w3\.org|xmlns[^"]*"[^"]*"', "", page)
    for words in ("AUC by attribute", "SOB", "95 % bootstrap", "1 of the 123 sequences were here", "OSTrack-256"):
        assert words in page
    assert "prefers-color-scheme: dark" in page and "@media (max-width" in page
    assert page.count("data:image/jpeg;base64,") >= 3, "pictures of the worst sequence"
    assert page.count("data:image/png;base64,") >= 2, "a strip for each tracker that was measured"
    rows = list(csv.DictReader((tmp_path / "report" / "summary.csv").read_text().splitlines()))
    measured = [float(row["value"]) for row in rows if (row["kind"], row["metric"]) == ("measured", "AUC")]
    assert len(measured) == 2 and pytest.approx(done.metrics["AUC"]) in measured
    assert [row["value"] for row in rows if (row["tracker"], row["metric"]) == ("OSTrack-384", "AUC")] == ["70.7"]


def test_a_report_names_trackers_as_people_know_them(package: str, tmp_path: Path, shared: Path):
    root = tmp_path / "root"
    LAYOUTS["lasot"](root, shared)
    out = str(tmp_path / "out")
    plain = evaluate(package, "lasot", str(root), out)
    blind = evaluate(package, "lasot", str(root), out, How(tracking={"templates": "zeroed"}))
    written = write_report([plain.results, blind.results, f"other={blind.results}"], tmp_path / "report")
    rows = list(csv.DictReader((tmp_path / "report" / "summary.csv").read_text().splitlines()))
    measured = {row["tracker"] for row in rows if row["kind"] == "measured"}
    name = Path(package).parent.name
    assert measured == {name, f"{name} (templates=zeroed)", "other"}
    assert "0.0000" not in written.page.read_text()
    with pytest.raises(UsageError, match="no such tracker among"):
        write_report([plain.results], tmp_path / "report", against="nobody")


def test_a_report_never_compares_on_other_annotation(package: str, tmp_path: Path, shared: Path):
    root = tmp_path / "root"
    LAYOUTS["lasot"](root, shared)
    out = str(tmp_path / "out")
    blind = How(tracking={"templates": "zeroed"})
    ours, theirs = evaluate(package, "lasot", str(root), out), evaluate(package, "lasot", str(root), out, blind)
    imported = f"imported={theirs.results}"
    alike = write_report([ours.results, imported], tmp_path / "alike", Given("lasot", root)).page.read_text()
    assert alike.count("<h2>") == 1 and "cannot be compared" not in alike
    truth = next(root.rglob("groundtruth.txt"))
    answers = (Path(ours.results) / f"{truth.parent.name}.txt").read_text()
    truth.write_text(answers)  # a benchmark that is edited so that one tracker wins
    edited = evaluate(package, "lasot", str(root), out)
    assert edited.metrics["AUC"] > ours.metrics["AUC"] and edited.annotation != ours.annotation == theirs.annotation
    written = write_report([edited.results, theirs.results], tmp_path / "apart")
    page = written.page.read_text()
    assert page.count("<h2>") == 2 and page.count("cannot be compared") == 2 and "Most changed" not in page
    assert {path.name for path in written.files} >= {
        f"lasot-official-{each.annotation[:8]}-success.png" for each in (edited, theirs)
    }


def test_scores_of_an_earlier_version_are_told_apart_too(package: str, tmp_path: Path, shared: Path):
    root = tmp_path / "root"
    LAYOUTS["lasot"](root, shared)
    out = str(tmp_path / "out")
    old, new = (
        evaluate(package, "lasot", str(root), out),
        evaluate(package, "lasot", str(root), out, How(tracking={"templates": "zeroed"})),
    )
    place = Path(old.results) / "scores.json"
    place.write_text(json.dumps({k: v for k, v in json.loads(place.read_text()).items() if k != "annotation"}))
    assert write_report([old.results, new.results], tmp_path / "one").page.read_text().count("<h2>") == 1
    truth = next(root.rglob("groundtruth.txt"))
    truth.write_text(truth.read_text().replace(truth.read_text().splitlines()[3], "1,1,9,9"))
    edited = evaluate(package, "lasot", str(root), out, How(tracking={"templates": "zeroed"}))
    assert write_report([old.results, edited.results], tmp_path / "two").page.read_text().count("<h2>") == 2


def test_polygons_that_differ_in_equal_boxes_are_another_annotation(tmp_path: Path, shared: Path):
    root = tmp_path / "root"
    write_vot2018(root, shared)
    before = annotation(benchmark("vot2018").truths(root))
    truth = next(root.rglob("groundtruth.txt"))
    lines = truth.read_text().splitlines()
    x = [float(word) for word in lines[2].split(",")]
    left, top, right, bottom = min(x[::2]), min(x[1::2]), max(x[::2]), max(x[1::2])
    for corners in (
        (left, top, right, top, right, bottom, left, bottom),
        (left, top, right, top, right, bottom, left, top),
    ):
        lines[2] = ",".join(map(str, corners))
        truth.write_text("\n".join(lines) + "\n")
        now = annotation(benchmark("vot2018").truths(root))
        assert now != before
        before = now


def test_a_report_is_under_the_rule_that_is_asked_for(package: str, tmp_path: Path, shared: Path):
    root = tmp_path / "root"
    LAYOUTS["lasot"](root, shared)
    args = (package, "lasot", str(root), str(tmp_path / "out"))
    done = evaluate(*args)
    other = evaluate(*args, How(rule="ostrack"))
    assert (other.results, other.rule, done.rule) == (done.results, "ostrack", "official")

    def rule_of(given: Given) -> set[str]:
        write_report([done.results], tmp_path / "report", given)
        rows = list(csv.DictReader((tmp_path / "report" / "summary.csv").read_text().splitlines()))
        assert {row["value"] for row in rows if row["kind"] == "measured" and row["metric"] == "AUC"}
        return {row["rule"] for row in rows}

    assert rule_of(Given()) == {"official"}
    assert rule_of(Given(rule="ostrack")) == {"ostrack"}
    assert rule_of(Given(rule="got10k")) == {"got10k"}, "made from raw results"
    for wrong, said in ((Given(rule="nonsense"), "has no rule"), (Given(benchmark="lasot"), "goes with --gt")):
        with pytest.raises(UsageError, match=said):
            write_report([done.results], tmp_path / "report", wrong)


def test_a_report_finds_a_benchmark_that_has_moved_and_leaves_no_old_picture(
    package: str, tmp_path: Path, shared: Path
):
    LAYOUTS["lasot"](tmp_path / "root", shared)
    out = str(tmp_path / "out")
    evaluate(package, "lasot", str(tmp_path / "root"), out)
    (tmp_path / "root").rename(tmp_path / "elsewhere")
    done = evaluate(package, "lasot", str(tmp_path / "elsewhere"), out)
    assert done.found
    written = write_report([done.results], tmp_path / "report")
    assert "data:image/jpeg" in written.page.read_text()
    (worst,) = (tmp_path / "report").glob("*-worst.jpg")
    write_report([done.results], tmp_path / "report", pictures=False)
    assert not worst.exists()
    with pytest.raises(UsageError, match="is the tracker that is looked at"):
        write_report([done.results], tmp_path / "report", against=Path(package).parent.name)


def test_the_champion_is_in_the_page_of_another_model(package: str, mlflow_uri: str, tmp_path: Path, shared: Path):
    LAYOUTS["lasot"](tmp_path / "root", shared)
    out, client = str(tmp_path / "out"), registry_client(mlflow_uri)
    run = TrainingRun.find_or_create(client, mlflow_uri, "key")
    made = register(
        mlflow_uri, "sstrack", package=Path(package), run_id=run.run_id, run_key="key", manifest="m", scored=[], tags={}
    )
    promote(mlflow_uri, "sstrack", made.version, expected=None, actor="tests", reason="r", override=True)
    other = str(write_package(tmp_path / "other" / "package", seed=1))
    evaluate(package, "lasot", str(tmp_path / "root"), out)
    mine = evaluate(other, "lasot", str(tmp_path / "root"), out)
    page = write_page_of({"": [mine.results]}, tmp_path / "reports")
    assert page is not None
    assert "sstrack/1 (champion)" in page.read_text() and "against sstrack/1 (champion)" in page.read_text()


def test_names_are_shown_as_they_are(package: str, tmp_path: Path, shared: Path):
    LAYOUTS["lasot"](tmp_path / "root", shared)
    done = evaluate(package, "lasot", str(tmp_path / "root"), str(tmp_path / "out"))
    written_to = io.StringIO()
    console = Console(width=200, file=written_to)
    odd = dataclasses.replace(done, model="models/[/red]", per_sequence={"[clip]01": 1.0})
    console.print(evaluation_table(odd))
    shown = written_to.getvalue()
    assert "models/[/red]" in shown and "[clip]01" in shown
    written = write_report([f"_ours={done.results}"], tmp_path / "report")
    (curve,) = [path for path in written.files if path.name.endswith("-success.svg")]
    assert "_ours: AUC" in curve.read_text()


def test_a_report_draws_nothing_of_sequences_that_have_changed(package: str, tmp_path: Path, shared: Path):
    root = tmp_path / "root"
    LAYOUTS["lasot"](root, shared)
    done = evaluate(package, "lasot", str(root), str(tmp_path / "out"))
    page = write_report([done.results], tmp_path / "report").page
    assert "data:image/jpeg" in page.read_text()
    frame = next(root.rglob("00000003.jpg"))
    frame.unlink()
    frame.write_bytes((shared / "data/sequences/otb/Skiing/img/0001.jpg").read_bytes())
    page = write_report([done.results], tmp_path / "again").page
    assert "data:image/jpeg" not in page.read_text()
    shutil.rmtree(root)
    assert "airplane-1" in write_report([done.results], tmp_path / "gone").page.read_text()


def test_scores_that_cannot_be_read_are_refused(package: str, tmp_path: Path, shared: Path):
    root = tmp_path / "root"
    LAYOUTS["lasot"](root, shared)
    done = evaluate(package, "lasot", str(root), str(tmp_path / "out"))
    from_parent = write_report([str(Path(done.results).parent)], tmp_path / "again")
    assert from_parent.page.is_file(), "the folder above is enough where it holds one state of the benchmark"
    (Path(done.results) / "scores.json").write_text(json.dumps({"benchmark": 1}))
    with pytest.raises(SSTrackError, match="no scores of ours"):
        write_report([done.results], tmp_path / "again")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match=r"holds no scores\.json"):
        write_report([str(empty)], tmp_path / "again")
