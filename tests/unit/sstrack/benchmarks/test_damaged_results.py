"""Results that are not whole: each is an error or is counted beside the number, never a silent number."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import SSTrackError
from pipelines.evaluation.score import ScoreReport, score_files
from tests import seams

FRAMES = 20


@pytest.fixture
def gt(tmp_path: Path) -> Path:
    """Annotation of two LaSOT sequences, one frame of each absent."""
    root = tmp_path / "gt"
    (root / "absent").mkdir(parents=True)
    for name in ("airplane-1", "bird-2"):
        (root / f"{name}.txt").write_text("".join(f"{10 + i},20,30,40\n" for i in range(FRAMES)))
        (root / "absent" / f"{name}.txt").write_text("0\n" * 9 + "1\n" + "0\n" * 10)
    return root


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    for name in ("airplane-1", "bird-2"):
        rows(folder / f"{name}.txt")
    return folder


def rows(path: Path, count: int = FRAMES, change: dict[int, str] | None = None) -> None:
    lines = [f"{12 + i},20,30,40" for i in range(count)]
    for index, text in (change or {}).items():
        lines[index] = text
    path.write_text("".join(f"{line}\n" for line in lines))


def score(gt: Path, results: Path, rule: str = "official", *, partial: bool = False) -> ScoreReport:
    return score_files("lasot", gt, results, rule, partial=partial)


def test_a_whole_result_counts_what_the_set_lacks_only(gt: Path, results: Path):
    assert score(gt, results).counted == {"sequences of the published set of 280 that the ground truth lacks": 278}


def test_a_missing_sequence_is_refused_or_left_out_and_counted(gt: Path, results: Path):
    (results / "bird-2.txt").unlink()
    with pytest.raises(SSTrackError, match="no result for 1 of 2 sequences: bird-2"):
        score(gt, results)
    report = score(gt, results, partial=True)
    assert report.sequences == 1
    assert report.counted["sequences without a result, left out"] == 1
    (results / "airplane-1.txt").unlink()
    with pytest.raises(SSTrackError, match="no result of lasot found"):
        score(gt, results, partial=True)


@pytest.mark.parametrize("rule", ["official", "pytracking", "ostrack", "pysot"])
def test_a_short_file_is_refused(gt: Path, results: Path, rule: str):
    rows(results / "bird-2.txt", FRAMES - 1)
    with pytest.raises(SSTrackError, match="'bird-2' has 19 rows for 20 frames"):
        score(gt, results, rule)


def test_a_short_file_is_counted_where_the_rule_cuts(gt: Path, results: Path):
    rows(results / "bird-2.txt", FRAMES - 1)
    assert score(gt, results, "got10k").counted["results shorter than the truth, rest not scored"] == 1


def test_an_empty_file_is_refused_everywhere(gt: Path, results: Path):
    (results / "bird-2.txt").write_text("")
    for rule in ("official", "pytracking", "ostrack", "got10k", "pysot"):
        with pytest.raises(SSTrackError, match="bird-2"):
            score(gt, results, rule)


def test_a_long_file_is_cut_and_counted_or_refused(gt: Path, results: Path):
    before = score(gt, results).metrics
    rows(results / "bird-2.txt", FRAMES + 3)
    after = score(gt, results)
    assert after.metrics == before
    assert after.counted["results longer than the truth, cut"] == 1
    with pytest.raises(SSTrackError, match="23 rows for 20 frames"):
        score(gt, results, "pysot")


@pytest.mark.parametrize("text", ["nan,nan,nan,nan", "13,20,inf,40", "NaN NaN NaN NaN"])
def test_nan_is_replaced_and_counted_or_refused(gt: Path, results: Path, text: str):
    rows(results / "bird-2.txt", change={5: text})
    report = score(gt, results)
    assert report.counted["rows without a box, replaced by the row before"] == 1
    assert all(np.isfinite(value) for value in report.metrics.values())
    for rule in ("got10k", "pysot"):
        assert score(gt, results, rule).counted["rows without a box, counted as missed"] == 1
    for rule in ("pytracking", "ostrack"):
        with pytest.raises(SSTrackError, match=r"bird-2', row 6"):
            score(gt, results, rule)


def test_zero_and_negative_sizes(gt: Path, results: Path):
    rows(results / "bird-2.txt", change={5: "17,20,0,40"})
    for rule in ("official", "pytracking"):
        assert score(gt, results, rule).counted["rows without a box, replaced by the row before"] == 1
    rows(results / "bird-2.txt", change={5: "17,20,-3,40"})
    with pytest.raises(SSTrackError, match=r"row 6.*negative side"):
        score(gt, results, "ostrack")


@pytest.mark.parametrize("text", ["a,b,c,d", "1,2,3", "1,2,3,4,5", "1,,3,4", "1_0,2,3,4", "0x10,2,3,4"])
def test_letters_and_odd_rows_name_file_and_line(gt: Path, results: Path, text: str):
    rows(results / "bird-2.txt", change={5: text})
    with pytest.raises(SSTrackError, match=r"bird-2\.txt line 6: expected 4 or 8 numbers"):
        score(gt, results)


def test_bytes_that_are_no_text_are_refused(gt: Path, results: Path):
    (results / "bird-2.txt").write_bytes(bytes(range(256)))
    with pytest.raises(SSTrackError, match=r"bird-2\.txt line 1"):
        score(gt, results)


def test_an_extra_file_is_counted_times_are_not(gt: Path, results: Path):
    rows(results / "cat-99.txt")
    (results / "bird-2_time.txt").write_text("0.1\n" * FRAMES)
    (results / "airplane-1.times.txt").write_text("0.1\n" * FRAMES)
    assert score(gt, results).counted["files that belong to no sequence, left out"] == 1


def test_two_files_for_one_sequence_are_refused(gt: Path, results: Path):
    (results / "again").mkdir()
    rows(results / "again" / "bird-2.txt")
    with pytest.raises(SSTrackError, match="are both of 'bird-2'"):
        score(gt, results)


def test_a_zip_is_read_in_place_and_may_not_lead_out(gt: Path, results: Path, tmp_path: Path):
    archive = tmp_path / "results.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for path in results.iterdir():
            out.write(path, f"./tracker/{path.name}")
    assert score(gt, archive).metrics == score(gt, results).metrics
    with zipfile.ZipFile(archive, "a") as out:
        out.writestr("../../escaped.txt", "1,2,3,4\n")
    with pytest.raises(SSTrackError, match="leads out of the archive"):
        score(gt, archive)
    archive.write_bytes(archive.read_bytes()[:200])
    with pytest.raises(SSTrackError, match="no readable zip"):
        score(gt, archive)


def test_a_zip_that_swells_is_refused(gt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seams.LARGEST_RESULT, 1 << 16)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("bird-2.txt", "1,2,3,4\n" * (1 << 16))
    path = tmp_path / "bomb.zip"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(SSTrackError, match="the limit is 65536"):
        score(gt, path)


def test_a_link_out_of_the_results_is_not_followed(gt: Path, results: Path, tmp_path: Path):
    secret = tmp_path / "secret.txt"
    rows(secret)
    (results / "bird-2.txt").unlink()
    (results / "bird-2.txt").symlink_to(secret)
    with pytest.raises(SSTrackError, match="leads out of"):
        score(gt, results)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({0: "50,50,20,20"}, "does not begin with a start"),
        ({9: "7"}, "code 7 is none of 0, 1, 2"),
        ({9: "m1,2,3"}, "line 10: expected a code"),
        ({9: "x"}, "line 10: expected a code"),
        ({}, None),
    ],
)
def test_vot_runs_are_checked_before_they_are_scored(
    tmp_path: Path, shared: Path, lines: dict[int, str], said: str | None
):
    from tests.layouts import write_vot2018

    write_vot2018(tmp_path / "gt", shared, frames=120)
    run = ["1", *(["330,130,100,100"] * 119)]
    for index, text in lines.items():
        run[index] = text
    folder = tmp_path / "results" / "baseline" / "bag"
    folder.mkdir(parents=True)
    (folder / "bag_001.txt").write_text("\n".join(run) + "\n")
    if said is None:
        assert 0 < score_files("vot2018", tmp_path / "gt", tmp_path / "results").metrics["EAO"] < 1
        (folder / "bag_001.txt").write_text("\n".join(run[:-1]) + "\n")
        said = "119 regions for 120 frames"
    with pytest.raises(SSTrackError, match=said):
        score_files("vot2018", tmp_path / "gt", tmp_path / "results")


def test_names_that_differ_by_a_separator_only_are_told_apart(tmp_path: Path):
    root, results = tmp_path / "root", tmp_path / "results"
    (root / "anno" / "UAV123").mkdir(parents=True)
    results.mkdir()
    for name, shift in (("car1_1", 0), ("car11", 9)):
        (root / "anno" / "UAV123" / f"{name}.txt").write_text("10,20,30,40\n" * 5)
        (results / f"uav_{name}.txt").write_text(f"{10 + shift},20,30,40\n" * 5)
    rows = score_files("uav123", root, results).per_sequence
    assert rows["car1_1"]["mIoU"] == 100 > rows["car11"]["mIoU"]


def test_shadows_of_a_mac_archive_are_no_results(gt: Path, results: Path, tmp_path: Path):
    archive = tmp_path / "mac.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for path in results.iterdir():
            out.write(path, path.name)
            out.writestr(f"__MACOSX/._{path.name}", b"\0\5\x16\7")
    assert score(gt, archive).counted == score(gt, results).counted
