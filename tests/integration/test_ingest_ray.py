"""Ingest on Ray gives what it gives without, and a lost actor costs its own errand alone."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import cluster, storage
from pipelines.crew.crews import Ended, crew
from pipelines.crew.stages import Tell
from pipelines.crew.worker import Died, Done
from pipelines.dataset.manifest import load_manifest
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.run import ingest
from tests.conftest import REPO
from tests.s3 import S3Server

SMALL = IngestConfig(fps=5, long_side=96, min_frames=5, score_only=True)


@pytest.fixture(scope="module", autouse=True)
def ray(s3_server: S3Server) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", f"{REPO}:{Path(__file__).parent}")  # this module holds what the actors do
        with cluster.local_cluster(2):
            yield


def end_the_actor(errand: str, tell: Tell) -> str:
    if errand == "bad":
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()
    return errand


def test_the_same_clips_as_without_ray(real_videos: Path, tmp_path: Path) -> None:
    sources = [str(real_videos / name) for name in ("big_buck_bunny.mpg", "big_buck_bunny.wmv")]
    ingest(sources, str(tmp_path / "ray"), SMALL, workers=2, cluster="local")
    ingest(sources, str(tmp_path / "here"), SMALL)
    digests = {load_manifest(str(tmp_path / name)).data_digest for name in ("ray", "here")}
    assert len(digests) == 1


def test_parts_of_a_long_video_in_a_bucket_are_decoded_apart_to_the_same_clips(
    s3_server: S3Server, real_videos: Path, tmp_path: Path
) -> None:
    uri = s3_server.url("long/01_dog.mp4")
    storage.write_atomic(uri, (real_videos / "01_dog.mp4").read_bytes())
    config = SMALL.model_copy(update={"segment_seconds": 2.0})
    packs, parts = tmp_path / "ray" / "_state" / "packs", set[str]()
    ingest(
        [uri], str(tmp_path / "ray"), config, workers=2, cluster="local",
        pulse=lambda _: parts.update(path.name for path in packs.glob("*.part")),
    )  # fmt: skip
    ingest([uri], str(tmp_path / "here"), config)
    assert len(parts) >= 2
    assert len({load_manifest(str(tmp_path / name)).data_digest for name in ("ray", "here")}) == 1


def test_a_lost_actor_is_a_crash_of_its_errand_and_the_next_has_a_new_one() -> None:
    with crew(1, "local", end_the_actor, lambda *_: 60.0, 2000, OSError) as hands:
        ended: list[Ended] = []
        for number, errand in enumerate(["one", "bad", "two"]):
            hands.start(number, errand)
            while not (news := hands.news(1.0)):
                pass
            ended += [item for item in news if isinstance(item, Ended)]
    assert [item.outcome for item in ended] == [
        Done("one"), Died("crashed", "its Ray node or actor was lost: ActorDiedError"), Done("two"),
    ]  # fmt: skip


def test_a_private_cluster_heeds_no_stale_address_and_leaves_no_token(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="ray-") as temp:  # paths of its sockets have to be short
        (Path(temp) / "ray").mkdir()
        (Path(temp) / "ray/ray_current_cluster").write_text("127.0.0.1:9")
        kept = {name: value for name, value in os.environ.items() if name not in ("RAY_AUTH_MODE", "RAY_ADDRESS")}
        script = "import pipelines.cluster as c, ray\nwith c.local_cluster(1): print(ray.cluster_resources()['CPU'])"
        done = subprocess.run(
            [sys.executable, "-c", script], env={**kept, "HOME": str(tmp_path), "RAY_TMPDIR": temp},
            cwd=REPO, capture_output=True, text=True,
        )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "1.0"), done.stderr
    assert not (tmp_path / ".ray").exists()
