"""What one training step costs, by part, and what crops on the device and compilation bring.

    python bench/train_step.py                           b256, batch 64, bf16 on a GPU; tiny_cpu, batch 8 on a CPU
    python bench/train_step.py --recipe b384 --batch 16 --compile

Needs torch, timm, numpy and this repository, nothing else. Three variants are measured in one run: crops on the device,
the same compiled (on a GPU, or with --compile), and crops on the CPU one sample at a time, as the published code makes
them inside its forward pass. MFU is the network's multiply-adds over what the largest matrix product here reaches in
the same precision, and over the data sheet's peak where that is known; recomputation and crops do not count as work.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sstrack.configs.recipe import Recipe
from sstrack.crops import crop
from sstrack.models.tracker_net import NetOutput, TrackerNet
from sstrack.objectives.base import ClipBatch
from sstrack.objectives.registry import build_objective
from sstrack.objectives.step import TrainStep, compile_network
from sstrack.recipes import recipe

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense bf16 FLOP/s by the makers' data sheets."""
CROPPERS = ("sstrack.objectives.decoupled.crop", "sstrack.objectives.views.crop", "sstrack.objectives.copy_paste.crop")
FRAME = (480, 854)


@dataclass
class Clock:
    """Time by part, on the device where there is one: pairs of events that are read after the last step."""

    cuda: bool
    now: Callable[[], float] = time.perf_counter
    """What is read where there is no device; `time.process_time` counts the CPU time of all threads."""
    marks: dict[str, list[tuple[torch.cuda.Event, torch.cuda.Event]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        if self.cuda:
            first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            first.record()
            yield
            last.record()
            self.marks.setdefault(name, []).append((first, last))
        else:
            started = self.now()
            yield
            self.seconds[name] = self.seconds.get(name, 0.0) + self.now() - started

    def read(self) -> dict[str, float]:
        """Seconds by part."""
        if self.cuda:
            torch.cuda.synchronize()
            self.seconds = {name: sum(a.elapsed_time(b) for a, b in pairs) / 1e3 for name, pairs in self.marks.items()}
        return self.seconds


@dataclass(frozen=True)
class Measured:
    """One variant over all its steps."""

    seconds_per_step: float
    parts: dict[str, float]
    """Seconds per step; `network` is the forward pass of both directions."""
    peak_bytes: int
    loss: float


def one_at_a_time_on_the_cpu(frames: Tensor, regions: Tensor, size: int | tuple[int, int]) -> Tensor:
    """What the published code does: each sample is copied to the host, cut, padded, resized there and copied back."""
    height, width = (size, size) if isinstance(size, int) else size
    crops: list[Tensor] = []
    for frame, region in zip(frames, regions.tolist(), strict=True):
        picture = frame.cpu().float()
        x0, y0 = round(region[0]), round(region[1])
        x1, y1 = x0 + max(round(region[2]), 1), y0 + max(round(region[3]), 1)
        inside = picture[:, max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        tall, wide = inside.shape[1:]
        left, top = min(max(-x0, 0), x1 - x0 - wide), min(max(-y0, 0), y1 - y0 - tall)
        padded = F.pad(inside, (left, x1 - x0 - wide - left, top, y1 - y0 - tall - top))
        crops.append(F.interpolate(padded[None], size=(height, width), mode="bilinear", align_corners=False)[0])
    return torch.stack(crops).to(frames.device)


def random_batch(b: int, later: int, seed: int) -> ClipBatch:
    """Noise with plausible boxes, in the memory layout that the loader gives, pinned where that helps."""
    generator = torch.Generator().manual_seed(seed)
    height, width = FRAME
    frames = torch.randint(0, 256, (b, 1 + later, height, width, 3), generator=generator, dtype=torch.uint8)
    sides = torch.rand(b, 2, generator=generator) * 120 + 30
    corners = torch.rand(b, 2, generator=generator) * (torch.tensor([width, height]) - sides)
    sizes = torch.tensor([[float(width), float(height)]]).repeat(b, 1)
    boxes = torch.full((b, 1 + later, 4), float("nan"))
    frames = frames.pin_memory() if torch.cuda.is_available() else frames
    seeds = torch.cat((corners, sides), dim=1)
    return ClipBatch(frames.permute(0, 1, 4, 2, 3), sizes, seeds, tuple(map(str, range(b))), boxes)


def giga_macs_per_sample(config: Recipe) -> float:
    """10⁹ multiply-adds of the network for one sample's step; a backward pass counts twice its forward pass."""

    def forward(templates: int) -> float:
        with torch.device("meta"):
            net = TrackerNet(config.net).eval()
            z, x = config.net.template_size, config.net.search_size
            pictures = torch.empty(1, templates, 3, z, z), torch.empty(1, 3, x, x)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            net(*pictures)
        return counter.get_total_flops() / 2e9

    later = config.data.n_search
    return later * forward(1) + 3 * config.objective.views * forward(later)


def matmul_flops(device: torch.device, dtype: torch.dtype, now: Callable[[], float] = time.perf_counter) -> float:
    """FLOP/s of a large square matrix product on this device."""
    n = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    clock = Clock(device.type == "cuda", now)
    for _ in range(3):
        torch.matmul(a, b)
    with clock.part("matmul"):
        for _ in range(10):
            torch.matmul(a, b)
    return 10 * 2 * n**3 / clock.read()["matmul"]


def measure(
    config: Recipe, device: torch.device, batch_size: int, steps: int, compiled: bool, cutter: Callable[..., Tensor]
) -> Measured:
    """Time `steps` whole steps after two that warm up."""
    torch.manual_seed(0)
    net = TrackerNet(config.net).to(device).train()
    if compiled:
        compile_network(net)
    cuda = device.type == "cuda"
    module = TrainStep(net, build_objective(config.net, config.objective), config.optim.precision)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=cuda)
    batches = [random_batch(batch_size, config.data.n_search, seed) for seed in range(2)]
    clock = Clock(cuda)

    def timed(name: str, call: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def inner(*args: object, **kwargs: object) -> Tensor:
            with clock.part(name):
                return call(*args, **kwargs)

        return inner

    locate = module._locate

    def timed_locate(*args: Tensor, **kwargs: float) -> NetOutput:
        with clock.part("network"):
            return locate(*args, **kwargs)  # pyright: ignore[reportArgumentType]

    loss = torch.zeros(())
    with ExitStack() as patches:
        for name in CROPPERS:
            patches.enter_context(patch(name, timed("crops", cutter)))
        patches.enter_context(patch.object(module, "_locate", timed_locate))
        started = 0.0
        for step in range(-2, steps):
            if step == 0:
                clock.read()
                clock.marks.clear()
                clock.seconds = {}
                if cuda:
                    torch.cuda.reset_peak_memory_stats()
                started = time.perf_counter()
            generator = torch.Generator(device).manual_seed(step + 2)
            with clock.part("data"):
                batch = batches[step % 2].to(device)
            with clock.part("objective"):
                loss, _ = module(batch, generator, 1.0)
            with clock.part("backward"):
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
            with clock.part("optimiser"):
                nn.utils.clip_grad_norm_(net.parameters(), config.optim.clip_norm)
                optimizer.step()
        parts = clock.read()
        seconds = (time.perf_counter() - started) / steps
    parts = {name: value / steps for name, value in parts.items()}
    parts["other"] = parts.pop("objective") - parts["network"] - parts["crops"]
    return Measured(seconds, parts, torch.cuda.max_memory_allocated() if cuda else 0, float(loss.detach()))


def main() -> None:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="b256" if cuda else "tiny_cpu")
    parser.add_argument("--batch", type=int, default=64 if cuda else 8, help="samples per step, one group")
    parser.add_argument("--steps", type=int, default=10 if cuda else 4)
    parser.add_argument("--precision", choices=("bf16", "float32"), default="bf16" if cuda else "float32")
    parser.add_argument("--device", default="cuda" if cuda else "cpu")
    parser.add_argument("--compile", action="store_true", help="measure the compiled network on a CPU too")
    args = parser.parse_args()
    device = torch.device(args.device)
    config = recipe(args.recipe, {"optim.precision": args.precision})
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    macs = giga_macs_per_sample(config)
    dtype = torch.bfloat16 if args.precision == "bf16" else torch.float32
    rate = matmul_flops(device, dtype)
    peak = next((flops for key, flops in PEAKS.items() if key in name and dtype == torch.bfloat16), None)
    print(f"{args.recipe}, batch {args.batch}, {args.precision}, {name}, torch {torch.__version__}, frames {FRAME}")
    print(f"{macs:.3g} GMAC per sample and step; a large matmul reaches {rate / 1e12:.3g} TFLOP/s")
    variants: list[tuple[str, bool, Callable[..., Tensor]]] = [("crops on the device", False, crop)]
    if device.type == "cuda" or args.compile:
        variants.append(("same, compiled", True, crop))
    variants.append(("crops one by one, CPU", False, one_at_a_time_on_the_cpu))
    first = 0.0
    for title, compiled, cutter in variants:
        found = measure(config, device, args.batch, args.steps, compiled, cutter)
        first = first or found.seconds_per_step
        achieved = 2e9 * macs * args.batch / found.seconds_per_step
        mfu = f"MFU {achieved / rate:.1%} of matmul" + (f", {achieved / peak:.1%} of peak" if peak else "")
        memory = f", peak {found.peak_bytes / 2**30:.1f} GiB" if found.peak_bytes else ""
        print(
            f"\n{title}: {args.batch / found.seconds_per_step:.3g} samples/s ({first / found.seconds_per_step:.2f}x), ",
            end="",
        )
        print(f"{1e3 * found.seconds_per_step:.1f} ms per step, {mfu}{memory}, loss {found.loss:.4f}")
        for part, seconds in sorted(found.parts.items(), key=lambda item: -item[1]):
            print(f"  {part:10} {1e3 * seconds:9.2f} ms  {seconds / found.seconds_per_step:6.1%}")


if __name__ == "__main__":
    main()
