"""Published annotation and raw results, unpacked once per session outside the repository."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def metrics(shared: Path) -> Path:
    """The folder of archives with ground truth and raw results, read in place."""
    return shared / "data" / "metrics"


@pytest.fixture(scope="session")
def golden(metrics: Path) -> dict[str, Any]:
    """What official and peer toolkits make of them."""
    return json.loads((metrics / "golden.json").read_text())


@pytest.fixture(scope="session")
def unpacked(metrics: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`unpacked("lasot")`: the folder with that archive's content."""
    done: dict[str, Path] = {}

    def unpack(name: str) -> Path:
        if name not in done:
            done[name] = tmp_path_factory.mktemp(name)
            with tarfile.open(metrics / f"{name}.tar.xz") as archive:
                archive.extractall(done[name], filter="data")
        return done[name]

    return unpack
