"""How fast the tracker follows, alone and in batches, where the time goes, and how close that is to what can be had.

    python bench/tracking.py                                   tiny_cpu, s14 and b256; 1, 8, 32 and 64 sequences
    python bench/tracking.py --recipes b256 --slots 1 --video clip.mp4
    python bench/tracking.py --by-threads                      by torch's threads, alone and beside two busy neighbours

Needs torch, timm, numpy and this repository, nothing else; with PyAV it decodes H.264 too (a real --video, or moving
texture that it encodes itself). On a GPU each way of running the network is measured (eager, compiled, CUDA graphs);
on a CPU eager, with --compile also compiled.

`step` columns are milliseconds per frame of one sequence: copy to the device, crops (search region and new template),
network, and the rest (window, boxes, memory). `of limit` is the network's multiply-adds over its time, as a share of
what a large matrix product reaches here in the same precision. `end to end` decodes every sequence on its own thread
through `BatchedTracker` and starts with empty memories. A cell that would take long is left out (–).

On a CPU a second is one of CPU time, decoding threads included, so that other work on the machine does not count; with
one thread of torch, the default, that is what a free core would do. `--by-threads` counts seconds on the clock.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.train_step import Clock, matmul_flops
from sstrack.configs.recipe import Recipe
from sstrack.models.tracker_net import TrackerNet
from sstrack.recipes import recipe
from sstrack.tracking import tracker as tracker_module
from sstrack.tracking.batched import BatchedTracker, SequenceTask
from sstrack.tracking.memory import TemplateMemory
from sstrack.tracking.state import TrackerState
from sstrack.tracking.tracker import Tracker

Frames = NDArray[np.uint8]
FRAME = (480, 854)
BOX = (380.0, 200.0, 90.0, 70.0)
N_FRAMES = 24
NOW = time.process_time
"""The clock of a CPU; a GPU has its own."""
COLUMNS = (
    ("sequences", 9), ("frames/s", 10), ("copy", 8), ("crop", 8), ("network", 9), ("rest", 8), ("of limit", 10),
    ("end to end", 12),
)  # fmt: skip


@dataclass(frozen=True)
class Steps:
    """Steps of one batch."""

    seconds: float
    """Per step of the whole batch."""
    parts: dict[str, float]
    """Seconds per step."""


def texture(n: int) -> Frames:
    """`[n, H, W, 3]` RGB: a pattern that drifts, as costly to decode as ordinary footage."""
    noise = torch.rand(1, 3, FRAME[0] // 6, FRAME[1] // 6, generator=torch.Generator().manual_seed(0)) * 255
    still = F.interpolate(noise, size=FRAME, mode="bicubic", antialias=True).clamp(0, 255).byte()[0].permute(1, 2, 0)
    return np.stack([np.roll(still.numpy(), (number, 2 * number), (0, 1)) for number in range(n)])


def encode(frames: Frames, path: Path) -> None:
    """Write an H.264 file."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def decode(path: Path, n: int) -> Iterator[Frames]:
    """The first `n` frames, as `sstrack track` reads them, one thread each so that threads can be counted."""
    import av

    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        for number, frame in enumerate(container.decode(video=0)):
            if number == n:
                return
            yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def giga_macs(config: Recipe) -> float:
    """10⁹ multiply-adds of the network for one frame with all its templates."""
    templates = 1 + config.tracking.memory
    with torch.device("meta"):
        net = TrackerNet(config.net).eval()
        z, x = config.net.template_size, config.net.search_size
        pictures = torch.empty(1, templates, 3, z, z), torch.empty(1, 3, x, x)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(*pictures)
    return counter.get_total_flops() / 2e9


def full_state(tracker: Tracker, frame: Frames, shift: int) -> TrackerState:
    """A sequence that has been followed for a while: as many templates as it will ever use."""
    state = tracker.start(frame, (BOX[0] + shift, BOX[1], BOX[2], BOX[3]))
    count = 1 + tracker.config.memory
    memory = TemplateMemory(state.memory.crops * count, tuple(range(count)))
    return replace(state, memory=memory, frame=count - 1)


