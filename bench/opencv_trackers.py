"""Our tracker on a CPU, its network in torch and in ONNX Runtime, next to OpenCV's trackers on the same frames.

    python bench/opencv_trackers.py
    pip install --target contrib --no-deps opencv-contrib-python-headless   # for CSRT and KCF
    python bench/opencv_trackers.py --contrib contrib --video clip.mp4 --box 130,100,46,58

OpenCV's wheels all install the same `cv2`, so the contrib one lies in a folder of its own and runs in a process of its
own. Nano and Vit need weight files, looked for in --weights under the names OpenCV's samples use. Every tracker gets
one thread (--threads) and decoded frames; ours crops, runs the network with all its templates, and decodes the box.
Untrained weights cost what trained ones cost. Seconds are CPU time, so that other work on the machine does not count.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

Frames = list[NDArray[np.uint8]]
WEIGHTS = {
    "Nano": {"backbone": "nanotrack_backbone_sim.onnx", "neckhead": "nanotrack_head_sim.onnx"},
    "Vit": {"net": "object_tracking_vittrack_2023sep.onnx"},
}


def rate(step: Callable[[NDArray[np.uint8]], object], frames: Frames, seconds: float) -> float:
    """Frames per second of `step` over `frames`, again from the first until `seconds` are over; two are warm-up."""
    for frame in frames[:2]:
        step(frame)
    began, count = time.process_time(), 0
    while count < 3 or time.process_time() - began < seconds:
        step(frames[count % len(frames)])
        count += 1
    return count / (time.process_time() - began)


def opencv_trackers(weights: Path | None) -> dict[str, Callable[[], Any] | str]:
    """What makes each tracker, or why it cannot be made."""
    found: dict[str, Callable[[], Any] | str] = {}
    for name in ("CSRT", "KCF", "MIL"):
        found[name] = getattr(cv2, f"Tracker{name}_create", "not in this build of OpenCV; see --contrib")
    for name, files in WEIGHTS.items():
        paths = {field: (weights or Path()) / file for field, file in files.items()}
        if weights is None or not all(path.is_file() for path in paths.values()):
            found[name] = f"its weights ({', '.join(files.values())}) are not here"
            continue
        parameters = getattr(cv2, f"Tracker{name}_Params")()
        for field, path in paths.items():
            setattr(parameters, field, str(path))
        create = getattr(cv2, f"Tracker{name}_create")
        found[name] = lambda create=create, parameters=parameters: create(parameters)
    return found


def measure_opencv(frames: Frames, box: list[float], weights: Path | None, seconds: float) -> dict[str, float | str]:
    """Frames per second by tracker, or why there are none."""
    rows: dict[str, float | str] = {}
    for name, create in opencv_trackers(weights).items():
        if isinstance(create, str):
            rows[f"OpenCV {name}"] = create
            continue
        tracker = create()
        tracker.init(np.ascontiguousarray(frames[0][..., ::-1]), tuple(round(value) for value in box))
        turned = [np.ascontiguousarray(frame[..., ::-1]) for frame in frames]
        rows[f"OpenCV {name}"] = rate(tracker.update, turned, seconds)
    return rows


def measure_ours(name: str, frames: Frames, box: list[float], threads: int, seconds: float) -> dict[str, float | str]:
    """Frames per second of a recipe's tracker with its network in torch and in ONNX Runtime."""
    import onnxruntime
    import torch

    from sstrack.models.export import INPUTS, save_onnx
    from sstrack.models.head import HeadMaps
    from sstrack.models.tracker_net import TrackerNet
    from sstrack.recipes import recipe
    from sstrack.tracking.memory import TemplateMemory
    from sstrack.tracking.tracker import Tracker

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config = recipe(name)
    net = TrackerNet(config.net).eval()
    tracker = Tracker(net, config.tracking_as_trained)
    templates = 1 + config.tracking.memory
    start = tracker.start(frames[0], box)
    memory = TemplateMemory(start.memory.crops * templates, tuple(range(templates)))
    state = replace(start, memory=memory, frame=templates - 1)
    rows: dict[str, float | str] = {}
    rows[f"{name}, torch"] = rate(lambda frame: tracker.step(state, frame), frames, seconds)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.onnx"
        save_onnx(net, path, templates, batch=1)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def forward(*inputs: torch.Tensor) -> tuple[HeadMaps, torch.Tensor]:
        arrays = {name: value.numpy() for name, value in zip(INPUTS, inputs, strict=True)}
        score, offset, size, query = (torch.from_numpy(np.asarray(value)) for value in session.run(None, arrays))
        return HeadMaps(score, offset, size), query

    tracker._forward = forward
    rows[f"{name}, ONNX Runtime"] = rate(lambda frame: tracker.step(state, frame), frames, seconds)
    return rows


def footage(video: Path | None, count: int) -> Frames:
    """The first frames of `video`, or moving texture."""
    if video is None:
        from bench.tracking import texture

        return [np.ascontiguousarray(frame) for frame in texture(count)]
    from pipelines.frames import read_clip

    return list(islice(read_clip(video), count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=["tiny_cpu", "s14"])
    parser.add_argument("--video", type=Path)
    parser.add_argument("--box", default="380,200,90,70")
    parser.add_argument("--contrib", type=Path, help="folder with an OpenCV that has CSRT and KCF")
    parser.add_argument("--weights", type=Path, help="folder with the ONNX files of Nano and Vit")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=6.0, help="for each tracker")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--only-opencv", action="store_true", help="print one JSON object for OpenCV's trackers")
    args = parser.parse_args()
    cv2.setNumThreads(args.threads)
    box = [float(word) for word in args.box.split(",")]
    frames = footage(args.video, args.frames)
    if args.only_opencv:
        print(json.dumps(measure_opencv(frames, box, args.weights, args.seconds)))
        return
    rows: dict[str, float | str] = {}
    for name in args.recipes:
        rows |= measure_ours(name, frames, box, args.threads, args.seconds)
    if args.contrib is None:
        rows |= measure_opencv(frames, box, args.weights, args.seconds)
    else:
        environment = {**os.environ, "PYTHONPATH": str(args.contrib.absolute())}
        command = [sys.executable, __file__, *sys.argv[1:], "--only-opencv"]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        rows |= json.loads(done.stdout)
    first = next(value for value in rows.values() if isinstance(value, float))
    print(f"{args.threads} thread(s), frames {frames[0].shape[1]}x{frames[0].shape[0]}, box {args.box}")
    for name, value in rows.items():
        found = value if isinstance(value, str) else f"{value:8.1f} fps  {value / first:6.2f}x"
        print(f"{name:26}{found}")


if __name__ == "__main__":
    main()
