"""Sources of all kinds: S3 objects, lists, names that changed or did not, and sources that kill their workers."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from pipelines.dataset.manifest import load_manifest, read_rejects, read_sources
from pipelines.errors import SSTrackError
from pipelines.ingest import errand
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import ingest
from tests.s3 import S3Server

SMALL = IngestConfig(fps=5, long_side=96, min_frames=5, max_frames=40, retry_seconds=0, score_only=True)


@pytest.fixture(scope="module")
def films(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three short real videos, two of them the same bytes."""
    folder = tmp_path_factory.mktemp("films")
    shutil.copy(real_videos / "big_buck_bunny.mpg", folder / "a.mpg")
    shutil.copy(real_videos / "big_buck_bunny.mpg", folder / "copy of a.mpg")
    shutil.copy(real_videos / "big_buck_bunny.wmv", folder / "b.wmv")
    return folder


def rows(table: pa.Table) -> list[dict]:
    return table.to_pylist()


def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the sources whose bytes are read from now on."""
    names: list[str] = []
    run = errand._run

    def note(setup, found, scratch, cpu):
        names.append(Path(found.uri).name)
        return run(setup, found, scratch, cpu)

    monkeypatch.setattr(errand, "_run", note)
    return names


def test_a_prefix_gives_what_the_same_files_give(films: Path, s3_server: S3Server, tmp_path: Path) -> None:
    store = fsspec.filesystem("s3", use_listings_cache=False)
    for path in films.iterdir():
        store.put_file(str(path), s3_server.url("same", path.name))
    store.pipe_file(s3_server.url("same/notes.txt"), b"not a video")
    remote, local = str(tmp_path / "remote"), str(tmp_path / "local")
    ingest([s3_server.url("same/")], remote, SMALL)
    ingest([str(films)], local, SMALL)
    ours, theirs = load_manifest(remote), load_manifest(local)
    assert (ours.data_digest, ours.shards) == (theirs.data_digest, theirs.shards)
    [twice] = [row for row in rows(read_sources(remote, ours)) if len(row["uris"]) == 2]
    assert twice["uris"] == [s3_server.url("same/a.mpg"), s3_server.url("same/copy of a.mpg")]
    assert not list(tmp_path.rglob("fetch*")) and not list(Path(os.environ["SSTRACK_WORK"]).rglob("fetched*"))


def test_an_unchanged_object_is_not_fetched_again_and_a_changed_one_is(
    films: Path, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fsspec.filesystem("s3", use_listings_cache=False)
    a, b, out = s3_server.url("etag/a.mpg"), s3_server.url("etag/deep/b.wmv"), str(tmp_path / "dataset")
    store.put_file(str(films / "a.mpg"), a)
    store.put_file(str(films / "b.wmv"), b)
    fetched = read(monkeypatch)
    ingest([s3_server.url("etag")], out, SMALL)
    assert fetched == ["b.wmv", "a.mpg"] or fetched == ["a.mpg", "b.wmv"]
    fetched.clear()
    assert not ingest([a, s3_server.url("etag/**/*.wmv")], out, SMALL).published
    assert fetched == []
    store.pipe_file(b, (films / "b.wmv").read_bytes()[:-20_000])
    report = ingest([s3_server.url("etag")], out, SMALL)
    assert fetched == ["b.wmv"] and report.published and report.sources_new == 1


def test_new_names_of_known_bytes_are_looked_at_once_and_publish_nothing(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "dataset")
    ingest([str(films / "a.mpg")], out, SMALL)
    looked = read(monkeypatch)
    assert not ingest([str(films / "copy of a.mpg")], out, SMALL).published
    assert not ingest([str(films / "copy of a.mpg")], out, SMALL).published
    assert looked == ["copy of a.mpg"]
    assert ingest([str(films / "b.wmv")], out, SMALL).published
    names = {tuple(Path(uri).name for uri in row["uris"]) for row in rows(read_sources(out, load_manifest(out)))}
    assert names == {("a.mpg", "copy of a.mpg"), ("b.wmv",)}
    assert not ingest([str(films)], out, SMALL).published
    assert looked == ["copy of a.mpg", "b.wmv"]


def test_a_list_names_videos_with_their_digests(films: Path, s3_server: S3Server, tmp_path: Path) -> None:
    fsspec.filesystem("s3").put_file(str(films / "b.wmv"), s3_server.url("list/b.wmv"))
    digest = load_digest(films / "a.mpg")
    lines = ["uri,sha256", f"{films}/a.mpg,{digest}", f"{s3_server.url('list/b.wmv')},{'0' * 64}",
             f"{s3_server.url('list/gone.wmv')},", "gone.mpg,"]  # fmt: skip
    (tmp_path / "list.csv").write_text("\n".join(lines))
    out = str(tmp_path / "dataset")
    report = ingest([str(tmp_path / "list.csv")], out, SMALL)
    assert report.rejects == {"checksum": 1, "missing": 2}
    told = [(row["reason"], row["kind"], row["detail"]) for row in rows(read_rejects(out, load_manifest(out)))]
    assert {each[:2] for each in told} == {("checksum", "corrupt"), ("missing", "transient")}
    assert [line for line in ("line 2", "line 3", "line 4", "line 5") if line in str(told)] == ["line 4", "line 5"]
    assert not ingest([str(tmp_path / "list.csv")], out, SMALL).published  # what is missing is no news


def load_digest(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_store_that_does_not_answer_is_tried_again_and_then_said(
    films: Path, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.filesystem("s3").put_file(str(films / "b.wmv"), s3_server.url("away/b.wmv"))
    from pipelines import storage
    from pipelines.ingest import fetch as remote

    calls: list[str] = []

    def broken(uri: str, path: Path) -> None:
        calls.append(uri)
        raise SSTrackError("cannot read it: the store kept failing") from TimeoutError()

    monkeypatch.setattr(remote.storage, "download", broken)
    sources = [str(films / "a.mpg"), s3_server.url("away/b.wmv")]
    report = ingest(sources, str(tmp_path / "dataset"), SMALL)
    assert len(calls) == SMALL.attempts
    assert report.rejects == {"unreachable": 1}
    with pytest.raises(SSTrackError, match=r"1 of 1 new sources failed, more than max_failed_share=0.5.*unreachable"):
        ingest(sources[1:], str(tmp_path / "other"), SMALL)
    monkeypatch.undo()
    assert storage.exists(sources[1])
    assert "unreachable" not in ingest(sources, str(tmp_path / "dataset"), SMALL).rejects


KILLER = """#!/bin/sh
# An ffmpeg that kills its parent on the file that holds the word, and is the real one on all others.
for file in /proc/self/fd/* "$@"; do
  case "$(readlink "$file" || echo "$file")" in *killer*) kill -9 $PPID; exit 1;; esac
done
exec "$REAL_FFMPEG" "$@"
"""


@pytest.fixture
def killer_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import imageio_ffmpeg

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ffmpeg").write_text(KILLER)
    (tmp_path / "bin" / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("REAL_FFMPEG", imageio_ffmpeg.get_ffmpeg_exe())
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SSTRACK_FFMPEG", "system")


def test_a_source_that_kills_its_worker_twice_is_set_aside_until_it_is_asked_for(
    films: Path, killer_ffmpeg: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(films / "b.wmv", tmp_path / "killer.wmv")
    sources, out = [str(tmp_path / "killer.wmv"), str(films / "a.mpg")], str(tmp_path / "dataset")
    by_ffmpeg = SMALL.model_copy(update={"backend": "ffmpeg"})
    report = ingest(sources, out, by_ffmpeg, workers=2)
    assert report.clips >= 1 and report.rejects == {"crashed": 1}
    [row] = rows(read_rejects(out, load_manifest(out)))
    assert (row["stage"], row["kind"], row["source_id"]) == ("worker", "corrupt", load_digest(films / "b.wmv"))
    assert "killed by SIGKILL (2 times)" in row["detail"]
    assert not ingest(sources, out, by_ffmpeg, workers=2).published
    monkeypatch.setenv("SSTRACK_FFMPEG", "bundled")
    again = ingest(sources, out, by_ffmpeg, workers=2, retry_quarantined=True)
    assert again.published and "crashed" not in again.rejects
    assert len(rows(read_sources(out, load_manifest(out)))) == 2


def test_ctrl_c_ends_all_workers_says_how_to_go_on_and_the_next_run_goes_on(
    real_videos: Path, films: Path, tmp_path: Path, work: Path
) -> None:
    import psutil

    command = [str(Path(sys.executable).with_name("sstrack")), "ingest", str(films / "a.mpg")]
    command += [str(real_videos / "01_dog.mp4"), "--out", str(tmp_path / "dataset")]
    command += ["--workers", "2", "--set", "long_side=96", "--set", "fps=10", "--set", "min_frames=5"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "a.mpg" not in (line := process.stderr.readline()):
            assert line, "it ended too early"
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert "the same command goes on from there" in said
    assert psutil.wait_procs(below, timeout=20)[1] == []
    assert list((tmp_path / "dataset" / "_state" / "packs").iterdir())  # the other may have ended meanwhile
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "2 new and 0 known sources" in done.stderr


def test_a_long_video_is_shared_by_workers_to_the_same_bytes(real_videos: Path, tmp_path: Path) -> None:
    video = str(real_videos / "01_dog.mp4")
    config = SMALL.model_copy(update={"segment_seconds": 2.0})
    packs = tmp_path / "two" / "_state" / "packs"
    parts: set[str] = set()
    alone = ingest([video], str(tmp_path / "one"), config, workers=0)
    shared = ingest(
        [video], str(tmp_path / "two"), config, workers=2,
        pulse=lambda _: parts.update(path.name for path in packs.glob("*.part")),
    )  # fmt: skip
    assert len(parts) >= 2
    assert alone == shared
    assert not list(tmp_path.rglob("*.part"))
