"""Lists of sources: what a row may say, and that a bad row is named by its line and stops nothing."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import SSTrackError, UsageError
from pipelines.ingest.find.lists import is_list, read_list

SHA = "ab" * 32


def test_a_text_list_has_comments_blank_lines_and_names_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("# films\n\nfilms/a.mp4\r\n/data/b.mp4\ns3://bucket/c.mp4\n", newline="")
    rows, bad = read_list(f"@{tmp_path}/names.txt")
    assert [row.uri for row in rows] == [f"{tmp_path}/films/a.mp4", "/data/b.mp4", "s3://bucket/c.mp4"]
    assert [row.place for row in rows] == [f"{tmp_path}/names.txt line {number}" for number in (3, 4, 5)]
    assert bad == []


def test_a_csv_keeps_digest_etag_and_size_and_ignores_other_columns(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(
        f'\ufefflicence, URI ,sha256,etag,bytes\nfree,"/a, b.mp4",{SHA.upper()},"""e""",12\n'
    )
    [row], bad = read_list(str(tmp_path / "x.csv"))
    assert (row.uri, row.sha256, row.etag, row.bytes, bad) == ("/a, b.mp4", SHA, '"e"', 12, [])


def test_bad_rows_are_named_by_line_and_the_others_are_used(tmp_path: Path) -> None:
    lines = [
        "uri,sha256,bytes",
        "/a.mp4,,",
        "http://host/b.mp4,,",
        "/c.mp4,abc,",
        ",,",
        "/d.mp4,,many",
        f"/e.mp4,{SHA},1",
    ]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    rows, bad = read_list(str(tmp_path / "x.csv"))
    assert [row.uri for row in rows] == ["/a.mp4", "/e.mp4"]
    assert [row.place.rpartition(" ")[2] for row in bad] == ["3", "4", "5", "6"]
    assert [row.reason for row in bad] == ["bad_row"] * 4


def test_a_parquet_list_needs_a_uri_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"uri": ["/a.mp4", None], "etag": ["e", "f"], "label": [1, 2]}), tmp_path / "x.parquet")
    rows, bad = read_list(str(tmp_path / "x.parquet"))
    assert [(row.uri, row.etag) for row in rows] == [("/a.mp4", "e")]
    assert [row.place for row in bad] == [f"{tmp_path}/x.parquet line 2"]
    pq.write_table(pa.table({"path": ["/a.mp4"]}), tmp_path / "y.parquet")
    with pytest.raises(UsageError, match=r"no column `uri`, it has path"):
        read_list(str(tmp_path / "y.parquet"))


@pytest.mark.parametrize("name", ["x.txt", "x.csv", "x.parquet"])
def test_what_is_no_list_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\xff\xfe\x00PAR1")
    with pytest.raises(UsageError, match=r"is not UTF-8 text|is no parquet file"):
        read_list(f"@{tmp_path / name}")
    with pytest.raises(SSTrackError, match="check the"):
        read_list(f"@{tmp_path / ('no' + name)}")


def test_lists_are_told_by_their_sign_or_suffix() -> None:
    assert is_list("@any") and is_list("a.CSV") and is_list("s3://b/a.parquet")
    assert not is_list("a.txt") and not is_list("a@b.mp4")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_or_a_usage_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(b"uri,sha256\n" + data)
    try:
        rows, bad = read_list(str(path))
    except UsageError:
        return
    assert all(row.uri.startswith(("/", "s3://", "file://")) for row in rows)
    assert all(" line " in row.place for row in bad)
