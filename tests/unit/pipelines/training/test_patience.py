"""Ray waits no longer than it is told to, by variables that this version of it reads."""

import os

import pytest
from ray.train.v2._internal import constants

from pipelines.training.ray_train import _set_patience


def test_ray_reads_the_limits_that_we_set(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (constants.COLLECTIVE_TIMEOUT_S_ENV_VAR, constants.WORKER_HEALTH_CHECK_TIMEOUT_S_ENV_VAR)
    for name in names:
        monkeypatch.setenv(name, "")
    _set_patience(20)
    assert [os.environ[name] for name in names] == ["50", "20"]