def steps(tracker: Tracker, frames: list[torch.Tensor], slots: int, seconds: float) -> Steps:
    """Advance `slots` sequences for about `seconds`, two steps of warm-up left out, and say where the time went."""
    cuda = tracker.device.type == "cuda"
    clock = Clock(cuda, NOW)
    states = [full_state(tracker, frames[0].numpy(), number % 40) for number in range(slots)]

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*args: Any) -> Any:
            with clock.part(name):
                return call(*args)

        return inner

    def advance(number: int) -> None:
        nonlocal states
        # Every sequence has a frame of its own, as it would.
        pictures = [frames[(number + slot) % len(frames)].clone() for slot in range(slots)]
        with clock.part("step"):
            stepped = tracker.step_many(states, pictures)
        # An untrained network's boxes wander; the cost of a crop should be that of a target.
        states = [replace(after, box=before.box) for before, (after, _) in zip(states, stepped, strict=True)]

    with ExitStack() as patches:
        patches.enter_context(patch.object(tracker, "_image", timed("copy", tracker._image)))
        patches.enter_context(patch.object(tracker_module, "crop_each", timed("crop", tracker_module.crop_each)))
        patches.enter_context(patch.object(tracker, "_forward", timed("network", tracker._forward)))
        began = NOW()
        warm_up = 5 if cuda else 1
        for number in range(warm_up):
            advance(number)
        # A CPU needs no second step to have chosen its kernels; a slow one may not have the time.
        once = (NOW() - began) / warm_up
        count = 100 if cuda else max(1, min(100, int(seconds / once)))
        clock.read()
        clock.marks.clear()
        clock.seconds = {}
        for number in range(count):
            advance(number)
        parts = {name: value / count for name, value in clock.read().items()}
    whole = parts.pop("step")
    parts["rest"] = whole - sum(parts.values())
    return Steps(whole, parts)


def end_to_end(tracker: Tracker, video: Path | None, slots: int, frames: int) -> float | None:
    """Frames per second over `slots` sequences, decoding included; None where nothing can be decoded."""
    if video is None:
        return None
    tasks = [SequenceTask(f"{number}", BOX, partial(decode, video, frames)) for number in range(slots)]
    now = time.perf_counter if tracker.device.type == "cuda" else NOW
    began = now()
    done = list(BatchedTracker(tracker, slots).run(tasks))
    seconds = now() - began
    for one in done:
        if one.error is not None:
            raise one.error
    return sum(len(one.boxes) for one in done) / seconds


def measure(
    name: str, title: str, tracker: Tracker, frames: Frames, video: Path | None, slots: list[int], seconds: float
) -> None:
    """Print one row per number of sequences."""
    macs = giga_macs(recipe(name))
    dtype = torch.bfloat16 if tracker.config.precision == "bfloat16" else torch.float32
    rate = matmul_flops(tracker.device, dtype, NOW)
    print(
        f"\n{name}, {title}: {macs:.3g} GMAC a frame; a large matmul reaches {rate / 1e12:.3g} TFLOP/s, which would be "
        f"{rate / 2e9 / macs:.0f} fps"
    )
    print("".join(f"{title:>{width}}" for title, width in COLUMNS))
    per_frame = 0.0
    tensors = [torch.from_numpy(frame) for frame in frames]
    for count in slots:
        if per_frame * count > 2 * seconds:
            print(f"{count:9}" + "".join(f"{'–':>{width}}" for _, width in COLUMNS[1:]))
            continue
        found = steps(tracker, tensors, count, seconds)
        per_frame = found.seconds / count
        length = min(N_FRAMES, int(seconds / per_frame / count))
        whole = end_to_end(tracker, video, count, length) if length >= 2 else None
        milliseconds = [1e3 * found.parts.get(part, 0.0) / count for part, _ in COLUMNS[2:6]]
        cells = "".join(f"{value:{width}.2f}" for value, (_, width) in zip(milliseconds, COLUMNS[2:6], strict=True))
        share = 2e9 * macs * count / found.parts["network"] / rate
        ending = f"{whole:12.1f}" if whole else f"{'–':>12}"
        print(f"{count:9}{count / found.seconds:10.1f}{cells}{share:10.0%}{ending}", flush=True)


