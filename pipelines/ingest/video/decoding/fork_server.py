"""Stands ready to decode: a process that has imported what a decoder needs, and forks one decoder for each video.

Started by `decoders.py`. An own process for each video because a decoder may hang, crash or fill the memory; a fork
because starting Python and importing PyAV and OpenCV takes as long as decoding a second of video.

Over the control socket come lines, each with five descriptors: the JSON task of `pyav_backend.decode`. The answer is
the decoder's process id at once, and its exit status when it has ended. The line `kill` ends a decoder, and so does the
end of the socket, which ends this process too.
"""

import json
import os
import select
import signal
import socket
import traceback

from pipelines.ingest.video.decoding.pyav_backend import decode

KILL = b"kill"
DESCRIPTORS = ("video", "tiny", "records", "frames", "errors")
"""What comes with a task, in this order."""
_MOST_BYTES = 1 << 16


def serve(control: socket.socket) -> None:
    """Do what is asked for until the socket ends."""
    while True:
        data, files, _, _ = socket.recv_fds(control, _MOST_BYTES, len(DESCRIPTORS))
        while data and not data.endswith(b"\n"):
            data += control.recv(_MOST_BYTES)
        if not data:
            return
        line = data.split(b"\n")[-2]
        if line == KILL:
            continue  # it crossed the message that the decoder has ended
        alive, hold = os.pipe()
        child = os.fork()
        if child == 0:
            control.close()
            os.close(alive)
            _decode(line, files)
        for file in (hold, *files):
            os.close(file)
        control.sendall(b"%d\n" % child)
        ended, _, _ = select.select([alive, control], [], [])
        if alive not in ended:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(alive)
        try:
            control.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
        except BrokenPipeError:
            return


def _decode(line: bytes, files: list[int]) -> None:
    """The decoder's process, from its first to its last breath."""
    status = 1
    try:
        named = dict(zip(DESCRIPTORS, files, strict=True))
        os.dup2(named.pop("errors"), 2)
        os.setsid()
        decode(json.loads(line), **named)
        status = 0
    except BrokenPipeError:
        pass  # nobody reads any more
    except BaseException:  # noqa: BLE001 - this process ends here, and says why
        traceback.print_exc()
    finally:
        os._exit(status)


def main(descriptor: int) -> None:
    """Serve over the socket with this descriptor."""
    with socket.socket(fileno=descriptor) as control:
        serve(control)
