"""A dataset can be checked, mended, merged, pruned and taken out of, and each says what it did."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest
import simplejpeg

from pipelines import storage
from pipelines.dataset.compact import compact
from pipelines.dataset.dataset import Dataset
from pipelines.dataset.export import export
from pipelines.dataset.loader import ClipLoader
from pipelines.dataset.manifest import load_manifest, read_clips
from pipelines.dataset.prune import prune
from pipelines.dataset.rebuild import rebuild_index
from pipelines.dataset.tars import index_uri
from pipelines.dataset.verify import verify
from pipelines.errors import SSTrackError
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import ingest
from sstrack.configs.data import DataConfig
from tests import seams
from tests.s3 import S3Server

SMALL = IngestConfig(long_side=160, min_frames=10, max_frames=25, shard_mib=0.12)
CONFIG = DataConfig(group_size=2, groups=1, n_search=2)


@pytest.fixture(scope="module")
def original(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several small shards: two ingests, the second appended to the first."""
    folder = tmp_path_factory.mktemp("care") / "dataset"
    for name in ("action.avi", "street_426x240.mp4"):
        ingest([str(real_videos / name)], str(folder), SMALL)
    return folder


@pytest.fixture
def dataset(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "dataset"))


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_whole_dataset_is_found_whole(dataset: Path) -> None:
    manifest = load_manifest(str(dataset))
    found = verify(str(dataset), decode=0.1)
    assert found.problems == []
    assert (found.shards, found.clips, found.frames) == (
        len(manifest.shards),
        manifest.totals.clips,
        manifest.totals.frames,
    )
    assert manifest.totals.clips <= found.decoded < found.frames
    assert verify(str(dataset), manifest.parent).problems == []


