"""How many template and search-region crops a second one core makes: our batched matrix products against Pillow.

    python bench/crops.py [FRAME]

Both cut the same antialiased regions out of the same frame; the ratio is what counts. Prints one line per crop size.
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
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        make()
        done += 1
    return done / (time.perf_counter() - started)


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    if len(sys.argv) > 1:
        image = Image.open(Path(sys.argv[1])).convert("RGB")
    else:
        image = Image.fromarray(rng.integers(0, 255, (480, 854, 3), dtype=np.uint8))
    frames = torch.from_numpy(np.array(image)).permute(2, 0, 1).float().expand(BATCH, -1, -1, -1).contiguous()
    print(f"{image.width}x{image.height} frame, batch {BATCH}, one core, torch {torch.__version__}")
    for side, reach in ((48, 100), (128, 120), (256, 320)):
        corners = rng.uniform(0, [image.width - reach, image.height - reach], (BATCH, 2))
        regions = np.concatenate((corners, np.full((BATCH, 2), float(reach))), axis=1)
        ours = rate(lambda regions=regions, side=side: crop(frames, torch.from_numpy(regions), side))

        def pillow(regions: np.ndarray = regions, side: int = side) -> list[Image.Image]:
            boxes = [(x, y, x + w, y + h) for x, y, w, h in regions]
            return [image.resize((side, side), Image.Resampling.BILINEAR, box=box) for box in boxes]

        theirs = rate(pillow)
        print(
            f"{reach} px -> {side} px: {ours * BATCH:7.0f} crops/s, Pillow {theirs * BATCH:7.0f}, {ours / theirs:.2f}x"
        )


if __name__ == "__main__":
    main()
