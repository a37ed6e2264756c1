"""Each verdict on real video spoilt by ffmpeg: one ingest over all files, the reason and the score of each."""

import subprocess
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from pipelines.dataset.manifest import load_manifest, read_clips, read_rejects, read_sources
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import ingest

CONFIG = IngestConfig(long_side=320, dedup=False)
SECONDS = "2.6"
PAN = "scale=1120:630,crop=640:360:x='240+220*sin(2.2*t)':y='135+120*cos(1.7*t)'"
"""Only where the camera moves can anything be told to be burnt in."""
STILL = "select=eq(n\\,30),loop=-1:1,setpts=N/25/TB"

FILTERS = {
    "kept": "null",
    "black": "drawbox=c=black:t=fill,noise=alls=3:allf=t",
    "flat": "drawbox=c=0x808080:t=fill,noise=alls=3:allf=t",
    "frozen": STILL,
    "near_static": f"{STILL},noise=alls=2:allf=t",
    "slideshow": f"{STILL},scale=1280:-2,zoompan=z='1+on*0.004':d=1:s=640x360:fps=25",
    "blurred": "gblur=sigma=9",
    "too_small": "scale=80:-2",
}
"""Name of the verdict -> what ffmpeg does to the start of a film."""
SCORE = {
    "black": ("luma", CONFIG.black_level, False),
    "flat": ("contrast", CONFIG.flat_level, False),
    "frozen": ("frozen", CONFIG.frozen_share, True),
    "near_static": ("motion", CONFIG.still_level, False),
    "slideshow": ("slides", CONFIG.slideshow_share, True),
    "blurred": ("sharpness", CONFIG.blur_level, False),
    "overlay text": ("overlay", CONFIG.overlay_share, True),
    "overlay border": ("overlay", CONFIG.overlay_share, True),
}
"""Name of the film -> the score that speaks against it, its limit, and whether it lies above."""


def ffmpeg(source: Path, out: Path, *arguments: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(source), *arguments]
    subprocess.run([*command, "-an", "-preset", "ultrafast", "-crf", "16", str(out)], check=True, timeout=120)


def stickers(folder: Path) -> dict[str, Path]:
    """Pictures to lay over a film of 640x360: three lines of text, and a coloured border."""
    text, border = np.zeros((2, 360, 640, 4), np.uint8)
    for row, line in enumerate(("SUBSCRIBE TO THE CHANNEL", "best of all the films, part 7", "www.example.org/films")):
        cv2.putText(text, line, (20, 250 + 40 * row), cv2.FONT_HERSHEY_SIMPLEX, 1.15, (255, 255, 255, 255), 6)
    cv2.rectangle(border, (0, 0), (639, 359), (40, 200, 230, 255), 44)
    for name, picture in (("text", text), ("border", border)):
        cv2.imwrite(str(folder / f"{name}.png"), picture)
    return {f"overlay {name}": folder / f"{name}.png" for name in ("text", "border")}


@pytest.fixture(scope="module")
def dataset(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("verdicts")
    films, film = root / "films", real_videos / "02_cups.mp4"
    films.mkdir()
    for name, chain in FILTERS.items():
        ffmpeg(film, films / f"{name}.mp4", "-vf", f"scale=640:360,{chain}", "-t", SECONDS)
    ffmpeg(film, films / "panned.mp4", "-vf", PAN, "-t", SECONDS)
    ffmpeg(film, films / "too_short.mp4", "-vf", "scale=640:360", "-t", "1")
    for name, picture in stickers(root).items():
        laid = ("-i", str(picture), "-filter_complex", f"[0:v]{PAN}[film];[film][1:v]overlay", "-t", SECONDS)
        ffmpeg(film, films / f"{name}.mp4", *laid)
    out = str(root / "dataset")
    ingest([str(films)], out, CONFIG)
    return out


def fates(dataset: str) -> dict[str, list[tuple[str, str]]]:
    """File name -> what became of its clips: (reason, detail), ("kept", "") for a clip of the dataset."""
    manifest = load_manifest(dataset)
    names = {row["source_id"]: Path(row["source_uri"]).stem for row in read_sources(dataset, manifest).to_pylist()}
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in names.values()}
    for row in read_clips(dataset, manifest).to_pylist():
        found[names[row["source_id"]]].append(("kept", ""))
    for row in read_rejects(dataset, manifest).to_pylist():
        found[names[row["source_id"]]].append((row["reason"], row["detail"]))
    return found


def test_every_spoilt_film_is_dropped_for_its_own_reason(dataset: str) -> None:
    seen = {name: {reason for reason, _ in fate} for name, fate in fates(dataset).items()}
    expected = {name: {name} for name in (*FILTERS, "too_short")}
    expected |= {"panned": {"kept"}, "overlay text": {"overlay"}, "overlay border": {"overlay"}}
    assert seen == expected


def test_every_verdict_keeps_its_score(dataset: str) -> None:
    found = fates(dataset)
    for name, (score, limit, above) in SCORE.items():
        [(_, detail)] = found[name]
        value = float(dict(part.split(" ") for part in detail.split(", ") if "frames" not in part)[score])
        assert value > limit if above else value < limit, (name, detail)
