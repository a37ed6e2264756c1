"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real videos and sequences, read in place (`SSTRACK_SHARED`, else `../shared`)."""
    folder = Path(os.environ.get("SSTRACK_SHARED", REPO.parent / "shared"))
    if not (folder / "data" / "videos").is_dir():
        pytest.fail(
            f"no real videos under {folder}/data/videos: set SSTRACK_SHARED to the folder that holds data/videos"
        )
    return folder


@pytest.fixture(scope="session")
def real_videos(shared: Path) -> Path:
    """Folder of real unlabeled videos in mixed codecs and containers."""
    return shared / "data" / "videos"