def by_threads(names: list[str], seconds: float) -> None:
    """Print frames per second of one sequence by number of threads, alone and beside neighbours that only count."""
    from pipelines.threads import pick_threads

    cores = len(os.sched_getaffinity(0))
    choices = sorted({1, 2, cores})
    frames = [torch.from_numpy(frame) for frame in texture(4)]
    print(f"{cores} cores; frames per second on the clock; `chosen` is what `pick_threads` takes just then")
    print(f"{'':>10}{'neighbours':>12}" + "".join(f"{count:>6} thr." for count in choices) + f"{'chosen':>9}")
    for neighbours in (0, 2):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(neighbours)]
        try:
            for name in names:
                config = recipe(name)
                torch.manual_seed(0)
                tracker = Tracker(TrackerNet(config.net).eval(), config.tracking_as_trained)
                rates = []
                for count in choices:
                    torch.set_num_threads(count)
                    with patch.object(sys.modules[__name__], "NOW", time.perf_counter):
                        rates.append(1 / steps(tracker, frames, 1, seconds).seconds)
                row = "".join(f"{rate:11.2f}" for rate in rates)
                print(f"{name:>10}{neighbours:12}{row}{pick_threads(config):9}", flush=True)
        finally:
            for process in busy:
                process.kill()
                process.wait()


def main() -> None:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=["tiny_cpu", "s14", "b256"])
    parser.add_argument("--slots", nargs="+", type=int, default=[1, 8, 32, 64])
    parser.add_argument("--device", default="cuda" if cuda else "cpu")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16" if cuda else "float32")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each cell, about")
    parser.add_argument("--threads", type=int, default=1, help="of torch, on a CPU")
    parser.add_argument("--video", type=Path, help="footage with something at x 380, y 200; default moving texture")
    parser.add_argument("--compile", action="store_true", help="measure the compiled network on a CPU too")
    parser.add_argument("--by-threads", action="store_true", help="measure threads instead, alone and with neighbours")
    args = parser.parse_args()
    if args.by_threads:
        by_threads(args.recipes, args.seconds)
        return
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else f"CPU, {args.threads} torch thread(s), CPU time"
    ways: dict[str, dict[str, bool]] = {"eager": {}}
    if on_gpu:
        ways |= {"graphed": {"graphed": True}, "compiled and graphed": {"compiled": True, "graphed": True}}
    if args.compile and not on_gpu:
        ways["compiled"] = {"compiled": True}
    with tempfile.TemporaryDirectory() as folder:
        video = args.video
        frames = texture(N_FRAMES)
        try:
            if video is None:
                video = Path(folder) / "texture.mp4"
                encode(frames, video)
            began = NOW()
            frames = np.stack(list(decode(video, N_FRAMES)))
            decoding = f"decoding {1e3 * (NOW() - began) / len(frames):.2f} ms a frame on one thread"
        except ImportError:
            video, decoding = None, "decoding not measured, PyAV is not installed"
        print(f"{name}, {args.precision}, torch {torch.__version__}, frames {frames.shape[1:3]}, {decoding}")
        print("milliseconds are per frame of one sequence")
        for recipe_name in args.recipes:
            config = recipe(recipe_name)
            torch.manual_seed(0)
            net = TrackerNet(config.net).to(device).eval()
            for title, options in ways.items():
                tracker = Tracker(net, replace(config.tracking_as_trained, precision=args.precision), **options)
                measure(recipe_name, title, tracker, frames, video, args.slots, args.seconds)


if __name__ == "__main__":
    main()
