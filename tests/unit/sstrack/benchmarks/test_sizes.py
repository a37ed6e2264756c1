"""Labels that are for pictures of another size than those that are there."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from sstrack.benchmarks.headers import Header
from sstrack.benchmarks.registry import benchmark
from sstrack.benchmarks.sizes import contradiction
from sstrack.benchmarks.survey import survey
from tests.layouts import LAYOUTS, otb_boxes, table

INSIDE, EDGE, OUTSIDE, NONE = (10, 10, 20, 20), (-9, 10, 20, 20), (110, 10, 20, 20), (np.nan,) * 4


@pytest.mark.parametrize(
    ("header", "boxes", "stated", "said"),
    [
        (Header(100, 60), [INSIDE] * 20, None, ""),
        (Header(100, 60), [INSIDE] * 20, (100, 60), ""),
        (Header(100, 60), [INSIDE] * 20, (200, 120), "the pictures are 100x60, their labels are for 200x120"),
        (Header(100, 60), [EDGE] * 20, None, ""),
        (Header(100, 60), [OUTSIDE] + [INSIDE] * 99, None, "1 of 100 boxes are centred outside, the first in row 1"),
        (Header(100, 60), [INSIDE] * 99 + [OUTSIDE], None, ""),
        (Header(100, 60), [NONE] + [INSIDE] * 9 + [OUTSIDE] * 2, None, "2 of 11 boxes.*the first in row 11"),
        (Header(100, 60), [NONE] * 5, None, ""),
        (Header(100, 200, 6), [INSIDE, OUTSIDE], None, ""),
        (Header(200, 100, 6), [INSIDE, OUTSIDE], None, "100x200, but 1 of 2.*EXIF orientation 6 turns what is stored"),
        (Header(200, 100, 8), [INSIDE], (200, 100), "are for 200x100; EXIF orientation 8"),
    ],
)  # fmt: skip
def test_contradictions(header: Header, boxes: list[tuple[float, ...]], stated: tuple[int, int] | None, said: str):
    import re

    found = contradiction(header, np.array(boxes, dtype=float), stated)
    assert re.search(said, found) if said else found == ""


def test_a_benchmark_whose_frames_were_shrunk_is_named(tmp_path: Path, shared: Path):
    LAYOUTS["got10k"](tmp_path, shared)
    place = tmp_path / "val" / "GOT-10k_Val_000001"
    for path in place.glob("*.jpg"):
        picture = cv2.imread(str(path))
        assert picture is not None
        small = cv2.resize(picture, (160, 120))
        path.unlink()
        cv2.imwrite(str(path), small)
    seen = survey(benchmark("got10k"), tmp_path)
    assert seen.found == ("GOT-10k_Val_000002",)
    assert "GOT-10k_Val_000001': the pictures are 160x120, their labels are for 320x240" in seen.wrong[0]
    with pytest.raises(ValueError, match="the pictures are 160x120"):
        benchmark("got10k").read(tmp_path)


def test_unpadded_numbers_and_shadows_of_a_copy_give_a_benchmark_its_order(tmp_path: Path, shared: Path):
    folder = tmp_path / "walk"
    folder.mkdir()
    for number in range(24):
        shutil.copy(shared / f"data/sequences/otb/Crossing/img/{number + 1:04d}.jpg", folder / f"{number}.jpg")
        (folder / f"._{number}.jpg").write_bytes(b"\0\5\x16\7")
    table(folder / "groundtruth.txt", otb_boxes(shared, "Crossing")[:24] - (1, 1, 0, 0))
    [sequence] = benchmark("folder").read(tmp_path)
    assert [int(path.stem) for path in sequence.frames] == list(range(24))
