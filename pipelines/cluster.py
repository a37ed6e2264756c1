"""Ray on this machine: the only module that starts or stops it."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

OBJECT_STORE_BYTES = 100 * 1024 * 1024
"""Paths and small tables travel through the object store, never frames or weights. Ray refuses less than 75 MiB."""

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A private cluster on the loopback: a token would be written to the user's home for nothing.
    "RAY_AUTH_MODE": "disabled",
    # Keep accelerators visible to tasks that ask for none: Ray warns that this becomes its own default.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextmanager
def local_cluster(cpus: int) -> Iterator[None]:
    """Ray with `cpus` cores for the time of the block. A cluster that this process already started is used and left.

    `address="local"` keeps away from any other Ray on the machine, also from the stale address file that a killed
    one leaves behind.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(
        address="local",
        num_cpus=cpus,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
        logging_level=logging.WARNING,
    )
    try:
        yield
    finally:
        ray.shutdown()


def run_tasks(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> Iterator[int]:
    """Run `function` once per tuple of arguments, one core each, and yield the index of each call as it ends.

    The first failure stops the others and is raised as it was in the task. Needs a `local_cluster`.
    """
    import ray
    from ray.exceptions import RayTaskError

    remote = ray.remote(num_cpus=1, max_retries=1)(function)
    running = {remote.remote(*args): index for index, args in enumerate(arguments)}
    try:
        while running:
            ended, _ = ray.wait(list(running), num_returns=1)
            ray.get(ended[0])
            yield running.pop(ended[0])
    except RayTaskError as error:
        raise error.cause from error
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
