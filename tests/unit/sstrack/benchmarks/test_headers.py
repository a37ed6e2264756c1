"""Size and orientation of image files, read as OpenCV reads them, so that evaluation, import and `track` agree."""

import contextlib
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipelines.frames import read_image
from pipelines.ingest.labelled.images import Damaged, decode
from sstrack.benchmarks.headers import Header, header_of, read_header
from tests.layouts import otb_frames


def turned(shared: Path, kind: str, orientation: int) -> bytes:
    """A real frame of 320x240 with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a camera"
    file = BytesIO()
    Image.open(otb_frames(shared, "Couple")[0]).save(file, kind, **({} if kind == "BMP" else {"exif": exif}))
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_import_and_track_see_a_turned_picture_alike(kind: str, orientation: int, shared: Path, tmp_path: Path) -> None:
    path = tmp_path / f"frame.{kind.lower()}"
    path.write_bytes(turned(shared, kind, orientation))
    header = read_header(path)
    assert header == Header(320, 240, orientation)
    assert header.upright == ((240, 320) if orientation >= 5 else (320, 240))
    ours, theirs = decode(path.read_bytes(), header.upright), read_image(path)
    assert ours.shape == theirs.shape and np.abs(ours.astype(int) - theirs).mean() < 0.5


def test_a_bitmap_and_a_jpeg_behind_a_long_preview_have_sizes(shared: Path, tmp_path: Path) -> None:
    assert header_of(turned(shared, "BMP", 1)) == Header(320, 240)
    assert decode(turned(shared, "BMP", 1), (320, 240)).shape == (240, 320, 3)
    jpeg = turned(shared, "JPEG", 6)
    preview = b"\xff\xe2" + struct.pack(">H", 0xFFFF) + b"p" * 0xFFFD
    path = tmp_path / "long.jpg"
    path.write_bytes(jpeg[:2] + b"\xff" + preview * 6 + jpeg[2:])
    assert read_header(path) == Header(320, 240, 6)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(value: int, shared: Path) -> None:
    assert header_of(turned(shared, "JPEG", value)).orientation == 1


@pytest.mark.parametrize(
    "data", [b"", b"no picture", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00", b"\x89PNG\r\n\x1a\n", b"BM"]
)
def test_what_is_no_picture_is_said_with_its_name(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "frame.jpg"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"frame\.jpg: it is no JPEG, PNG or BMP"):
        read_header(path)
    with pytest.raises(Damaged):
        decode(data, (1, 1))


@given(st.binary(max_size=200), st.sampled_from([b"\xff\xd8\xff", b"\xff\xd8\xff\xe1\x00\x40Exif\0\0II*\0", b"BM"]))
def test_no_bytes_break_the_reader(data: bytes, start: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert header_of(start + data).orientation in range(1, 9)
