"""How many template and search-region crops a second one core makes: ours against Pillow.

    python bench/crops.py [FRAME]

Both start from the same decoded frame and end at a float tensor `[3, S, S]`, the same antialiased region of it; the
ratio is what counts. Time is the process's own, so that other work on the machine tells little.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sstrack.crops import crop

BATCH = 16
SECONDS = 2.0


def rate(make: Callable[[], object]) -> float:
    """Batches per second over about `SECONDS`."""
    make()
    started, done = time.process_time(), 0
    while time.process_time() - started < SECONDS:
        make()
        done += 1
    return done / (time.process_time() - started)


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    if len(sys.argv) > 1:
        image = Image.open(Path(sys.argv[1])).convert("RGB")
    else:
        image = Image.fromarray(rng.integers(0, 255, (480, 854, 3), dtype=np.uint8))
    frames = torch.from_numpy(np.stack([np.array(image)] * BATCH)).permute(0, 3, 1, 2)  # as the loader gives them
    print(f"{image.width}x{image.height} frame, batch {BATCH}, one core, torch {torch.__version__}")
    for side, reach in ((48, 100), (128, 120), (256, 320)):
        corners = rng.uniform(0, [image.width - reach, image.height - reach], (BATCH, 2))
        regions = np.concatenate((corners, np.full((BATCH, 2), float(reach))), axis=1)
        ours = rate(lambda regions=regions, side=side: crop(frames, torch.from_numpy(regions), side))

        def pillow(regions: np.ndarray = regions, side: int = side) -> torch.Tensor:
            boxes = [(x, y, x + w, y + h) for x, y, w, h in regions]
            cut = [np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=box)) for box in boxes]
            return torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2).float().contiguous()

        theirs = rate(pillow)
        print(
            f"{reach} px -> {side} px: {ours * BATCH:7.0f} crops/s, Pillow {theirs * BATCH:7.0f}, {ours / theirs:.2f}x"
        )


if __name__ == "__main__":
    main()
