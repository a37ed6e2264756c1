"""Every `sstrack` line of ingest's pages works as it is printed there, in one process, on small real things."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from tests.conftest import REPO
from tests.layouts import link, otb_boxes, otb_frames, table
from tests.s3 import S3Server

PAGES = ("ingest.md", "datasets.md", "quality.md")
RUN = """
import json, sys
from cli.main import app

for words in json.load(sys.stdin):
    print("$", *words, file=sys.stderr, flush=True)
    try:
        app(words)
    except SystemExit as ended:
        if ended.code:
            sys.exit(f"{words} ended with {ended.code}")
"""


def commands(page: str) -> list[list[str]]:
    """The words of each `sstrack` line in a page's blocks of code, without comments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", (REPO / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines() if "sstrack" in line]
    return [words[1:] for words in lines if words[:1] == ["sstrack"]]


@pytest.fixture
def home(real_videos: Path, shared: Path, s3_server: S3Server, tmp_path: Path) -> Path:
    """A home and working folder with all that the pages name."""
    store = fsspec.filesystem("s3", use_listings_cache=False)
    for name in ("dataset", "tracking", "films"):
        if store.exists(s3_server.url(name)):
            store.rm(s3_server.url(name), recursive=True)
    for folder in ("clips", "more", "inbox/deep", "VIDEOS"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(real_videos / "action.avi", tmp_path / "clips")
    shutil.copy(real_videos / "action.avi", tmp_path / "VIDEOS")
    shutil.copy(real_videos / "big_buck_bunny.wmv", tmp_path / "more")
    shutil.copy(real_videos / "big_buck_bunny.wmv", tmp_path / "inbox" / "deep" / "film.mkv")
    (tmp_path / "films.txt").write_text("# a list\nclips/action.avi\n")
    (tmp_path / "more.csv").write_text("uri\nmore/big_buck_bunny.wmv\n")
    store.put_file(str(real_videos / "action.avi"), s3_server.url("films/action.avi"))
    sequence = link(otb_frames(shared, "Couple")[:24], tmp_path / "GOT-10k/train/GOT-10k_Train_000001", "%08d.jpg")
    table(sequence / "groundtruth.txt", otb_boxes(shared, "Couple")[:24])
    return tmp_path


def test_the_pages_commands_work(home: Path, shared: Path) -> None:
    found = [words for page in PAGES for words in commands(page)]
    assert len(found) >= 20
    sequences = shared / "data" / "sequences"
    stands_for = {"/data/OTB100": sequences / "otb", "/data/LaSOT": sequences / "davis"}
    stands_for["clip.mp4"] = home / "more" / "big_buck_bunny.wmv"  # one that was ingested
    asked = []
    for words in found:
        named = [str(stands_for.get(word, word)) for word in words]
        asked.append([*named, "--workers", "0"] if named[0] == "ingest" else named)  # the last one counts
    environment = {**os.environ, "HOME": str(home), "SSTRACK_WORK": str(home / "work"), "PYTHONPATH": str(REPO)}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(asked), cwd=home, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = " ".join(done.stdout.replace("│", " ").split())
    assert "to train data.reading=random: its" in told and "seed boxes on" in told
    for name in ("tracking/dataset/HEAD", "tracking/labelled/HEAD", "report.html", "sstrack.prom", "sheet.png"):
        assert (home / name).stat().st_size > 0
    assert list((home / "clips").glob("*.mp4")) and list((home / "clips").glob("*/0000.jpg"))
