"""Names of work folders: MLflow must find what it keeps there, or nothing begins."""

from pathlib import Path

import pytest

from pipelines.errors import UsageError
from pipelines.settings import settings


@pytest.mark.parametrize("name", ["my%20clips", "what?", "a#b", "100%"])
def test_a_name_that_mlflow_would_not_find_again_is_refused_before_anything_starts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSTRACK_WORK", str(tmp_path / name))
    monkeypatch.delenv("SSTRACK_MLFLOW_URI", raising=False)
    with pytest.raises(UsageError, match="choose another folder"):
        settings()
    assert not (tmp_path / name).exists()
    monkeypatch.setenv("SSTRACK_MLFLOW_URI", "http://127.0.0.1:5000")
    assert settings().work == tmp_path / name


@pytest.mark.parametrize("name", ["my clips", "Übung 1", "a&b=c;d", "(1) [2] {3}", "it's"])
def test_other_names_are_taken_as_they_are(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSTRACK_WORK", str(tmp_path / name))
    monkeypatch.delenv("SSTRACK_MLFLOW_URI", raising=False)
    assert settings().mlflow_uri == f"sqlite:///{tmp_path / name / 'mlflow.db'}"
