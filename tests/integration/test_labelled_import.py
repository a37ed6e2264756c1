"""Labelled sets in five layouts become labelled clips: boxes from 0, at our size and rate, absent frames null."""

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import cv2
import fsspec
import numpy as np
import pytest
from PIL import Image

from pipelines.dataset.manifest import load_manifest, read_clips, read_rejects, read_sources
from pipelines.errors import SSTrackError
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.curate.refilter import refilter
from pipelines.ingest.labelled.coco import targets
from pipelines.ingest.run import ingest
from sstrack.clips.clip import Clip
from tests import seams
from tests.layouts import LAYOUTS
from tests.s3 import S3Server

SMALL = IngestConfig(fps=10, long_side=96, min_frames=3, max_frames=10)


def picture(number: int, size: tuple[int, int] = (192, 108)) -> np.ndarray:
    """A frame with a bright square that moves."""
    frame = np.random.default_rng(7).integers(0, 90, (size[1], size[0], 3), dtype=np.uint8)
    x, y = (int(value) for value in truth(number)[:2])
    frame[y : y + 24, x : x + 24] = (240, 200, 40)
    return frame


def truth(number: int) -> tuple[float, ...]:
    """Its box, counted from 0. It turns round before it leaves the picture."""
    at = min(number % 84, 84 - number % 84)
    return 10.0 + 2 * at, 20.0 + at, 24.0, 24.0


def frames(folder: Path, count: int, name: Callable[[int], str], suffix: str = ".jpg") -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        cv2.imwrite(str(folder / f"{name(number)}{suffix}"), picture(number))


