"""Ray's own daemons come up late on a busy machine: once more, then a sentence."""

import logging

import pytest
import ray

from pipelines import cluster
from pipelines.errors import SSTrackError


def failing(monkeypatch: pytest.MonkeyPatch, times: int, words: str) -> list[str]:
    calls: list[str] = []

    def init(**_: object) -> None:
        calls.append("init")
        if len(calls) <= times:
            raise RuntimeError(words)

    monkeypatch.setattr(ray, "init", init)
    return calls


def test_one_that_is_late_is_started_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    calls = failing(monkeypatch, 1, "The current node timed out during startup.")
    with caplog.at_level(logging.INFO), cluster.local_cluster(1):
        assert len(calls) == 2
    assert "as on a busy machine; they are started again" in caplog.text


def test_one_that_stays_late_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, 99, "The current node timed out during startup.")
    with pytest.raises(SSTrackError, match=r"did not come up within 30 s.*--workers 0"), cluster.local_cluster(1):
        pass


def test_another_error_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = failing(monkeypatch, 99, "no such option")
    with pytest.raises(RuntimeError, match="no such option"), cluster.local_cluster(1):
        pass
    assert len(calls) == 1
