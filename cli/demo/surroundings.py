"""Where the demo runs: an environment of its own, other people's output in a log file, our stages on the terminal."""

import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


def demo_environment(work: Path) -> None:
    """Everything below `work`, nothing of the user's: Prefect's home and database, MLflow's store, our defaults."""
    if "prefect" in sys.modules:
        raise RuntimeError("demo_environment has to run before Prefect reads its settings")
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "SSTRACK_"))]:
        if name not in ("SSTRACK_FFMPEG", "SSTRACK_WORKERS", "SSTRACK_SHARED"):
            del os.environ[name]
    os.environ.update(
        {
            "SSTRACK_WORK": str(work),
            "PREFECT_HOME": str(work / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
            "PREFECT_PLUGINS_ENABLED": "0",
            "DO_NOT_TRACK": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "HF_HUB_OFFLINE": "1",
        }
    )


@contextmanager
def noise_to(path: Path) -> Iterator[None]:
    """Send standard output and error of this process and its children to `path` for the time of the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        for descriptor in kept:
            os.dup2(log, descriptor)
        yield
    finally:
        # Prefect's last words come when this process ends, after the descriptors have been put back.
        logging.getLogger("prefect").setLevel(logging.WARNING)
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, saved in kept.items():
            os.dup2(saved, descriptor)
            os.close(saved)
        os.close(log)


@contextmanager
def stage_lines(terminal: TextIO, started: float) -> Iterator[None]:
    """Our packages' log lines on the terminal, with the seconds since the start."""
    handler = _StageLines(terminal, started)
    # One line per source is for the log file; the funnel comes as one line.
    handler.addFilter(lambda record: not record.name.startswith("pipelines.ingest"))
    loggers = [logging.getLogger(name) for name in ("cli", "flows", "pipelines", "sstrack")]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


class _StageLines(logging.Handler):
    def __init__(self, terminal: TextIO, started: float) -> None:
        super().__init__()
        self._terminal, self._started = terminal, started

    def emit(self, record: logging.LogRecord) -> None:
        width = shutil.get_terminal_size((120, 24)).columns if self._terminal.isatty() else None
        line = f"[{time.monotonic() - self._started:5.0f} s] {record.getMessage()}"
        print(line[:width], file=self._terminal, flush=True)
