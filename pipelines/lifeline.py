"""A process that ends what its maker has started, when the maker is gone without having done it itself.

    python -m pipelines.lifeline NAME VALUE     standard input: the pipe whose other end the maker holds

A byte from the pipe says that all is well; its end without one, that the maker was killed. Then every process that was
started with the environment variable NAME set to VALUE is stopped.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pipelines.processes import marked, stop_processes

PATIENCE_S = 5.0
_LOOKS = 5


@contextmanager
def lifeline(name: str, value: str) -> Iterator[None]:
    """While the block runs, the death of this process ends all that was started with that variable set, within seconds
    and also by SIGKILL."""
    theirs, held = os.pipe()
    environment = {key: given for key, given in os.environ.items() if key != name}
    guard = subprocess.Popen(
        (sys.executable, "-m", "pipelines.lifeline", name, value),
        stdin=theirs, stdout=subprocess.DEVNULL, start_new_session=True, env=environment,
    )  # fmt: skip
    os.close(theirs)
    try:
        yield
    finally:
        with suppress(BrokenPipeError):  # somebody has ended the guard
            os.write(held, b".")
        os.close(held)
        guard.wait()


def main(name: str, value: str) -> None:
    """Wait for the end of the pipe."""
    if os.read(sys.stdin.fileno(), 1):
        return
    for _ in range(_LOOKS):  # what is being ended may start something more meanwhile
        if not (left := marked(name, value)):
            return
        stop_processes(left, PATIENCE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
