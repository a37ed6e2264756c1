"""Frames of a folder in the order of their numbers, and nothing that copying tools left there: one rule, told twice."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import frames as tracked
from sstrack.benchmarks.layouts.frames import by_number, images, natural
from tests.layouts import otb_frames

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "


@pytest.mark.parametrize("name", ["{}.jpg", "frame{}.jpg", "a2_{}_b.JPG", "{:03d}.jpg", "take 1 ({}).jpg"])
def test_real_frames_come_in_the_order_of_their_numbers_whatever_their_names(
    name: str, shared: Path, tmp_path: Path
) -> None:
    expected = [tmp_path / name.format(number) for number in range(24)]
    for frame, path in zip(otb_frames(shared, "Couple"), expected, strict=False):
        shutil.copy(frame, path)
        (tmp_path / f"._{path.name}").write_bytes(APPLE_DOUBLE)
    (tmp_path / ".DS_Store").write_bytes(b"Bud1")
    (tmp_path / "notes.txt").write_text("none of the frames")
    (tmp_path / "thumbs.jpg").mkdir()
    assert list(images(tmp_path)) == expected
    (tmp_path / "thumbs.jpg").rmdir()
    assert tracked.images(tmp_path) == expected
    assert tracked.count_frames(tmp_path) == len(list(tracked.read_clip(tmp_path))) == 24


@given(st.lists(st.integers(0, 10**9), unique=True), st.text("ab_ -", max_size=3), st.data())
def test_names_that_differ_in_a_number_are_in_its_order(numbers: list[int], prefix: str, data: st.DataObject) -> None:
    widths = {number: data.draw(st.integers(1, 12)) for number in numbers}
    names = {f"{prefix}{number:0{widths[number]}d}.jpg": number for number in numbers}
    assert [names[name] for name in sorted(names, key=natural)] == sorted(numbers)


@given(st.lists(st.from_regex(r"[a-b0-9_é]{1,6}\.(jpg|PNG|bmp)", fullmatch=True), unique=True, max_size=8))
def test_both_tellings_of_the_order_agree_and_it_is_total(names: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in names:
            (folder / name).touch()
        assert list(images(folder)) == tracked.images(folder)
        assert {path.name for path in images(folder)} == set(names)


def test_two_images_of_one_number_are_refused(tmp_path: Path) -> None:
    for name in ("0001.jpg", "1.png", "x.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"two images for frame 1: 0001\.jpg, 1\.png"):
        by_number(images(tmp_path))
    (tmp_path / "1.png").unlink()
    assert list(by_number(images(tmp_path))) == [1]