def test_every_kind_of_damage_is_told(dataset: Path) -> None:
    first, second, third, fourth, *_ = load_manifest(str(dataset)).shards
    shards = dataset / "shards"
    (shards / f"{first.sha256}.tar").unlink()
    whole = (shards / f"{second.sha256}.tar").read_bytes()
    (shards / f"{second.sha256}.tar").write_bytes(whole[: len(whole) // 2])
    data = bytearray((shards / f"{third.sha256}.tar").read_bytes())
    with tarfile.open(shards / f"{third.sha256}.tar") as tar:
        member = tar.getmembers()[3]
    data[member.offset_data : member.offset_data + 40] = bytes(40)
    (shards / f"{third.sha256}.tar").write_bytes(data)
    index = bytearray((shards / f"{fourth.sha256}.idx").read_bytes())
    index[-1] ^= 1
    (shards / f"{fourth.sha256}.idx").write_bytes(index)
    told = verify(str(dataset)).problems
    for shard, words in (
        (first, "is missing"),
        (second, "is no whole tar"),
        (third, "bytes do not match its name"),
        (third, "frame 3: no JPEG"),
        (third, "do not match the clips table"),
        (fourth, "does not match its tar"),
    ):
        assert any(shard.sha256[:12] in line and words in line for line in told), (words, told)
    [table] = (dataset / "tables").glob(f"{load_manifest(str(dataset)).clips_table}*")
    table.write_bytes(table.read_bytes()[:-1])
    assert any("clips.parquet is damaged" in line for line in verify(str(dataset)).problems)


def test_indexes_are_made_again_byte_for_byte(dataset: Path) -> None:
    before = {path: path.read_bytes() for path in (dataset / "shards").glob("*.idx")}
    one, two, *_ = before
    one.unlink()
    two.write_bytes(b"no index")
    assert rebuild_index(str(dataset)) == {"shards": len(before), "written": 2}
    assert {path: path.read_bytes() for path in (dataset / "shards").glob("*.idx")} == before
    assert rebuild_index(str(dataset))["written"] == 0
    tar = one.with_suffix(".tar")
    tar.write_bytes(tar.read_bytes() + bytes(512))
    with pytest.raises(SSTrackError, match="is damaged: its bytes do not match its name"):
        rebuild_index(str(dataset))


@pytest.mark.parametrize("order", ["whole", "windowed"])
def test_compacting_keeps_clips_order_and_batches_and_the_parent_stays_readable(dataset: Path, order: str) -> None:
    parent = load_manifest(str(dataset))
    config = dataclasses.replace(CONFIG, order=order)  # type: ignore[arg-type]
    before = ClipLoader([Dataset(str(dataset), parent.digest)], config, seed=3)
    batches = [before.group(step, 0) for step in range(3)]
    done = compact(str(dataset), shard_mib=2.0)
    child = load_manifest(str(dataset))
    assert done == {
        "manifest": child.digest,
        "published": True,
        "shards_before": len(parent.shards),
        "shards_after": len(child.shards),
    }
    assert len(child.shards) < len(parent.shards)
    assert (child.parent, child.data_digest) == (parent.digest, parent.data_digest)
    old, new = (read_clips(str(dataset), each).drop_columns(["shard"]).to_pylist() for each in (parent, child))
    assert str(old) == str(new)  # NaN, where a clip has no seed, equals nothing
    assert verify(str(dataset), decode=0).problems == []
    assert verify(str(dataset), parent.digest, decode=0).problems == []
    after = ClipLoader([Dataset(str(dataset), child.digest)], config, seed=3)
    for step, batch in enumerate(batches):
        again = after.group(step, 0)
        assert again.clip_ids == batch.clip_ids
        assert np.array_equal(again.frames.numpy(), batch.frames.numpy())
        assert before.group(step, 0).clip_ids == batch.clip_ids
    assert compact(str(dataset), shard_mib=2.0)["published"] is False


def test_compacting_a_damaged_shard_publishes_nothing(dataset: Path) -> None:
    manifest = load_manifest(str(dataset))
    path = dataset / "shards" / f"{manifest.shards[0].sha256}.tar"
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    with pytest.raises(SSTrackError, match=r"is damaged.*Nothing was published"):
        compact(str(dataset), shard_mib=2.0)
    assert load_manifest(str(dataset)) == manifest


def test_pruning_removes_old_leftovers_only_and_old_manifests_when_told(dataset: Path) -> None:
    compact(str(dataset), shard_mib=2.0)
    kept = names(dataset)
    leftovers = {"shards/" + "0" * 64 + ".tar", "tables/x.clips.parquet", "_state/packs/k.pack", "manifests/.m.1.tmp"}
    for name in (*leftovers, "notes.txt", "shards/README.md"):
        (dataset / name).parent.mkdir(parents=True, exist_ok=True)
        (dataset / name).write_bytes(b"x")
    assert prune(str(dataset)).files == 0
    long_ago = time.time() - 10 * 86400
    for path in dataset.rglob("*"):
        os.utime(path, (long_ago, long_ago))
    (dataset / "shards" / ("1" * 64 + ".tar")).write_bytes(b"work of another machine, one second old")
    said = prune(str(dataset), dry_run=True)
    assert len(said.removed) == 3  # the draft went when the dataset was taken for writing
    assert prune(str(dataset)).removed == said.removed
    assert names(dataset) == kept | {"notes.txt", "shards/README.md", "shards/" + "1" * 64 + ".tar"}
    child = load_manifest(str(dataset))
    assert prune(str(dataset), keep=1).manifests == 2
    assert {path.stem for path in (dataset / "manifests").iterdir()} == {child.digest}
    assert verify(str(dataset), decode=0).problems == []
    with pytest.raises(SSTrackError, match="has no manifest"):
        load_manifest(str(dataset), child.parent)


def test_clips_come_out_as_mp4_and_as_frames(dataset: Path, tmp_path: Path) -> None:
    rows = {row["clip_id"]: row for row in read_clips(str(dataset), load_manifest(str(dataset))).to_pylist()}
    done = export(str(dataset), tmp_path / "videos", most=3)
    assert (done["clips"], done["written"]) == (3, 3)
    assert len(names(tmp_path / "videos")) == 6
    for path in (tmp_path / "videos").glob("*.mp4"):
        row = rows[path.stem]
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
            assert float(stream.average_rate or 0) == pytest.approx(row["fps"], rel=1e-3)
        assert (len(frames), *frames[0].shape) == (row["frames"], row["height"], row["width"], 3)
        assert json.loads(path.with_suffix(".json").read_text())["clip_id"] == path.stem
    assert export(str(dataset), tmp_path / "videos", most=4)["written"] == 1
    export(str(dataset), tmp_path / "frames", "frames")
    assert {path.name for path in (tmp_path / "frames").iterdir() if path.is_dir()} == set(rows)
    clip_id, row = next(iter(rows.items()))
    stored = sorted((tmp_path / "frames" / clip_id).iterdir())
    assert [path.name for path in stored] == [f"{number:04d}.jpg" for number in range(row["frames"])]
    picture = simplejpeg.decode_jpeg(stored[0].read_bytes())
    video = tmp_path / "videos" / f"{clip_id}.mp4"
    with av.open(str(video)) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.abs(shown.astype(int) - picture.astype(int)).mean() < 4


def test_an_export_that_was_stopped_leaves_no_partial_clip_and_goes_on(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "frames"
    write, calls = Path.write_bytes, []

    def stop(self: Path, data: bytes) -> int:
        calls.append(self)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", stop)
        with pytest.raises(KeyboardInterrupt):
            export(str(dataset), out, "frames")
    assert all((out / f"{path.name}.json").exists() for path in out.iterdir() if path.is_dir())
    done = export(str(dataset), out, "frames")
    assert 0 < done["written"] < done["clips"]


def test_the_same_videos_in_another_folder_give_the_same_shards_clips_and_data_digest(
    original: Path, real_videos: Path, tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere" / "dataset"
    for name in ("action.avi", "street_426x240.mp4"):
        folder = tmp_path / "moved" / name
        folder.mkdir(parents=True)
        shutil.copy(real_videos / name, folder / "renamed.mkv")
        ingest([str(folder)], str(other), SMALL)
    one, two = load_manifest(str(original)), load_manifest(str(other))
    assert one.digest != two.digest
    assert (one.data_digest, one.shards, one.clips_table) == (two.data_digest, two.shards, two.clips_table)
    assert str(real_videos).encode() not in b"".join(path.read_bytes() for path in (original / "shards").iterdir())


def test_all_of_it_works_on_s3_too(original: Path, s3_server: S3Server, work: Path, tmp_path: Path) -> None:
    dataset = s3_server.url("care", "dataset")
    for path in original.rglob("*"):
        if path.is_file():
            storage.write_atomic(storage.join(dataset, str(path.relative_to(original))), path.read_bytes())
    assert verify(dataset).problems == []
    assert compact(dataset, shard_mib=2.0)["published"]
    local = tmp_path / "local"
    shutil.copytree(original, local)
    assert load_manifest(dataset).digest == compact(str(local), shard_mib=2.0)["manifest"]
    parent = load_manifest(dataset, load_manifest(dataset).parent)
    storage.delete([index_uri(dataset, parent.shards[0].sha256)])
    assert rebuild_index(dataset, parent.digest)["written"] == 1
    storage.write_atomic(storage.join(dataset, "_state", "packs", "left.pack"), b"x")
    assert prune(dataset, hours=0, keep=1).manifests == 2
    assert not storage.exists(storage.join(dataset, "_state"))
    assert verify(dataset).problems == []
    assert export(dataset, tmp_path / "out", "frames", most=2)["written"] == 2
    shard = next(uri for uri in storage.list_files(dataset) if uri.endswith(".tar"))
    storage.write_atomic(shard, storage.read_bytes(shard)[:-512])
    assert any("do not match its name" in line for line in verify(dataset).problems)


def test_the_command_says_what_is_wrong_and_ends_with_one(dataset: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        sstrack = str(Path(sys.executable).with_name("sstrack"))
        return subprocess.run([sstrack, "dataset", *words], capture_output=True, text=True, timeout=120)

    whole = run("verify", str(dataset), "--json")
    assert (whole.returncode, json.loads(whole.stdout)["whole"]) == (0, True), whole.stderr
    next((dataset / "shards").glob("*.idx")).unlink()
    torn = run("verify", str(dataset), "--json")
    assert torn.returncode == 1
    [problem] = json.loads(torn.stdout)["problems"]
    assert "has no index" in problem and "Traceback" not in torn.stderr
    assert "has no index" in run("verify", str(dataset)).stdout
    mended = run("rebuild-index", str(dataset), "--json")
    assert json.loads(mended.stdout)["written"] == 1
    assert run("export", str(dataset), "--out", str(dataset.parent / "out"), "--clips", "1").returncode == 0
    assert len(list((dataset.parent / "out").glob("*.mp4"))) == 1
    nothing = run("compact", str(dataset.parent / "nowhere"))
    assert nothing.returncode == 1 and "holds no published dataset" in nothing.stderr
    assert not (dataset.parent / "nowhere").exists()


def test_a_clip_id_that_is_no_file_name_is_refused(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = read_clips(str(dataset), load_manifest(str(dataset)))
    names = ["../../escaped", *clips["clip_id"].to_pylist()[1:]]
    evil = clips.set_column(0, "clip_id", pa.array(names, pa.string()))
    monkeypatch.setattr(seams.EXPORTED_CLIPS, lambda *_: evil)
    with pytest.raises(SSTrackError, match="no safe file name"):
        export(str(dataset), tmp_path / "out")
    assert not (tmp_path / "out").exists()
