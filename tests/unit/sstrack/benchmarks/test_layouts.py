"""Readers on roots laid out as benchmarks are distributed, made of real frames; what is said about broken ones."""

from pathlib import Path

import numpy as np
import pytest

from sstrack.benchmarks.headers import read_header
from sstrack.benchmarks.layouts.uav import video_of
from sstrack.benchmarks.registry import benchmark, benchmark_names
from sstrack.benchmarks.splits import split_rows
from sstrack.benchmarks.survey import survey
from tests.layouts import LAYOUTS, link, otb_boxes, otb_frames, table


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_found_whole(name: str, tmp_path: Path, shared: Path):
    names = LAYOUTS[name](tmp_path, shared)
    seen = survey(benchmark(name), tmp_path)
    assert (list(seen.found), seen.with_frames, seen.wrong) == (names, len(names), ())
    assert not set(seen.missing) & set(names)
    for sequence in benchmark(name).read(tmp_path):
        assert all(frame.is_file() for frame in sequence.frames)
        box = sequence.first_box
        width, height = read_header(sequence.frames[0]).upright
        assert -1 <= box[0] < width and -1 <= box[1] < height


def test_every_benchmark_but_the_plain_folder_has_a_layout_here():
    assert set(benchmark_names()) - set(LAYOUTS) <= {"folder", "uav20l", "nfs240"}


def test_boxes_are_0_based_for_trackers_and_as_filed_for_rules(tmp_path: Path, shared: Path):
    LAYOUTS["otb100"](tmp_path, shared)
    skiing = benchmark("otb100").read(tmp_path)[1]
    assert skiing.truth.boxes[0].tolist() == [446, 181, 29, 26]
    assert skiing.first_box.tolist() == [445, 180, 29, 26]


def test_extra_images_of_otb_are_left_and_windows_start_where_they_do(tmp_path: Path, shared: Path):
    LAYOUTS["otb100"](tmp_path, shared)
    football = benchmark("otb100").read(tmp_path)[0]
    assert (len(football), len(list((tmp_path / "Football1" / "img").iterdir()))) == (74, 81)
    # BlurCar3 is annotated on images 3 to 359.
    frames = (otb_frames(shared, "Couple") * 3)[:357]
    link(frames, tmp_path / "BlurCar3" / "img", "%04d.jpg", first=3)
    table(tmp_path / "BlurCar3" / "groundtruth_rect.txt", np.tile(otb_boxes(shared, "Couple")[0], (357, 1)), " ")
    blur = next(s for s in benchmark("otb100").read(tmp_path) if s.name == "BlurCar3")
    assert (blur.frames[0].name, blur.frames[-1].name) == ("0003.jpg", "0359.jpg")


@pytest.mark.parametrize("rows", [349, 354])
def test_tiger1_is_349_rows_however_its_file_begins(tmp_path: Path, shared: Path, rows: int):
    boxes = np.arange(354 * 4).reshape(354, 4) / 16 + 1
    table(tmp_path / "Tiger1" / "groundtruth_rect.txt", boxes[354 - rows :])
    link((otb_frames(shared, "Couple") * 3)[:354], tmp_path / "Tiger1" / "img", "%04d.jpg")
    tiger = benchmark("otb100").read(tmp_path)[0]
    assert len(tiger) == 349
    assert tiger.truth.boxes[0].tolist() == boxes[5].tolist()
    assert tiger.frames[0].name == "0006.jpg"


def test_two_targets_of_one_folder(tmp_path: Path, shared: Path):
    link((otb_frames(shared, "Couple") * 3)[:307], tmp_path / "Jogging" / "img", "%04d.jpg")
    for number in (1, 2):
        table(tmp_path / "Jogging" / f"groundtruth_rect.{number}.txt", np.full((307, 4), 10.0 * number))
    first, second = benchmark("otb100").read(tmp_path)
    assert (first.name, second.name) == ("Jogging-1", "Jogging-2")
    assert second.truth.boxes[0, 0] == 20
    (tmp_path / "Jogging" / "groundtruth_rect.2.txt").unlink()
    seen = survey(benchmark("otb100"), tmp_path)
    assert seen.found == ("Jogging-1",)
    assert "groundtruth_rect.2.txt" in seen.wrong[0]


def test_lasot_flags_make_absent_frames(tmp_path: Path, shared: Path):
    LAYOUTS["lasot"](tmp_path, shared)
    sequence = benchmark("lasot").read(tmp_path)[0]
    assert np.flatnonzero(~sequence.visible).tolist() == [7, 8]
    assert np.isnan(sequence.boxes[7]).all() and not np.isnan(sequence.boxes[8]).any()


