"""Does a registered version load and track where nothing of ours is at hand? Asked of a new process, on a real clip."""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sstrack.gates import Check

NAME = "smoke"
FRAMES = 8
_SECONDS = 600
_CHILD = Path(__file__).with_name("loaded_back.py")


@dataclass(frozen=True)
class Clip:
    """Frames of a real clip and the target's box on the first, xywh in pixels."""

    frames: Sequence[Path]
    box: tuple[float, float, float, float]


def smoke(uri: str, name: str, version: str, clip: Clip | None) -> Check:
    """Load the version back from the store at `uri` and track the first frames of `clip`; None leaves it unchecked."""
    if clip is None:
        return Check(NAME, None, "no clip at hand, so the package was not loaded back from the registry")
    frames = list(clip.frames)[:FRAMES]
    with tempfile.TemporaryDirectory(prefix="sstrack-smoke-") as scratch:
        source, folder = Path(scratch) / "clip", Path(scratch) / "model"
        source.mkdir()
        folder.mkdir()
        for number, frame in enumerate(frames):
            (source / f"{number:04d}{frame.suffix}").symlink_to(frame.absolute())
        # -P: the folder of that file holds modules whose names are also those of other packages.
        command = [sys.executable, "-P", str(_CHILD), uri, f"models:/{name}/{version}", str(folder), str(source)]
        try:
            done = subprocess.run(
                [*command, json.dumps(list(clip.box))],
                cwd=scratch,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
                capture_output=True,
                text=True,
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return Check(NAME, False, f"loaded back from the registry it did not answer within {_SECONDS} s")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return Check(NAME, False, f"loaded back from the registry it fails: {last[:300]}")
    return _check_of(json.loads(done.stdout.splitlines()[-1]), len(frames), clip.box)


def _check_of(answer: dict[str, Any], count: int, box: tuple[float, ...]) -> Check:
    boxes, scores = answer["boxes"], answer["scores"]
    sound = len(boxes) == len(scores) == count
    sound = sound and all(len(each) == 4 and all(map(math.isfinite, each)) and min(each[2:]) > 0 for each in boxes)
    sound = sound and all(0 <= score <= 1 for score in scores)
    sound = sound and all(math.isclose(one, two, abs_tol=1e-3) for one, two in zip(boxes[0], box, strict=True))
    if not sound:
        return Check(NAME, False, f"loaded back from the registry it answers {count} frames with {str(answer)[:200]}")
    return Check(NAME, True, f"loaded back from the registry in a fresh process it tracks {count} frames")
