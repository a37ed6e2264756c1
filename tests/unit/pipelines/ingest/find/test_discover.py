"""Which files a source names: folders, patterns, lists, and what is refused."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.errors import SSTrackError, UsageError
from pipelines.ingest.find.sources import discover, holds_videos, printable
from pipelines.ingest.labelled.store import find_stored
from pipelines.s3 import Object


@pytest.fixture
def films(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b.MKV", "deep/er/c.webm", "notes.txt", "._a.mp4", "deep/.hidden.mp4"):
        path = tmp_path / "films" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    return tmp_path / "films"


def names(folder: Path, *sources: str) -> list[str]:
    return [str(Path(found.uri).relative_to(folder)) for found in discover(sources).found]


def test_a_folder_is_searched_for_videos_at_any_depth_and_hidden_files_are_none(films: Path) -> None:
    assert names(films, str(films)) == ["a.mp4", "b.MKV", "deep/er/c.webm"]
    assert names(films, f"file://{films}/deep") == ["deep/er/c.webm"]


def test_patterns_name_videos_and_folders(films: Path) -> None:
    assert names(films, f"{films}/*") == ["a.mp4", "b.MKV", "deep/er/c.webm"]
    assert names(films, f"{films}/**/[bc].*") == ["b.MKV", "deep/er/c.webm"]
    with pytest.raises(SSTrackError, match="no video in"):
        discover([f"{films}/*.xyz"])


def test_a_file_named_itself_may_have_any_suffix_and_each_is_taken_once(films: Path) -> None:
    assert names(films, f"{films}/notes.txt", str(films / "a.mp4"), str(films)) == [
        "a.mp4", "b.MKV", "deep/er/c.webm", "notes.txt",
    ]  # fmt: skip


def test_a_file_with_a_pattern_in_its_name_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "take[1].mp4").touch()
    assert names(tmp_path, str(tmp_path / "take[1].mp4")) == ["take[1].mp4"]


def test_a_changed_file_has_another_version(films: Path) -> None:
    [before] = discover([str(films / "a.mp4")]).found
    (films / "a.mp4").write_bytes(b"longer than before")
    [after] = discover([str(films / "a.mp4")]).found
    assert before.version != after.version and before.uri == after.uri


def test_a_lists_missing_files_and_folders_are_named_and_the_others_used(films: Path) -> None:
    (films / "list.txt").write_text("a.mp4\ngone.mp4\ndeep\n")
    discovery = discover([f"@{films}/list.txt"])
    assert [found.uri for found in discovery.found] == [str(films / "a.mp4")]
    assert [(bad.place[-6:], bad.reason) for bad in discovery.bad] == [("line 2", "missing"), ("line 3", "bad_row")]


def test_places_that_cannot_be_read_are_refused(films: Path, tmp_path: Path) -> None:
    for sources, kind, words in (
        ([], UsageError, "no sources were given"),
        (["http://host/a.mp4"], UsageError, "local paths and s3://"),
        ([str(films / "nowhere")], SSTrackError, "there is no file or folder"),
        (["/dev/null"], SSTrackError, "neither a file nor a folder"),
        ([""], UsageError, "an empty source"),
        (["@"], UsageError, "an empty source"),
    ):
        with pytest.raises(kind, match=words):
            discover(sources)
    with pytest.raises(UsageError, match="--layout vot2018: known are got10k"):
        discover([str(films)], "vot2018")
    with pytest.raises(SSTrackError, match=r"no lasot sequence in .*expected"):
        discover([str(films)], "lasot")
    with pytest.raises(UsageError, match="local paths and s3://"):
        discover(["gs://bucket/set"], "lasot")


def test_hostile_names_and_links_in_a_circle_are_found_once(tmp_path: Path) -> None:
    films = tmp_path / "films"
    odd = ["-y.mp4", 'it\'s "a" b.mp4', "line\nbreak.mp4", "{x}$(y)%s.mp4", "日本 ü.mp4"]
    (films / "clips.mp4" / "deep").mkdir(parents=True)  # a folder may be called so
    for name in odd:
        (films / "clips.mp4" / name).touch()
    (films / "clips.mp4" / "deep" / "up").symlink_to(films)
    (films / "round").symlink_to("round")
    expected = sorted(f"clips.mp4/{name}" for name in odd)
    for source in (f"{films}", f"{films}/**/*.mp4", f"{films}/*/*"):
        assert names(films, source) == expected
        assert discover([source]).bad == []
    assert printable("a\nb\x1b[31m日本") == "a\\nb\\x1b[31m日本"


def test_what_a_folder_holds_in_vain_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    (tmp_path / "a.mp4").touch()
    (tmp_path / "gone.mp4").symlink_to("nowhere.mp4")
    (tmp_path / "self.mp4").symlink_to("self.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    closed = tmp_path / "closed"
    closed.mkdir()
    listed = os.scandir

    def scandir(path: str) -> object:  # root may read everything, so permission is taken away here
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    discovery = discover([str(tmp_path)])
    assert [found.uri for found in discovery.found] == [str(tmp_path / "a.mp4")]
    assert {(Path(bad.uri).name, bad.reason) for bad in discovery.bad} == {
        ("gone.mp4", "missing"), ("self.mp4", "missing"), ("closed", "unreadable"),
    }  # fmt: skip


def test_keys_of_a_store_that_lead_out_or_clash_are_no_sequences(tmp_path: Path) -> None:
    good = ("Square/img/0001.jpg", "Square/groundtruth_rect.txt")
    evil = ("../../etc/groundtruth_rect.txt", "a//b/groundtruth_rect.txt", "./groundtruth_rect.txt", "Square",
            f"{'x' * 300}/groundtruth_rect.txt", "Square/groundtruth_rect.txt/img/0001.jpg")  # fmt: skip
    objects = [Object(f"s3://bucket/set/{key}", 20, datetime.now(UTC), "tag") for key in sorted((*good, *evil))]
    [found] = find_stored(objects, "s3://bucket/set", "", tmp_path / "work")
    assert (found.uri, found.member.name) == ("s3://bucket/set/Square", "groundtruth_rect.txt")
    assert [path for path in tmp_path.rglob("*") if path != tmp_path / "work"] == []


def test_a_folder_holds_videos_or_not(films: Path, tmp_path: Path) -> None:
    assert holds_videos(str(films))
    (tmp_path / "empty").mkdir()
    assert not holds_videos(str(tmp_path / "empty"))
    assert not holds_videos(str(tmp_path / "nowhere"))
