"""A store that was moved names the files beside it, and one that was not is left alone."""

import sqlite3
from pathlib import Path

import pytest

from pipelines.errors import SSTrackError
from pipelines.registry.moved import ARTIFACTS, follow_moved_store

TABLES = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "source, storage_location",
}


def make(path: Path, root: str) -> None:
    with sqlite3.connect(path) as store:
        for table, columns in TABLES.items():
            store.execute(f"CREATE TABLE {table} ({columns})")
        store.execute("INSERT INTO experiments VALUES (?)", (root,))
        store.execute("INSERT INTO experiments VALUES ('mlflow-artifacts:/7')")
        store.execute("INSERT INTO experiments VALUES ('s3://bucket/mlflow-artifacts')")
        store.execute("INSERT INTO runs VALUES (?)", (f"{root}/1/artifacts",))
        store.execute("INSERT INTO runs VALUES (?)", (f"{root}-of-another/1",))
        store.execute("INSERT INTO logged_models VALUES (NULL)")
        store.execute("INSERT INTO model_versions VALUES (?, ?)", (f"{root}/m", root))


def read(path: Path) -> set[str | None]:
    with sqlite3.connect(path) as store:
        return {value for table in TABLES for row in store.execute(f"SELECT * FROM {table}") for value in row}


def test_what_lay_in_the_old_folder_is_named_in_the_new_one_and_nothing_else(tmp_path: Path):
    (tmp_path / "a b" / ARTIFACTS).mkdir(parents=True)
    path = tmp_path / "a b" / "mlflow.db"
    make(path, "file:///old%20place/there/mlflow-artifacts")
    follow_moved_store(path)
    new = (tmp_path / "a b" / ARTIFACTS).as_uri()
    assert read(path) == {
        new, f"{new}/1/artifacts", f"{new}/m", "mlflow-artifacts:/7", "s3://bucket/mlflow-artifacts", None,
        "file:///old%20place/there/mlflow-artifacts-of-another/1",
    }  # fmt: skip
    before = path.read_bytes()
    follow_moved_store(path)
    assert path.read_bytes() == before


def test_a_store_reached_through_a_link_or_without_files_beside_it_stays_as_it_is(tmp_path: Path):
    work = tmp_path / "work"
    (work / ARTIFACTS).mkdir(parents=True)
    make(work / "mlflow.db", (work / ARTIFACTS).as_uri())
    (tmp_path / "link").symlink_to(work)
    before = read(work / "mlflow.db")
    follow_moved_store(tmp_path / "link" / "mlflow.db")
    assert read(work / "mlflow.db") == before
    alone = tmp_path / "backup.db"
    make(alone, "file:///old/mlflow-artifacts")
    follow_moved_store(alone)
    assert "file:///old/mlflow-artifacts" in read(alone)


def test_a_file_that_is_no_store_is_named(tmp_path: Path):
    (tmp_path / ARTIFACTS).mkdir()
    (tmp_path / "mlflow.db").write_bytes(b"no database at all, but long enough to be looked at" * 50)
    with pytest.raises(SSTrackError, match=r"mlflow\.db cannot be read or written"):
        follow_moved_store(tmp_path / "mlflow.db")
