"""Who does the errands: this process itself, watched worker processes on this machine, or such workers on Ray."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from pipelines.crew.worker import Deadline, Died, Done, Outcome, Raised, Stopped, Work, Worker


@dataclass(frozen=True)
class Told:
    """Errand `number` is in `stage`, with `amount` to do in it (see stages.Tell)."""

    number: int
    stage: str
    amount: float


@dataclass(frozen=True)
class Ended:
    """Errand `number` ended."""

    number: int
    outcome: Outcome


class Crew(Protocol):
    """Does up to `size` errands at once."""

    size: int

    def start(self, number: int, errand: Any) -> None:
        """Begin an errand; at most `size` may be under way."""
        ...

    def news(self, patience: float) -> list[Told | Ended]:
        """What happened since the last call; waits up to `patience` seconds for something to happen."""
        ...


class Here:
    """Does one errand at a time in this process, without limits on it. What it raises is raised, unless that is
    `again`, after which the errand can be tried again."""

    size = 1

    def __init__(self, work: Work, again: type[Exception]) -> None:
        self._work, self._again = work, again
        self._news: list[Told | Ended] = []

    def start(self, number: int, errand: Any) -> None:
        try:
            value = self._work(errand, lambda stage, amount, subject="": self._news.append(Told(number, stage, amount)))
        except self._again as error:
            self._news.append(Ended(number, Raised(error, str(error))))
        else:
            self._news.append(Ended(number, Done(value)))

    def news(self, patience: float) -> list[Told | Ended]:
        news, self._news = self._news, []
        return news


class LocalCrew:
    """`size` worker processes on this machine, each watched by a thread of its own."""

    def __init__(self, size: int, work: Work, deadline: Deadline, memory_mib: float) -> None:
        self.size = size
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        self._workers = [Worker(work, deadline, memory_mib) for _ in range(size)]
        for worker in self._workers:
            self._idle.put(worker)
        self._news: SimpleQueue[Told | Ended | BaseException] = SimpleQueue()
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="crew")

    def start(self, number: int, errand: Any) -> None:
        self._threads.submit(self._run, self._idle.get(), number, errand).add_done_callback(self._check)

    def news(self, patience: float) -> list[Told | Ended]:
        news = []
        try:
            news.append(self._news.get(timeout=patience))
            while True:
                news.append(self._news.get_nowait())
        except Empty:
            pass
        for item in news:
            if isinstance(item, BaseException):
                raise item
        return news

    def close(self) -> None:
        """Stop what runs and end all workers."""
        for worker in self._workers:
            worker.stop()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.close()

    def _run(self, worker: Worker, number: int, errand: Any) -> None:
        outcome = worker.run(errand, lambda stage, amount, subject="": self._news.put(Told(number, stage, amount)))
        self._idle.put(worker)
        self._news.put(Ended(number, outcome))

    def _check(self, future: "Future[None]") -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None and not isinstance(error, Stopped):
            self._news.put(error)


class RayCrew:
    """`size` Ray actors with one core each, every one watching a worker process on its machine."""

    def __init__(self, size: int, work: Work, deadline: Deadline, memory_mib: float) -> None:
        from pipelines import cluster

        self.size = size
        self._make: Callable[[], Any] = lambda: cluster.actor(Worker, work, deadline, memory_mib)
        self._idle = [self._make() for _ in range(size)]
        self._running: dict[Any, tuple[int, Any]] = {}

    def start(self, number: int, errand: Any) -> None:
        actor = self._idle.pop()
        self._running[actor.run.remote(errand, _silent)] = (number, actor)

    def news(self, patience: float) -> list[Told | Ended]:
        from pipelines import cluster

        news: list[Told | Ended] = []
        for reference, result in cluster.finished(list(self._running), patience):
            number, actor = self._running.pop(reference)
            if isinstance(result, cluster.Lost):
                actor, result = self._make(), Died("crashed", f"its Ray node or actor was lost: {result.detail}")
            self._idle.append(actor)
            news.append(Ended(number, result))
        return news

    def close(self) -> None:
        """End all actors and what they run."""
        from pipelines import cluster

        for actor in (*self._idle, *(actor for _, actor in self._running.values())):
            cluster.end(actor)


def _silent(stage: str, amount: float, subject: str = "") -> None:
    """Stages of errands on other machines are not told while they run."""


@contextmanager
def crew(
    workers: int, cluster_address: str, work: Work, deadline: Deadline, memory_mib: float, again: type[Exception]
) -> Iterator[Crew]:
    """A crew that does `work`: on Ray where a cluster is named, here for 0 workers, else in worker processes.

    Args:
        deadline: seconds that a stage may take; `memory_mib`: what one worker may hold with all below it.
        again: what an errand raises to be tried again. All other exceptions end the block where this process works.

    Raises SSTrackError where the cluster cannot be reached.
    """
    if cluster_address:
        from pipelines import cluster

        with cluster.joined(cluster_address, max(1, workers)):
            made = RayCrew(max(1, workers), work, deadline, memory_mib)
            try:
                yield made
            finally:
                made.close()
    elif workers == 0:
        yield Here(work, again)
    else:
        local = LocalCrew(workers, work, deadline, memory_mib)
        try:
            yield local
        finally:
            local.close()
