"""Threads that wait for storage. The standard library's pool has every exit of the process wait for all its work; one
read that a network folder never answers, or a window of shards still to be fetched, would keep it from ending."""

import atexit
import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

_EXIT_PATIENCE_S = 5.0
_pools: "weakref.WeakSet[Threads]" = weakref.WeakSet()

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_Task = tuple[Future[Any], Callable[[], Any]]


class Threads:
    """A fixed number of daemon threads that take work in order."""

    def __init__(self, count: int, name: str) -> None:
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=_work, args=(self._tasks,), name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()
        # Threads know the queue, not this object: one that is dropped unclosed ends its threads too.
        weakref.finalize(self, _end, self._tasks, count).atexit = False
        _pools.add(self)

    def submit(
        self, work: Callable[Arguments, Result], *args: Arguments.args, **named: Arguments.kwargs
    ) -> Future[Result]:
        """Have `work` done by the next free thread. Raises RuntimeError after `close`."""
        future: Future[Result] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("these threads are closed")
            self._tasks.put((future, lambda: work(*args, **named)))
        return future

    def close(self, patience_s: float = 30) -> None:
        """Cancel what has not begun and wait for the rest, at most `patience_s`; what is stuck then is left behind."""
        with self._lock:
            if not self._closed:
                self._closed = True
                _end(self._tasks, len(self._threads))
        deadline = time.monotonic() + patience_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _work(tasks: "queue.SimpleQueue[_Task | None]") -> None:
    while (task := tasks.get()) is not None:
        _do(*task)
        # An idle thread must not keep the memory of a batch.
        del task


def _do(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever asks for the result
        future.set_exception(error)
    else:
        future.set_result(result)


def _end(tasks: "queue.SimpleQueue[_Task | None]", count: int) -> None:
    while True:
        try:
            task = tasks.get_nowait()
        except queue.Empty:
            break
        if task is not None:
            task[0].cancel()
    for _ in range(count):
        tasks.put(None)


@atexit.register
def _leave() -> None:
    """Let running work end, so that no thread is cut off in the middle of it, but do not wait for what is stuck."""
    deadline = time.monotonic() + _EXIT_PATIENCE_S
    for pool in list(_pools):
        pool.close(max(0.0, deadline - time.monotonic()))