def test_nan_rows_of_uav_and_its_attributes(tmp_path: Path, shared: Path):
    LAYOUTS["uav123"](tmp_path, shared)
    sequence = benchmark("uav123").read(tmp_path)[0]
    assert sequence.frames[0].name == "000775.jpg"
    assert np.isnan(sequence.truth.boxes[4]).all()
    assert sequence.truth.attributes == {"SV", "FM", "SOB"}
    assert [video_of(name) for name in ("bird1_2", "car1_s", "wakeboard10")] == ["bird1", "car1_s", "wakeboard10"]


def test_windows_of_uav_are_those_of_its_list(shared: Path):
    listed = (shared / "data" / "metrics" / "uav123_infos.txt").read_text().splitlines()[1:]
    rows = {row[0]: row[1:] for row in split_rows("uav123")}
    assert len(rows) == len(listed) == 123
    for line in listed:
        video, annotation, first, last = line.split(",")
        name = Path(annotation).stem
        assert rows[name] == (first, last)
        assert video_of(name) == Path(video).name


def test_a_real_annotation_with_nan_rows(shared: Path, tmp_path: Path):
    target = tmp_path / "anno" / "UAV123" / "person17_1.txt"
    target.parent.mkdir(parents=True)
    target.write_bytes((shared / "data" / "metrics" / "uav_person17_1_nan_rows.txt").read_bytes())
    truth = benchmark("uav123").truths(tmp_path)[0]
    assert int(np.isnan(truth.boxes).all(axis=1).sum()) == 18


def test_vot_gives_regions_boxes_tags_and_anchors(tmp_path: Path, shared: Path):
    LAYOUTS["vot2020"](tmp_path, shared)
    sequence = benchmark("vot2020").read(tmp_path)[0]
    truth = sequence.truth
    assert truth.size == (480, 360)
    assert truth.anchors is not None and np.flatnonzero(truth.anchors).tolist() == [0, 8]
    assert truth.tags["occlusion"].tolist() == [False, True] + [False] * 14
    assert sequence.first_box == pytest.approx([292.23, 128.36, 145.96, 132.47])


@pytest.mark.parametrize(
    ("name", "broken", "content", "said"),
    [
        ("lasot", "airplane/airplane-1/out_of_view.txt", "0,1", "2 flags for 12 rows"),
        ("lasot", "airplane/airplane-1/full_occlusion.txt", None, "full_occlusion.txt cannot be read"),
        ("lasot", "airplane/airplane-1/groundtruth.txt", "1,2,3,4\n1,2,3\n", "line 2: expected 4 numbers"),
        ("got10k", "val/GOT-10k_Val_000002/cover.label", "8\n8\n", "2 values for 10 rows"),
        ("uav123", "anno/UAV123/att/bird1_2.txt", "1,0,1\n", "3 values for the 12 attributes"),
        ("uav123", "data_seq/UAV123/bird1/000780.jpg", None, "no image for frame 780"),
        ("otb100", "Skiing/groundtruth_rect.txt", "1,2,3,4\n", "1 rows; Skiing is annotated on frames 1 to 81"),
        ("vot2020", "bag/anchor.value", "1\n", "1 values for 16 rows"),
        ("vot2018", "bag/groundtruth.txt", "1,2,3\n", "expected a code, x,y,w,h, a polygon"),
        ("vot2018", "list.txt", "../bag\n", "no name of a sequence"),
        ("tnl2k", "subset 3/Chess_video_12/groundtruth.txt", "a,b,c,d\n", "expected 4 numbers, got 'a b c d'"),
        ("nfs", "walk/30/walk.txt", "0 1 2 x 4\n", "line 1: expected track x1 y1 x2 y2"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named_with_what_is_expected(
    name: str, broken: str, content: str | None, said: str, tmp_path: Path, shared: Path
):
    LAYOUTS[name](tmp_path, shared)
    path = tmp_path / broken
    path.unlink()
    if content is not None:
        path.write_text(content)
    seen = survey(benchmark(name), tmp_path)
    assert any(said in sentence for sentence in seen.wrong), seen
    with pytest.raises(ValueError, match=r".+"):
        benchmark(name).read(tmp_path)


def test_annotation_alone_has_no_frames_to_track(tmp_path: Path):
    (tmp_path / "absent").mkdir()
    (tmp_path / "airplane-1.txt").write_text("1,2,3,4\n" * 3)
    (tmp_path / "absent" / "airplane-1.txt").write_text("0\n0\n1\n")
    assert survey(benchmark("lasot"), tmp_path).with_frames == 0
    with pytest.raises(ValueError, match="without images"):
        benchmark("lasot").read(tmp_path)
