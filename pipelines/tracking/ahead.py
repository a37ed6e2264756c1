"""Frames read on a thread of their own, so that decoding and tracking overlap."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

Item = TypeVar("Item")
_END = object()


def read_ahead(items: Iterator[Item], depth: int = 4) -> Generator[Item]:
    """`items` in order, at most `depth` of them read before they are asked for.

    Raises what reading raises, in its place. Closing the generator ends the thread when its current item is read.
    """
    ready: queue.Queue[object] = queue.Queue(depth)
    stopped = threading.Event()

    def read() -> None:
        try:
            for item in items:
                ready.put(item)
                if stopped.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - raised again where the item is asked for
            ready.put(_Failed(error))
        else:
            ready.put(_END)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if item is _END:
                return
            if isinstance(item, _Failed):
                raise item.error
            yield item  # pyright: ignore[reportReturnType] - the queue holds items, failures and the end
    finally:
        stopped.set()
        while thread.is_alive():
            try:
                ready.get(timeout=0.05)
            except queue.Empty:
                thread.join(timeout=0.05)


class _Failed:
    def __init__(self, error: Exception) -> None:
        self.error = error