def lines(path: Path, count: int, shift: int = 0, separator: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    boxes = [np.add(truth(number), (shift, shift, 0, 0)) for number in range(count)]
    path.write_text("".join(separator.join(f"{value:g}" for value in box) + "\n" for box in boxes))


def got10k(root: Path, count: int) -> None:
    folder = root / "train" / "GOT-10k_Train_000001"
    frames(folder, count, lambda number: f"{number + 1:08d}")
    lines(folder / "groundtruth.txt", count)
    (folder / "absence.label").write_text("".join("1\n" if number == 4 else "0\n" for number in range(count)))
    (folder / "cover.label").write_text("".join("0\n" if number == 5 else "8\n" for number in range(count)))


def lasot(root: Path, count: int) -> None:
    folder = root / "dog" / "dog-2"
    frames(folder / "img", count, lambda number: f"{number + 1:08d}")
    lines(folder / "groundtruth.txt", count, shift=1)
    (folder / "full_occlusion.txt").write_text(",".join("1" if number == 12 else "0" for number in range(count)))
    (folder / "out_of_view.txt").write_text(",".join("1" if number == 15 else "0" for number in range(count)))


def trackingnet(root: Path, count: int) -> None:
    frames(root / "TRAIN_0" / "frames" / "a-b_c", count, str)
    lines(root / "TRAIN_0" / "anno" / "a-b_c.txt", count)


def otb(root: Path, count: int) -> None:
    frames(root / "Square" / "img", count, lambda number: f"{number + 1:04d}", ".png")
    lines(root / "Square" / "groundtruth_rect.txt", count, shift=1, separator="\t")


def coco(root: Path, count: int) -> None:
    frames(root / "train", count, lambda number: f"film/{number:03d}".replace("film/", "film_"))
    images = [{"id": n, "file_name": f"film_{n:03d}.jpg", "video_id": 1, "frame_id": n} for n in range(count)]
    notes = [{"id": n, "image_id": n, "bbox": truth(n), "category_id": 1, "track_id": 5} for n in range(count)]
    body = {"videos": [{"id": 1, "name": "film", "fps": 30}], "images": images, "annotations": notes, "categories": []}
    (root / "annotations").mkdir()
    (root / "annotations" / "tracks_train.json").write_text(json.dumps(body))


SETS = {"got10k": (got10k, 1, (4, 5)), "lasot": (lasot, 3, (12, 15)), "trackingnet": (trackingnet, 3, ()),
        "otb": (otb, 3, ()), "coco": (coco, 3, ())}  # fmt: skip


def clips(dataset: str) -> list[Clip]:
    """The clips as their JSONs in the shards say, in the order of time."""
    found = []
    for shard in load_manifest(dataset).shards:
        with tarfile.open(Path(dataset) / "shards" / f"{shard.sha256}.tar") as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    content = tar.extractfile(member)
                    assert content is not None
                    found.append(Clip.from_dict(json.load(content)))
    return sorted(found, key=lambda clip: (clip.source_id, clip.start_s))


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("layout", SETS)
def test_every_layout_gives_the_true_boxes_at_our_size_and_rate(layout: str, named: bool, tmp_path: Path) -> None:
    write, step, hidden = SETS[layout]
    write(tmp_path / "set", 30)
    out = str(tmp_path / "dataset")
    ingest([str(tmp_path / "set")], out, SMALL, layout=layout if named else "")
    number = 0
    found = clips(out)
    for clip in found:
        assert (clip.width, clip.height, clip.fps) == (96, 54, 10)
        assert clip.boxes is not None and clip.visible is not None and len(clip.boxes) == clip.frames
        number = round(clip.start_s * 10) * step
        assert [(seed.box, seed.source) for seed in clip.seed_boxes] == [(clip.boxes[0], "ground_truth")]
        for box, visible in zip(clip.boxes, clip.visible, strict=True):
            assert visible == (number not in hidden)
            assert (box is None) if number in hidden else box == pytest.approx(np.divide(truth(number), 2), abs=1e-3)
            number += step
    assert sum(clip.frames for clip in found) == 30 // step
    assert read_clips(out, load_manifest(out))["labelled"].to_pylist() == [True] * len(found)
    [source] = read_sources(out, load_manifest(out)).to_pylist()
    assert (source["container"], source["frames_decoded"]) == (layout, 30)
    assert not ingest([str(tmp_path / "set")], out, SMALL).published


@pytest.mark.parametrize("named", [False, True])
def test_sets_in_a_store_give_what_the_same_local_folders_give(
    named: bool, s3_server: S3Server, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fsspec.filesystem("s3", use_listings_cache=False)
    prefix = s3_server.url("sets", str(named))
    for layout, (write, _, _) in SETS.items():
        write(tmp_path / "sets" / layout, 12)
    for path in (tmp_path / "sets").rglob("*"):
        if path.is_file():
            store.put_file(str(path), f"{prefix}/{path.relative_to(tmp_path / 'sets')}")
    sets = [(layout, layout) for layout in SETS] if named else [("", "")]
    for layout, folder in sets:
        local, remote = str(tmp_path / f"local{layout}"), str(tmp_path / f"remote{layout}")
        ingest([str(tmp_path / "sets" / folder)], local, SMALL, layout=layout)
        ingest([f"{prefix}/{folder}"], remote, SMALL, layout=layout)
        ours, theirs = load_manifest(remote), load_manifest(local)
        assert ours.data_digest == theirs.data_digest and ours.shards == theirs.shards
        assert all(row["source_uri"].startswith("s3://") for row in read_sources(remote, ours).to_pylist())
        with monkeypatch.context() as without:
            without.setattr(seams.FETCH_OF_SET, None)  # what has not changed is not fetched again
            assert not ingest([f"{prefix}/{folder}/"], remote, SMALL, layout=layout).published
    assert not any(path.is_file() for path in work.rglob("*"))


def test_a_changed_or_broken_set_in_a_store_is_noticed(s3_server: S3Server, work: Path, tmp_path: Path) -> None:
    store = fsspec.filesystem("s3", use_listings_cache=False)
    prefix, out = s3_server.url("changing"), str(tmp_path / "dataset")
    lasot(tmp_path / "set", 30)
    store.put(str(tmp_path / "set"), prefix, recursive=True)
    ingest([prefix], out, SMALL)
    frame = f"{prefix}/dog/dog-2/img/00000010.jpg"
    whole = store.cat_file(frame)
    store.pipe_file(frame, whole[: len(whole) // 2])
    report = ingest([prefix], out, SMALL)
    assert report.published and report.sources_new == 1 and report.rejects["bad_frame"] == 1
    with pytest.raises(SSTrackError, match=r"no otb sequence in .*expected"):
        ingest([prefix], out, SMALL, layout="otb")


def test_real_otb_and_uav_sequences_keep_their_boxes(shared: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "dataset")
    sequences = shared / "data" / "sequences"
    config = IngestConfig(fps=10, long_side=4096)
    ingest([str(sequences / "otb"), str(sequences / "uav123")], out, config, allow_benchmarks=True)
    manifest = load_manifest(out)
    by_id = {row["source_id"]: row for row in read_sources(out, manifest).to_pylist()}
    starts = {Path(by_id[clip.source_id]["source_uri"].partition("#")[0]).name: clip for clip in clips(out)}
    assert sorted(starts) == ["Couple", "Crossing", "Football1", "Skiing", "wakeboard7"]
    assert {row["seconds"] for row in by_id.values() if "Football1" in row["source_uri"]} == {round(74 / 30, 6)}
    couple, board = starts["Couple"], starts["wakeboard7"]
    expected = np.loadtxt(sequences / "otb" / "Couple" / "groundtruth_rect.txt")[::3] - (1, 1, 0, 0)
    assert couple.boxes is not None
    np.testing.assert_allclose(np.array(couple.boxes, dtype=float), expected[: couple.frames])
    assert board.boxes is not None and board.boxes[0] == (622, 298, 11, 38)
    assert (board.width, board.height) == (1280, 720)


def test_damaged_frames_and_labels_are_cut_out_and_said(tmp_path: Path) -> None:
    lasot(tmp_path / "set", 90)
    folder = tmp_path / "set" / "dog" / "dog-2"
    whole = (folder / "img" / "00000031.jpg").read_bytes()
    (folder / "img" / "00000031.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "img" / "00000061.jpg").unlink()
    text = (folder / "groundtruth.txt").read_text().splitlines()
    text[69] = "12,abc,3,4"
    (folder / "groundtruth.txt").write_text("\n".join([*text, *text[-2:]]))
    out = str(tmp_path / "dataset")
    report = ingest([str(tmp_path / "set")], out, SMALL)
    assert report.rejects == {"bad_frame": 2, "bad_label": 4}  # two flag files are shorter than the labels, too
    told = read_rejects(out, load_manifest(out)).to_pylist()
    assert {row["kind"] for row in told} == {"corrupt"}
    assert [row["start_s"] for row in told if row["reason"] == "bad_frame"] == [1.0, 2.0]
    assert "the first is line 70" in str(told) and "92 labels for 90 frames" in str(told)
    found = clips(out)
    assert [(clip.start_s, clip.end_s) for clip in found] == [(0.0, 1.0), (1.1, 2.0), (2.1, 3.0)]
    assert found[2].boxes is not None and found[2].boxes[2] is None  # line 70 is frame 69, the third of its clip


def test_a_clip_begins_where_its_target_can_be_seen(tmp_path: Path) -> None:
    got10k(tmp_path / "set", 18)
    folder = tmp_path / "set" / "train" / "GOT-10k_Train_000001"
    (folder / "absence.label").write_text("1\n" * 6 + "0\n" * 3 + "1\n" * 9)
    out = str(tmp_path / "dataset")
    report = ingest([str(tmp_path / "set")], out, SMALL)
    [clip] = clips(out)
    assert (clip.start_s, clip.end_s) == (0.6, 0.9) and clip.visible == (True, True, True)
    assert report.rejects == {"no_truth": 2}  # before it and behind it


def test_pictures_of_a_coco_file_are_clips_of_two_equal_frames_with_all_boxes_as_seeds(tmp_path: Path) -> None:
    root = tmp_path / "set"
    frames(root / "images" / "val", 2, lambda number: f"{number:012d}")
    notes = [
        {"id": 1, "image_id": 0, "bbox": [4, 6, 20, 10], "category_id": 1, "iscrowd": 0},
        {"id": 2, "image_id": 0, "bbox": [50, 40, 40, 30], "category_id": 1},
        {"id": 3, "image_id": 0, "bbox": [0, 0, 192, 108], "category_id": 1, "iscrowd": 1},
        {"id": 4, "image_id": 1, "bbox": [0, 0, 0, 5], "category_id": 1},
    ]
    images = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in range(2)]
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val.json").write_text(json.dumps({"images": images, "annotations": notes}))
    out = str(tmp_path / "dataset")
    ingest([str(root)], out, SMALL)
    [clip] = clips(out)
    assert clip.boxes == ((25, 20, 20, 15),) * 2
    assert [seed.box for seed in clip.seed_boxes] == [(25, 20, 20, 15), (2, 3, 10, 5)]


def test_a_coco_file_is_never_in_memory_whole(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "annotations" / "instances_val.json"
    path.parent.mkdir()
    notes = [{"id": n, "image_id": n % 500, "bbox": [1, 2, 3 + n, 4], "segmentation": [[n + 0.25] * 300]}
             for n in range(4000)]  # fmt: skip
    images = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in range(500)]
    path.write_text(json.dumps({"images": images, "annotations": notes}))
    tracemalloc.start()
    found = list(targets(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 500 and found[0].boxes[0] == (1, 2, 3503, 4)
    assert peak < path.stat().st_size / 2
    path.write_text(path.read_text()[:-100])
    with pytest.raises(SSTrackError, match="no COCO file of objects"):
        list(targets(path))


def test_what_is_for_evaluation_only_is_left_out(tmp_path: Path) -> None:
    got10k(tmp_path / "set", 6)
    (tmp_path / "set" / "train").rename(tmp_path / "set" / "test")
    with pytest.raises(SSTrackError, match=r"evaluation_split \(1\).*trackers are judged on it"):
        ingest([str(tmp_path / "set")], str(tmp_path / "dataset"), SMALL)


BENCHMARKS = {"lasot": 1, "lasot_ext": 1, "otb100": 2, "got10k": 2, "uav123": 1, "tnl2k": 2, "vot2018": 1, "vot2020": 1}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_sequences_of_benchmarks_come_in_only_when_that_is_asked_for(name: str, shared: Path, tmp_path: Path) -> None:
    LAYOUTS[name](tmp_path / "set", shared)
    otb(tmp_path / "mine", 12)
    out, sources = str(tmp_path / "dataset"), [str(tmp_path / "set"), str(tmp_path / "mine")]
    report = ingest(sources, out, SMALL)
    assert (report.sources_new, report.rejects) == (1, {"evaluation_split": BENCHMARKS[name]})
    told = [row for row in read_rejects(out, load_manifest(out)).to_pylist() if row["reason"] == "evaluation_split"]
    assert all("trackers are judged on it; --allow-benchmarks" in row["detail"] for row in told)
    assert {row["kind"] for row in told} == {"policy"}
    report = ingest(sources, out, SMALL, allow_benchmarks=True)
    assert report.sources_new + report.rejects.get("duplicate", 0) == BENCHMARKS[name]
    assert "evaluation_split" not in report.rejects


def test_benchmarks_in_a_store_are_known_by_their_names_too(s3_server: S3Server, work: Path, tmp_path: Path) -> None:
    store = fsspec.filesystem("s3", use_listings_cache=False)
    prefix, out = s3_server.url("judged"), str(tmp_path / "dataset")
    lasot(tmp_path / "set", 30)
    own(tmp_path / "set" / "airplane-1", 12, str)
    (tmp_path / "set" / "dog").rename(tmp_path / "set" / "airplane")
    (tmp_path / "set" / "airplane" / "dog-2").rename(tmp_path / "set" / "airplane" / "airplane-1")
    store.put(str(tmp_path / "set"), prefix, recursive=True)
    assert ingest([prefix], out, SMALL).rejects == {"evaluation_split": 1}
    [source] = read_sources(out, load_manifest(out)).to_pylist()
    assert (source["container"], source["source_uri"]) == ("folder", f"{prefix}/airplane-1")


def own(folder: Path, count: int, name: Callable[[int], str], suffix: str = ".jpg") -> None:
    """A sequence in a plain folder."""
    frames(folder, count, name, suffix)
    lines(folder / "groundtruth.txt", count)


def test_unpadded_numbers_and_shadows_of_a_copy_give_the_same_clips(tmp_path: Path) -> None:
    digests = []
    for place, name in (("padded", "{:06d}"), ("unpadded", "{}"), ("named", "frame {}")):
        own(tmp_path / place / "car-1", 24, name.format)
        (tmp_path / place / "car-1" / f"._{name.format(3)}.jpg").write_bytes(b"\0\5\x16\7")
        report = ingest([str(tmp_path / place)], str(tmp_path / f"{place}.out"), SMALL)
        assert report.rejects == {}
        digests.append(load_manifest(str(tmp_path / f"{place}.out")).data_digest)
    assert len(set(digests)) == 1


def test_turned_pictures_are_stored_upright(tmp_path: Path) -> None:
    stored = []
    for place, orientation in (("upright", 1), ("turned", 6)):
        own(tmp_path / place / "mine", 12, str, ".png")
        for path in (tmp_path / place / "mine").glob("*.png"):
            exif = Image.Exif()
            exif[0x0112] = orientation
            picture = Image.open(path).transpose(Image.Transpose.ROTATE_90) if orientation == 6 else Image.open(path)
            picture.save(path, exif=exif)
        ingest([str(tmp_path / place)], str(tmp_path / f"{place}.out"), SMALL)
        [clip] = clips(str(tmp_path / f"{place}.out"))
        stored.append((clip.width, clip.height, clip.boxes, clip.scores, clip.phash))
    assert stored[0] == stored[1] and stored[0][:2] == (96, 54)


@pytest.mark.parametrize("how", ["shrunk", "turned", "stated"])
def test_pictures_of_another_size_than_their_labels_are_refused(how: str, tmp_path: Path) -> None:
    otb(tmp_path / "mine", 12)
    if how == "stated":
        got10k(tmp_path / "set", 12)
        (tmp_path / "set/train/GOT-10k_Train_000001/meta_info.ini").write_text("resolution: (1920, 1080)\n")
    else:
        own(tmp_path / "set" / "odd", 12, str)
        if how == "turned":
            (tmp_path / "set" / "odd" / "groundtruth.txt").write_text("150,20,24,24\n" * 12)
        for path in (tmp_path / "set" / "odd").glob("*.jpg"):
            exif = Image.Exif()
            exif[0x0112] = 6
            picture = Image.open(path)
            picture.resize((30, 17) if how == "shrunk" else picture.size).save(path, exif=exif)
    out = str(tmp_path / "dataset")
    config = SMALL.model_copy(update={"min_side": 16})
    report = ingest([str(tmp_path / "set"), str(tmp_path / "mine")], out, config)
    assert report.rejects == {"wrong_size": 1}
    [row] = [row for row in read_rejects(out, load_manifest(out)).to_pylist() if row["reason"] == "wrong_size"]
    assert row["kind"] == "corrupt"
    said = {"shrunk": "are 17x30", "turned": "EXIF orientation 6", "stated": "labels are for 1920x1080"}
    assert said[how] in row["detail"]


@pytest.mark.parametrize(
    ("what", "words"),
    [("no truth", "no frame has a box"), ("no frames", "no image"), ("text", "0006.png: it is no JPEG, PNG or BMP")],
)
def test_a_sequence_that_cannot_be_used_says_why(what: str, words: str, tmp_path: Path) -> None:
    otb(tmp_path / "set", 6)
    folder = tmp_path / "set" / "Square"
    if what == "no truth":
        (folder / "groundtruth_rect.txt").write_text("0\t0\t0\t0\n" * 6)
    for path in (folder / "img").iterdir():
        if what == "no frames":
            path.unlink()
        elif what == "text":
            path.write_text("this is no picture")
    with pytest.raises(SSTrackError, match=words):
        ingest([str(tmp_path / "set")], str(tmp_path / "dataset"), SMALL)


def test_the_same_sequence_in_another_folder_is_the_same_source(tmp_path: Path) -> None:
    for place in ("one", "two/deep"):
        otb(tmp_path / place, 12)
    out = str(tmp_path / "dataset")
    assert ingest([str(tmp_path / "one")], out, SMALL).clips_new == 1
    assert not ingest([str(tmp_path / "two")], out, SMALL).published


def test_two_targets_of_one_film_are_two_clips(shared: Path, tmp_path: Path) -> None:
    film = shared / "data" / "sequences" / "otb" / "Couple"
    (tmp_path / "Couple").mkdir()
    (tmp_path / "Couple" / "img").symlink_to(film / "img")
    shutil.copy(film / "groundtruth_rect.txt", tmp_path / "Couple" / "groundtruth_rect.1.txt")
    (tmp_path / "Couple" / "groundtruth_rect.2.txt").write_text("11,21,30,40\n" * 140)
    out = str(tmp_path / "dataset")
    report = ingest([str(tmp_path / "Couple")], out, IngestConfig(long_side=4096), allow_benchmarks=True)
    assert report.rejects == {}
    assert {clip.boxes[0] for clip in clips(out) if clip.boxes} == {(50, 46, 25, 62), (10, 20, 30, 40)}
    assert refilter(out, {"min_frames": 60}).clips == 2
