"""The word that says where work runs."""

import re
import socket
from pathlib import Path

import pytest

from pipelines.cluster import joined
from pipelines.errors import SSTrackError, UsageError
from pipelines.place import PATTERN, Place, place
from pipelines.reach import require_reachable
from pipelines.settings import settings


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("local", Place("local", "local")),
        ("auto", Place("join", "auto")),
        ("head-1.ray.svc:6379", Place("join", "head-1.ray.svc:6379")),
        ("[::1]:6379", Place("join", "[::1]:6379")),
        ("job", Place("job", "")),
        ("job:http://head:8265", Place("job", "http://head:8265")),
        ("job:https://ray.example/team/", Place("job", "https://ray.example/team")),
    ],
)
def test_each_form_is_taken_apart(word: str, expected: Place) -> None:
    assert place(word) == expected


@pytest.mark.parametrize(
    "word", ["", "here", "head", "head:", "head:99999", "job:", "job:head:8265", "http://head:8265", "local\n", "-x:1"]
)
def test_another_word_is_refused_with_the_known_ones(word: str) -> None:
    with pytest.raises(UsageError, match=r"is none of local, auto, host:port, job"):
        place(word)


def test_the_ray_client_is_refused_with_what_to_use_instead() -> None:
    with pytest.raises(UsageError, match=r"30 seconds.*job:http://head:8265.*head:6379"):
        place("ray://head:10001")
    assert not re.match(PATTERN, "ray://head:10001")


def test_a_wrong_environment_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSTRACK_CLUSTER", "mars")
    with pytest.raises(UsageError, match="'mars' is none of"):
        settings()
    monkeypatch.setenv("SSTRACK_CLUSTER", "auto")
    monkeypatch.setenv("SSTRACK_JOB_ADDRESS", "head:8265")
    with pytest.raises(UsageError, match="SSTRACK_JOB_ADDRESS=head:8265"):
        settings()


def test_joining_where_nobody_listens_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as held:  # bound, not listening: refuses, and nobody else can take it meanwhile
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(SSTrackError, match=rf"no Ray cluster answers at '{address}' .*refused"), joined(address, 1):
            pass
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray/ray_current_cluster").write_text(address)
        monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
        with pytest.raises(SSTrackError, match=f"'{address}' of {tmp_path}/ray/ray_current_cluster"), joined("auto", 1):
            pass
    (tmp_path / "ray/ray_current_cluster").unlink()
    with pytest.raises(SSTrackError, match="no Ray cluster runs on this machine"), joined("auto", 1):
        pass


def test_places_of_this_machine_alone_are_refused_where_the_cluster_has_others(monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"dataset": "s3://b/d", "MLflow store": "sqlite:////w/mlflow.db", "server": "http://127.0.0.1:5000"}
    require_reachable(places, ["127.0.0.1"])
    with pytest.raises(UsageError, match=r"192\.0\.2\.1 does not see the MLflow store sqlite:\S+ and the server http"):
        require_reachable(places, ["127.0.0.1", "192.0.2.1"])
    monkeypatch.setenv("SSTRACK_SHARED_FOLDERS", "true")
    require_reachable(places, ["192.0.2.1"])
