"""Prefect's ephemeral server for one program: woken while other work goes on, gone as soon as the work is done."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

from pipelines.processes import descendants, stop_processes

_PATIENCE_S = 0.5


@contextmanager
def ephemeral_server() -> Iterator[Callable[[], None]]:
    """Start the server in the background; call what the block is given before the first flow, to wait for it.

    At the end logs and events are delivered and every process below this one is stopped. Left to itself the server
    takes five more seconds, as it waits for connections that this process holds open.
    """
    # Imported here: in the thread it would share the interpreter with the block's own imports, and the server, which
    # takes longest, would start later.
    from prefect.client.orchestration import get_client

    def wake() -> None:
        with get_client(sync_client=True) as client:
            client.hello()

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ephemeral-server") as pool:
        woken = pool.submit(wake)
        try:
            yield lambda: woken.result()
        finally:
            wait([woken])  # a server that is stopped while it starts would be waited for until its time limit
            _deliver()
            stop_processes(descendants(os.getpid()), _PATIENCE_S)


def _deliver() -> None:
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for service in (APILogWorker, EventsWorker):
        service.drain_all(timeout=5)
