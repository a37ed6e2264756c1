"""Our tracker behind TraX: driven by the protocol's own client, and by the official `vot` command."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.errors import SSTrackError
from pipelines.evaluation.run import evaluate
from pipelines.evaluation.trax_server import write_entry
from sstrack.benchmarks.regions import parse_regions
from sstrack.benchmarks.registry import benchmark
from sstrack.benchmarks.result_files import read_results
from tests.conftest import REPO
from tests.factories import write_package
from tests.layouts import write_vot2020

PROGRAM = [sys.executable, "-c", "from cli.main import main; main()"]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_package(tmp_path_factory.mktemp("model") / "package")


def test_a_trax_client_gets_the_boxes_that_evaluate_keeps(package: Path, tmp_path: Path, shared: Path):
    trax: Any = importlib.import_module("trax")
    client_of: Any = importlib.import_module("trax.client").Client
    write_vot2020(tmp_path / "root", shared)
    done = evaluate(str(package), "vot2020", str(tmp_path / "root"), str(tmp_path / "out"))
    kept = parse_regions((Path(done.results) / "baseline/bag/bag_00000000.txt").read_bytes(), "bag")
    frames = sorted((tmp_path / "root" / "bag" / "color").glob("*.jpg"))
    given = (292.23, 128.36, 145.96, 132.47)
    process = subprocess.Popen(
        [*PROGRAM, "trax", "--model", str(package)], cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdin is not None and process.stdout is not None
        client = client_of(stream=(process.stdin.fileno(), process.stdout.fileno()), log=lambda _: None)
        assert client.tracker_name == "sstrack"
        images = [{"color": trax.FileImage.create(str(frame))} for frame in frames]
        client.initialize(images[0], [(trax.Rectangle.create(*given), {})], {})
        for index, image in enumerate(images[1:6], start=1):
            ((region, properties),), _ = client.frame(image, {}, [])
            assert region.bounds() == pytest.approx(kept.boxes[index].tolist(), abs=2e-3)
            assert 0 <= float(properties["confidence"]) <= 1
        client.quit()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def test_an_entry_names_a_model_that_is_there(package: Path, tmp_path: Path):
    path = write_entry(str(package), tmp_path)
    text = path.read_text()
    assert text.startswith("[sstrack]\n") and "protocol = trax" in text and str(package) in text
    with pytest.raises(SSTrackError, match="model package"):
        write_entry(str(tmp_path / "nothing"), tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.soak
def test_the_official_toolkit_drives_it_as_our_own_protocol_does(package: Path, tmp_path: Path, shared: Path):
    uv = Path(sys.executable).with_name("uv")
    vot = tmp_path / "peer" / "bin" / "vot"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, tmp_path / "peer"], check=True)
    # attributee 0.1.9 and later break on this Python.
    wanted = ["vot-toolkit==0.9.0", "attributee==0.1.8"]
    subprocess.run([uv, "pip", "install", "-q", "--python", vot.with_name("python"), *wanted], check=True)
    workspace = tmp_path / "workspace"
    write_vot2020(workspace / "sequences", shared)
    (workspace / "config.yaml").write_text("stack: ./stack.yaml\nregistry:\n- ./trackers.ini\nsequences: ./sequences\n")
    # Its reset- and anchor-based experiments do not start in 0.9.0: they hand a status on where a region is wanted.
    (workspace / "stack.yaml").write_text(
        "title: baseline\nexperiments:\n  baseline:\n    type: unsupervised\n    repetitions: 1\n    analyses: []\n"
    )
    write_entry(str(package), workspace)
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    run = [vot, "evaluate", "--workspace", workspace, "sstrack"]
    finished = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=540)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    theirs = workspace / "results" / "sstrack"
    ours = evaluate(str(package), "vot2020", str(workspace / "sequences"), str(tmp_path / "out"))
    file = theirs / "baseline" / "bag" / "bag_001.bin"
    a = parse_regions(file.read_bytes(), str(file))
    kept = Path(ours.results) / "baseline" / "bag" / "bag_00000000.txt"
    b = parse_regions(kept.read_bytes(), str(kept))
    assert a.codes.tolist() == b.codes.tolist() == [1, *([-1] * 15)]
    assert np.abs(a.boxes[1:] - b.boxes[1:]).max() < 0.01
    truths = benchmark("vot2018").truths(workspace)
    assert set(read_results(theirs, truths, "vot_reset").runs) == {"bag"}
    shutil.rmtree(tmp_path / "peer")
