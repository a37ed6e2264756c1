"""Our packages' log lines in the Prefect UI.

Naming them in Prefect's `logging.extra_loggers` attaches a handler but leaves their level at the root's WARNING, so
INFO lines are dropped; and a worker's run, which starts in an empty folder, does not see our pyproject.toml at all.
"""

import logging

from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler

PACKAGES = ("cli", "flows", "pipelines", "sstrack")


def show_our_logs() -> None:
    """Send INFO lines of our packages to the API of the run they are logged in. Calling it again changes nothing."""
    for name in PACKAGES:
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)
        if not any(isinstance(handler, APILogHandler) for handler in logger.handlers):
            logger.addHandler(APILogHandler())
        for handler in logger.handlers:
            if isinstance(handler, APILogHandler) and _inside_a_run not in handler.filters:
                handler.addFilter(_inside_a_run)


def _inside_a_run(_: logging.LogRecord) -> bool:
    """Lines logged outside a run have nowhere to go; without this filter each gives a warning."""
    return FlowRunContext.get() is not None or TaskRunContext.get() is not None
