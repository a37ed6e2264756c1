"""The MLflow store of a laptop: one SQLite file, there whole or not at all."""

import threading
from pathlib import Path

from pipelines.local_files import draft, keep_if_absent

SQLITE = "sqlite:///"
"""What the URI of such a store begins with; the file's path follows."""
_making = threading.Lock()


def make_sqlite_store(path: Path) -> None:
    """Make an empty MLflow store at `path` unless a file is there.

    MLflow writes some forty migrations into the file one by one. Killed in between, or beside another process that does
    the same, it leaves a file that it refuses for good; so they are written beside it, and it gets its name when whole.

    Raises SSTrackError if the disk refuses.
    """
    with _making:
        if not path.exists():
            _make(path)


def _make(path: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with draft(path) as unnamed:
        store = SqlAlchemyStore(f"{SQLITE}{unnamed}", (path.parent / "mlflow-artifacts").as_uri())
        store.engine.dispose()
        keep_if_absent(unnamed, path)
