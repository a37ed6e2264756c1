"""A clip's record inside its shard, and the labelled boxes in it."""

import json
import tarfile
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipelines.dataset.index import ClipSpan
from sstrack.clips.clip import Clip

_BLOCK = 512
"""A tar's unit: headers and members begin at multiples of it."""


def read_record(tar: BinaryIO, clip_id: str, span: ClipSpan) -> Clip:
    """The record `<clip_id>.json`, which follows the clip's last frame. Raises ValueError where it is not there."""
    end = int(span.offsets[-1]) + int(span.sizes[-1])
    tar.seek(-(-end // _BLOCK) * _BLOCK)
    try:
        member = tarfile.TarInfo.frombuf(tar.read(_BLOCK), tarfile.ENCODING, "surrogateescape")
        if member.name != f"{clip_id}.json":
            raise ValueError(f"{member.name} follows its last frame")
        return Clip.from_dict(json.loads(tar.read(member.size)))
    except (tarfile.HeaderError, TypeError, KeyError) as error:
        raise ValueError(f"no record follows its last frame: {error}") from error


def frame_boxes(clip: Clip) -> NDArray[np.float32]:
    """`[T, 4]` xywh pixels: the label of each frame, NaN where it has none."""
    boxes = np.full((clip.frames, 4), np.nan, np.float32)
    for frame, box in enumerate(clip.boxes or ()):
        if box is not None:
            boxes[frame] = box
    return boxes
