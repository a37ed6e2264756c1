"""A picture of a dataset: the first frame of some clips with their seed boxes."""

from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pipelines import storage
from pipelines.dataset.index import load_index
from pipelines.dataset.manifest import load_manifest, read_clips
from pipelines.draw import draw_box

TILE = (240, 160)
"""Width and height of one clip's picture."""


def write_sheet(dataset: str, out: Path, clips: int) -> int:
    """Draw at most `clips` clips, evenly chosen in table order, into the PNG `out`. Returns how many were drawn."""
    png, drawn = draw_sheet(dataset, clips)
    storage.write_atomic(str(out), png)
    return drawn


def draw_sheet(dataset: str, clips: int) -> tuple[bytes, int]:
    """A PNG of at most `clips` clips, evenly chosen in table order, and how many were drawn."""
    sheet, drawn = _draw(dataset, clips)
    _, png = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    return png.tobytes(), drawn


def draw_thumbnail(dataset: str, clips: int) -> bytes:
    """The sheet as a small JPEG, some 10 KiB a clip, for where a PNG is too much."""
    return simplejpeg.encode_jpeg(_draw(dataset, clips)[0], 70, "RGB", "420")


def _draw(dataset: str, clips: int) -> tuple[NDArray[np.uint8], int]:
    """The sheet as [H, W, 3] RGB, and how many clips it shows."""
    rows = read_clips(dataset, load_manifest(dataset)).to_pylist()
    chosen = [rows[index] for index in np.unique(np.linspace(0, len(rows) - 1, min(clips, len(rows))).astype(int))]
    indexes = {shard: load_index(dataset, shard) for shard in {row["shard"] for row in chosen}}
    tiles = []
    for row in chosen:
        span = indexes[row["shard"]][row["clip_id"]]
        jpeg = storage.read_range(
            storage.join(dataset, "shards", f"{row['shard']}.tar"), int(span.offsets[0]), int(span.sizes[0])
        )
        tile, scale, left, top = _fit(simplejpeg.decode_jpeg(jpeg, "RGB"))
        x, y, w, h = (scale * row[f"seed_{side}"] for side in "xywh")
        tiles.append(tile if np.isnan(x) else draw_box(tile, (left + x, top + y, w, h)))
    columns = int(np.ceil(np.sqrt(len(tiles))))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    sheet = np.concatenate([np.concatenate(tiles[at : at + columns], axis=1) for at in range(0, len(tiles), columns)])
    return sheet, len(chosen)


def _fit(frame: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float, int, int]:
    """The frame inside a black tile with its aspect kept, and the scale, left and top that map a box into the tile."""
    width, height = TILE
    scale = min(width / frame.shape[1], height / frame.shape[0])
    size = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
    tile = np.zeros((height, width, 3), dtype=np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    tile[top : top + size[1], left : left + size[0]] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return tile, scale, left, top
