"""Runs one function over many sources, here or in worker processes that never outlive this one."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

from pipelines.errors import SSTrackError

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_all(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[tuple[Item, Result]]:
    """Yield each item with its result, in the order they finish. One worker means in this process.

    The first exception stops all work. Raises SSTrackError where a worker process dies.
    """
    workers = min(workers, len(items))
    if workers <= 1:
        for item in items:
            yield item, work(item)
        return
    context = get_context("spawn")  # forked children would share our threads' locks and S3 clients
    alive, hold = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_obey, initargs=(alive,))
    try:
        futures = {pool.submit(work, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise SSTrackError(
            "a worker process died, killed or out of memory; what is finished is kept: run the same command again, "
            "with fewer workers if memory is short."
        ) from error
    except BaseException:
        hold.close()  # workers leave at once instead of finishing what nobody waits for
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        hold.close()
        alive.close()


def _obey(alive: Connection) -> None:
    """In a worker: leave Ctrl-C to the parent, and exit as soon as the parent lets go of the pipe or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, args=(alive,), daemon=True).start()


def _leave_with_parent(alive: Connection) -> None:
    alive.poll(None)
    os._exit(1)
