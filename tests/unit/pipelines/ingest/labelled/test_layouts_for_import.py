"""The layouts as labelled import sees them: one reader with the benchmarks, and every test list known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flows.parameters import Layout
from pipelines.ingest.labelled.find import LAYOUTS as NAMES
from pipelines.ingest.labelled.find import Member, find_members
from pipelines.ingest.labelled.tolerant import Tolerant
from pipelines.ingest.reject import Unusable
from sstrack.benchmarks.layouts.known import LAYOUTS as KNOWN
from sstrack.benchmarks.layouts.reading import STRICT
from sstrack.benchmarks.registry import benchmark
from tests.layouts import LAYOUTS, link, otb_boxes, otb_frames, table, write_lasot, write_otb, write_tnl2k

READ = {"got10k": "got10k", "got10k_test": "got10k", "lasot": "lasot", "lasot_ext": "lasot", "otb100": "otb",
        "trackingnet": "trackingnet", "tnl2k": "tnl2k", "uav123": "uav", "uav123_10fps": "uav", "vot2018": "vot",
        "vot2019": "vot", "vot2020": "vot"}  # fmt: skip
"""Benchmark to the layout that import recognises it as."""


def members(root: Path) -> list[Member]:
    return list(find_members(root, ""))


@pytest.mark.parametrize("name", READ)
def test_a_benchmarks_sequences_are_recognised_and_known_to_be_judged(name: str, shared: Path, tmp_path: Path) -> None:
    expected = LAYOUTS[name](tmp_path, shared)
    found = members(tmp_path)
    assert len(found) == len(expected) and {each.layout for each in found} == {READ[name]}
    assert all(each.withheld for each in found)


@pytest.mark.parametrize("name", READ)
def test_import_and_benchmark_read_the_same_boxes_and_frames(name: str, shared: Path, tmp_path: Path) -> None:
    LAYOUTS[name](tmp_path, shared)
    sequences = {sequence.frames[0]: sequence for sequence in benchmark(name).read(tmp_path)}
    for each in members(tmp_path):
        read = each.read()
        assert read.frames[0] is not None
        sequence = sequences[read.frames[0]]
        count = len(read.frames)
        assert count == len(sequence.truth) and read.frames == sequence.frames[:count]
        shown = read.visible
        np.testing.assert_array_equal(read.boxes[shown], sequence.boxes[:count][shown])
        assert not (shown & ~sequence.visible[:count]).any()


@pytest.mark.parametrize("layout", ["otb", "lasot", "got10k", "folder", "tnl2k", "trackingnet"])
def test_strict_and_tolerant_agree_on_sound_labels(layout: str, shared: Path, tmp_path: Path) -> None:
    benchmarks = {value: key for key, value in reversed(READ.items())} | {"folder": "folder"}
    if layout == "folder":
        link(otb_frames(shared, "Couple")[:9], tmp_path / "mine", "%d.jpg", first=0)
        table(tmp_path / "mine" / "groundtruth.txt", otb_boxes(shared, "Couple")[:9])
    else:
        LAYOUTS[benchmarks[layout]](tmp_path, shared)
    for each in members(tmp_path):
        files = Tolerant()
        strict = KNOWN[layout].labels(each.path, each.name, STRICT)
        tolerant = KNOWN[layout].labels(each.path, each.name, files)
        np.testing.assert_array_equal(strict.boxes, tolerant.boxes)
        count = len(strict.boxes)
        frames = [KNOWN[layout].frames(each.path, each.name, reading, count) for reading in (STRICT, files)]
        assert frames[0] == frames[1] and files.wrong == []


def _repacked_uav(root: Path, shared: Path) -> None:
    link(otb_frames(shared, "Couple")[:9], root / "wakeboard7" / "img", "%06d.jpg")
    table(root / "wakeboard7" / "wakeboard7.txt", otb_boxes(shared, "Couple")[:9])


def _own_otb(root: Path, shared: Path) -> None:
    for name, truth in (("Kite", "groundtruth_rect.txt"), ("wakeboard7", "groundtruth_rect.txt"), ("Cat", "Cat.txt")):
        link(otb_frames(shared, "Couple")[:9], root / name / "img", "%04d.jpg")
        table(root / name / truth, otb_boxes(shared, "Couple")[:9])


def _own_folder(root: Path, shared: Path) -> None:
    for name in ("airplane-1", "car-1", "Basketball", "GOT-10k"):
        link(otb_frames(shared, "Couple")[:9], root / name, "%d.jpg", first=0)
        table(root / name / "groundtruth.txt", otb_boxes(shared, "Couple")[:9])


def _train_of_tnl2k(root: Path, shared: Path) -> None:
    write_tnl2k(root, shared)
    (root / "Assian_video_Z03_done").rename(root / "Train_video_01")
    (root / "subset 3" / "Chess_video_12").rename(root / "subset 3" / "Train_video_02")


@pytest.mark.parametrize(
    ("write", "judged"),
    [
        (_repacked_uav, ["wakeboard7 is on the test list of benchmark uav123"]),
        (_own_otb, ["", "", ""]),
        (_own_folder, ["", "", "", ""]),
        (_train_of_tnl2k, ["", ""]),
        (lambda root, shared: write_lasot(root, shared, "airplane-2"), [""]),
        (lambda root, shared: write_lasot(root, shared, "airplane-1"), ["airplane-1 is on .* benchmark lasot"]),
        (lambda root, shared: write_otb(root, shared), ["Football1 is on .* otb100", "Skiing is on .* otb100"]),
    ],
)
def test_names_are_judged_only_in_the_layout_of_their_benchmark(
    write: Callable[[Path, Path], object], judged: list[str], shared: Path, tmp_path: Path
) -> None:
    import re

    write(tmp_path, shared)
    found = [each.withheld for each in members(tmp_path)]
    assert len(found) == len(judged)
    for said, expected in zip(sorted(found), sorted(judged), strict=True):
        assert re.fullmatch(f"{expected}.*" if expected else "", said)


def test_every_layouts_name_is_one_that_the_flow_takes() -> None:
    from typing import get_args

    assert get_args(get_args(Layout)[0]) == NAMES == (*KNOWN, "coco")


@pytest.mark.parametrize(
    ("text", "boxes", "wrong"),
    [
        (b"1,2,3,4\n5\t6 7;8\r\n", [(1, 2, 3, 4), (5, 6, 7, 8)], ""),
        (b"\xef\xbb\xbf1,2,3,4\n\n\n", [(1, 2, 3, 4)], ""),
        (b"1,2,3,4\nx\n1,2\n", [(1, 2, 3, 4), None, None], "2 lines of t.txt are no boxes, the first is line 2"),
        (b"nan,nan,nan,nan\n1,2,3,4\n", [None, (1, 2, 3, 4)], ""),
        (b"0,0,4,0,4,3,0,3\n", [(0, 0, 4, 3)], ""),
        (b"", [], ""),
    ],
)
def test_tables_with_damage(text: bytes, boxes: list[tuple[float, ...] | None], wrong: str, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(text)
    files = Tolerant()
    expected = np.array([box or (np.nan,) * 4 for box in boxes]).reshape(-1, 4)
    np.testing.assert_array_equal(files.boxes(tmp_path / "t.txt", (4, 8)), expected)
    assert files.wrong == ([wrong] if wrong else [])


def test_regions_with_damage_keep_their_sound_lines(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1,2,3,4\n1,2,3\n0,0,4,0,4,3,0,3\nm1,1,2,2,1,3\n")
    files = Tolerant()
    boxes, regions = files.regions(tmp_path / "t.txt")
    assert regions is None and files.wrong == ["1 lines of t.txt are no boxes, the first is line 2"]
    np.testing.assert_array_equal(boxes[[0, 2]], [(1, 2, 3, 4), (0, 0, 4, 3)])
    assert np.isnan(boxes[1]).all() and np.isfinite(boxes[3]).all()


@pytest.mark.parametrize(
    ("text", "flags", "wrong"),
    [
        (None, [0, 0, 0], ""),
        (b"0,1,0", [0, 1, 0], ""),
        (b"0\n1\n", [0, 1, 0], "t.txt has 2 flags for 3 labels"),
        (b"1 x 1", [0, 0, 0], "t.txt holds what is no number; it is ignored"),
    ],
)
def test_flags_with_damage(text: bytes | None, flags: list[int], wrong: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "t.txt").write_bytes(text)
    files = Tolerant()
    assert files.flags(tmp_path / "t.txt", 3).tolist() == [bool(flag) for flag in flags]
    assert files.wrong == ([wrong] if wrong else [])


@pytest.mark.parametrize(
    ("names", "first", "expected"),
    [
        (("1.jpg", "3.jpg"), 1, ["1.jpg", None, "3.jpg"]),
        (("7.jpg", "8.jpg"), None, ["7.jpg", "8.jpg"]),
        (("2.jpg", "10.jpg", "._2.jpg"), 2, ["2.jpg", *[None] * 7, "10.jpg"]),
        (("a2.jpg", "a10.jpg"), 1, ["a2.jpg", "a10.jpg"]),
        (("1.jpg", "2.jpg", "cover.jpg"), 1, ["1.jpg", "2.jpg"]),
    ],
)
def test_numbers_say_which_frame_is_missing(
    names: tuple[str, ...], first: int | None, expected: list[str | None], tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert [path and path.name for path in Tolerant().frames(tmp_path, first)] == expected


def test_folders_that_cannot_be_numbered_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no image"):
        Tolerant().frames(tmp_path, 1)
    (tmp_path / "1.jpg").touch()
    (tmp_path / "01.png").touch()
    with pytest.raises(Unusable, match="two images for frame 1"):
        Tolerant().frames(tmp_path, 1)
    (tmp_path / "01.png").rename(tmp_path / "999999.png")
    with pytest.raises(Unusable, match="too many are missing"):
        Tolerant().frames(tmp_path, 1)
