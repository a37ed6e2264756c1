"""The log of a Ray job as it grows. Ray offers it to asyncio only, so a thread of its own reads it."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_AGAIN_SECONDS = 2.0


class JobLog:
    """Follows one job while the block runs. A connection that breaks is made again, and no line comes twice."""

    def __init__(self, client: Any, job: str) -> None:
        self._client, self._job = client, job
        self._pieces: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._received = 0
        """Characters so far; a new connection begins with the first again."""
        self._line = ""
        self._loop = asyncio.new_event_loop()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="job log", daemon=True)

    def __enter__(self) -> "JobLog":
        self._thread.start()
        self._begun.wait()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    def hand_over(self, on_line: Callable[[str], None], seconds: float) -> None:
        """Give what comes within `seconds` to `on_line`, line by line."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                self._take(self._pieces.get(timeout=left), on_line)
            except queue.Empty:
                return

    def hand_over_rest(self, on_line: Callable[[str], None], whole: str) -> None:
        """Of a job that has ended: give what is left of the `whole` log, the last line also without its end."""
        self.__exit__()
        while not self._pieces.empty():
            self._take(self._pieces.get(), on_line)
        self._take(whole[self._received :], on_line)
        if self._line:
            on_line(self._line)

    def _take(self, piece: str, on_line: Callable[[str], None]) -> None:
        *lines, self._line = (self._line + piece).split("\n")
        for line in lines:
            on_line(line)

    def _run(self) -> None:
        self._task = self._loop.create_task(self._read())
        self._begun.set()
        try:
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._task)
        finally:
            self._loop.close()

    async def _read(self) -> None:
        import aiohttp

        while True:
            behind = self._received
            try:
                async for piece in self._client.tail_job_logs(self._job):
                    new, behind = piece[behind:], max(0, behind - len(piece))
                    if new:
                        self._received += len(new)
                        self._pieces.put(new)
                return
            except (aiohttp.ClientError, RuntimeError, OSError):
                # Whether the job or its head is there is asked elsewhere, and said there.
                await asyncio.sleep(_AGAIN_SECONDS)
