"""A small dataset of real video that loader and training tests read."""

from pathlib import Path

import pytest

from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import ingest
from tests.dataset_factory import make_dataset


@pytest.fixture(scope="session")
def real_dataset(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five real videos in four codecs, cut into short clips."""
    folder = tmp_path_factory.mktemp("real") / "dataset"
    names = ("street_426x240.mp4", "people_768f.mp4", "action.avi", "02_cups.mp4", "big_buck_bunny.wmv")
    sources = [str(real_videos / name) for name in names]
    ingest(sources, str(folder), IngestConfig(long_side=256, max_frames=30), workers=2)
    return folder


@pytest.fixture(scope="session")
def drawn_dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    """24 clips of drawn pictures, for trainings whose losses are compared and not what they learn."""
    folder = tmp_path_factory.mktemp("drawn")
    make_dataset(str(folder / "dataset"), folder, shards=3, clips=8)
    return str(folder / "dataset")
