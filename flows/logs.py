"""Our packages' log lines in the Prefect UI.

Naming them in Prefect's `logging.extra_loggers` attaches a handler but leaves their level at the root's WARNING, so
INFO lines are dropped; and a worker's run, which starts in an empty folder, does not see our pyproject.toml at all.
"""

import copy
import functools
import logging
import math
import time

import httpx
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import PrefectException
from prefect.logging.handlers import APILogHandler
from prefect.runtime import flow_run as this_run

PACKAGES = ("cli", "flows", "pipelines", "sstrack")
_PROGRESS = "flows.progress"
_PROGRESS_S = 60.0


def show_our_logs() -> None:
    """Send INFO lines of our packages to the API of the run they are logged in, and of the run that this is a part of.
    Calling it again changes nothing."""
    for name in PACKAGES:
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)
        if not any(isinstance(handler, APILogHandler) for handler in logger.handlers):
            logger.addHandler(APILogHandler())
        if not any(isinstance(handler, _ToRoot) for handler in logger.handlers):
            logger.addHandler(_ToRoot())
        for handler in logger.handlers:
            if isinstance(handler, APILogHandler) and _inside_a_run not in handler.filters:
                handler.addFilter(_inside_a_run)


class _ToRoot(APILogHandler):
    """Lines of a subflow on the page of the run that it is a part of, which would stay empty for hours otherwise; of
    those about progress one a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._last = -math.inf

    def emit(self, record: logging.LogRecord) -> None:
        try:
            run = this_run.id
            root = run and _root_of(run)
        except (httpx.HTTPError, PrefectException):
            self.handleError(record)
            return
        if root == run or (record.name == _PROGRESS and time.monotonic() - self._last < _PROGRESS_S):
            return
        if record.name == _PROGRESS:
            self._last = time.monotonic()
        there = copy.copy(record)
        there.flow_run_id = root
        super().emit(there)


@functools.lru_cache(maxsize=64)
def _root_of(_: str) -> str:
    """The run that the running one, which is named so that the server is asked once, is a part of; or itself."""
    return this_run.root_flow_run_id


def _inside_a_run(_: logging.LogRecord) -> bool:
    """Lines logged outside a run have nowhere to go; without this filter each gives a warning."""
    return FlowRunContext.get() is not None or TaskRunContext.get() is not None
