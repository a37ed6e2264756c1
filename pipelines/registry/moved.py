"""A work folder that was moved or copied: MLflow's SQLite file names its files by absolute paths, and is made to name
those that lie beside it."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlparse

from pipelines.errors import SSTrackError

log = logging.getLogger(__name__)

ARTIFACTS = "mlflow-artifacts"
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def follow_moved_store(path: Path) -> None:
    """Where the store at `path` names files in another folder, and there is one like it beside `path`, name that one.

    Raises SSTrackError if the file cannot be read or written.
    """
    here = path.parent / ARTIFACTS
    try:
        with closing(sqlite3.connect(path, timeout=60)) as store:
            for old in _other_roots(store, here):
                with store:  # one transaction, so that a killed process leaves the store as it was
                    for table, column in _PLACES:
                        _replace(store, table, column, old, here.as_uri())
                log.info("MLflow's files were at %s and are at %s now", old, here)
    except sqlite3.Error as error:
        raise SSTrackError(
            f"MLflow's store {path} cannot be read or written: {error}; restore it from a copy"
        ) from error


def _other_roots(store: sqlite3.Connection, here: Path) -> set[str]:
    """Roots of artifacts, as URIs, that experiments name and that are not `here`."""
    roots: set[str] = set()
    if not here.is_dir():
        return roots
    for (location,) in store.execute("SELECT artifact_location FROM experiments"):
        head, found, tail = (location or "").partition(f"/{ARTIFACTS}")
        root = Path(unquote(urlparse(f"{head}{found}").path))
        if not found or not location.startswith("file:") or (tail and not tail.startswith("/")):
            continue
        if root != here and not (root.is_dir() and root.samefile(here)):
            roots.add(f"{head}{found}")
    return roots


def _replace(store: sqlite3.Connection, table: str, column: str, old: str, new: str) -> None:
    """Of all values that begin with the path `old`. Names of tables and columns are those above."""
    store.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
        f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
        (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
    )
