"""Roots in the layout of each benchmark, made of real frames by links: what a user has on disk, in small."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

Frames = list[Path]


def otb_frames(shared: Path, name: str) -> Frames:
    """Images of a real OTB sequence."""
    return sorted((shared / "data" / "sequences" / "otb" / name / "img").glob("*.jpg"))


def otb_boxes(shared: Path, name: str) -> np.ndarray:
    """[T, 4] its annotation, 1-based."""
    text = (shared / "data" / "sequences" / "otb" / name / "groundtruth_rect.txt").read_text()
    return np.array([[float(word) for word in line.replace(",", " ").split()] for line in text.splitlines()])


def link(frames: Frames, folder: Path, pattern: str, first: int = 1) -> Path:
    """Links to `frames` in `folder`, numbered from `first` on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, start=first):
        (folder / (pattern % number)).symlink_to(frame)
    return folder


def table(path: Path, rows: np.ndarray, separator: str = ",") -> None:
    """One line per row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(separator.join(f"{value:g}" for value in row) + "\n" for row in rows))


def write_otb(root: Path, shared: Path) -> list[str]:
    for name, separator in (("Skiing", ","), ("Football1", "\t")):
        link(otb_frames(shared, name), root / name / "img", "%04d.jpg")
        table(root / name / "groundtruth_rect.txt", otb_boxes(shared, name), separator)
    return ["Football1", "Skiing"]


def write_lasot(root: Path, shared: Path, name: str = "airplane-1") -> list[str]:
    frames, boxes = otb_frames(shared, "Couple")[:12], otb_boxes(shared, "Couple")[:12]
    folder = root / name.split("-")[0] / name
    link(frames, folder / "img", "%08d.jpg")
    boxes[7] = 0
    table(folder / "groundtruth.txt", boxes)
    (folder / "full_occlusion.txt").write_text(",".join("000000010000"))
    (folder / "out_of_view.txt").write_text(",".join("000000001000"))
    return [name]


def write_got10k(root: Path, shared: Path) -> list[str]:
    for number, name in enumerate(("Couple", "Crossing"), start=1):
        folder = link(otb_frames(shared, name)[:10], root / "val" / f"GOT-10k_Val_{number:06d}", "%08d.jpg")
        table(folder / "groundtruth.txt", otb_boxes(shared, name)[:10])
        (folder / "cover.label").write_text("8\n" * 8 + "0\n8\n")
        (folder / "absence.label").write_text("0\n" * 10)
        (folder / "cut_by_image.label").write_text("0\n" * 10)
        size = {"Couple": (320, 240), "Crossing": (360, 240)}[name]
        (folder / "meta_info.ini").write_text(f"[METAINFO]\nobject_class: person\nresolution: {size}\n")
    (root / "val" / "list.txt").write_text("GOT-10k_Val_000001\nGOT-10k_Val_000002\n")
    return ["GOT-10k_Val_000001", "GOT-10k_Val_000002"]


def write_got10k_test(root: Path, shared: Path) -> list[str]:
    folder = link(otb_frames(shared, "Couple")[:6], root / "test" / "GOT-10k_Test_000001", "%08d.jpg")
    table(folder / "groundtruth.txt", otb_boxes(shared, "Couple")[:1])
    return ["GOT-10k_Test_000001"]


def write_trackingnet(root: Path, shared: Path) -> list[str]:
    link(otb_frames(shared, "Crossing")[:12], root / "TEST" / "frames" / "a-b_0", "%d.jpg", first=0)
    table(root / "TEST" / "anno" / "a-b_0.txt", otb_boxes(shared, "Crossing")[:1])
    return ["a-b_0"]


def write_tnl2k(root: Path, shared: Path) -> list[str]:
    boxes = otb_boxes(shared, "Couple")[:8]
    boxes[3] = 0
    for name, folder in (("Chess_video_12", root / "subset 3"), ("Assian_video_Z03_done", root)):
        link(otb_frames(shared, "Couple")[:8], folder / name / ("imgs" if folder == root else "frames"), "%05d.jpg")
        table(folder / name / "groundtruth.txt", boxes)
    return ["Assian_video_Z03_done", "Chess_video_12"]


def write_uav(root: Path, shared: Path, folder: str = "UAV123", frames: str = "UAV123") -> list[str]:
    place = shared / "data" / "sequences" / "uav123" / "wakeboard7"
    found = sorted((place / "img").glob("*.jpg"))[:10]
    text = (place / "wakeboard7.txt").read_text().splitlines()[:10]
    rows = np.array([[float(word) for word in line.split(",")] for line in text])
    rows[4] = np.nan
    first = 775 if folder == "UAV123" else 259
    link(found, root / "data_seq" / frames / "bird1", "%06d.jpg", first=first)
    table(root / "anno" / folder / "bird1_2.txt", rows)
    (root / "anno" / folder / "att").mkdir()
    (root / "anno" / folder / "att" / "bird1_2.txt").write_text("1,0,0,1,0,0,0,0,0,0,0,1\n")
    return ["bird1_2"]


def write_vot2018(root: Path, shared: Path, frames: int = 40) -> list[str]:
    place = shared / "data" / "sequences" / "vot" / "bag"
    link(sorted((place / "color").glob("*.jpg"))[:frames], root / "bag" / "color", "%08d.jpg")
    lines = (place / "groundtruth.txt").read_text().splitlines()[:frames]
    (root / "bag" / "groundtruth.txt").write_text("".join(f"{line}\n" for line in lines))
    (root / "bag" / "occlusion.tag").write_text("0\n1\n")
    (root / "list.txt").write_text("bag\n")
    return ["bag"]


def write_vot2020(root: Path, shared: Path) -> list[str]:
    write_vot2018(root, shared, frames=16)
    (root / "bag" / "anchor.value").write_text("1\n" + "0\n" * 7 + "-1\n" + "0\n" * 7)
    (root / "bag" / "sequence").write_text("channels.color=color/%08d.jpg\nwidth=480\nheight=360\nlength=16\n")
    return ["bag"]


def write_nfs(root: Path, shared: Path) -> list[str]:
    boxes = otb_boxes(shared, "Crossing")[:9]
    link(otb_frames(shared, "Crossing")[:9], root / "walk" / "30" / "walk", "%05d.jpg")
    corners = np.repeat(np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1), 8, axis=0)
    lines = (f'0 {" ".join(f"{v:g}" for v in row)} {i} 0 0 0 "person"\n' for i, row in enumerate(corners))
    (root / "walk" / "30" / "walk.txt").write_text("".join(lines))
    return ["walk"]


def write_tlp(root: Path, shared: Path) -> list[str]:
    boxes = otb_boxes(shared, "Crossing")[:9]
    link(otb_frames(shared, "Crossing")[:9], root / "Walk" / "img", "%05d.jpg")
    lost = np.zeros((9, 1))
    lost[5] = 1
    table(root / "Walk" / "groundtruth_rect.txt", np.concatenate((np.arange(1, 10)[:, None], boxes, lost), axis=1))
    return ["Walk"]


LAYOUTS: dict[str, Callable[[Path, Path], list[str]]] = {
    "otb100": write_otb,
    "lasot": write_lasot,
    "lasot_ext": lambda root, shared: write_lasot(root, shared, "atv-3"),
    "got10k": write_got10k,
    "got10k_test": write_got10k_test,
    "trackingnet": write_trackingnet,
    "tnl2k": write_tnl2k,
    "uav123": write_uav,
    "uav123_10fps": lambda root, shared: write_uav(root, shared, "UAV123_10fps", "UAV123_10fps"),
    "vot2016": write_vot2018,
    "vot2018": write_vot2018,
    "vot2019": write_vot2018,
    "vot2020": write_vot2020,
    "nfs": write_nfs,
    "tlp": write_tlp,
}
"""Benchmark to a function that writes its layout under a root and returns the names to be found there."""
