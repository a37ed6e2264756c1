"""The ffmpeg backend's command line, built by ffmpeg-python from a decode task."""

import re
import shutil
from typing import Any

import ffmpeg
import imageio_ffmpeg

from pipelines.errors import SSTrackError
from pipelines.footage.timeline import in_words
from pipelines.ingest.video.probe import OPTIONS
from pipelines.ingest.video.task import Chain, DecodeTask
from pipelines.settings import settings

_BROKEN_PACKET = re.compile(r"Packet corrupt \(stream = (\d+), dts = (-?\d+)")
_BROKEN_INPUT = "corrupt input packet in stream"


def ffmpeg_command(task: DecodeTask, file: int, records: int, frames: int) -> list[str]:
    """Arguments of ffmpeg: tiny frames to standard output, their times and the stored frames to the given pipes."""
    seek: dict[str, Any] = {}
    if task.start is not None and task.seek:
        seek = {"ss": f"{float(task.start * task.time_base):.6f}", "seek_timestamp": 1}
    # ffmpeg would take a raw stream's ticks for frames
    rate: dict[str, Any] = {} if task.timed else {"r": str(task.rate)}
    video = ffmpeg.input(
        f"file:/dev/fd/{file}",
        threads=1,
        max_pixels=task.max_pixels,
        **OPTIONS,
        **rate,
        **seek,
    )
    stream = video[str(task.stream)]
    if not task.clock.plain:
        stream = stream.filter("setpts", in_words(task.clock))
    if task.start is not None:
        # one frame past the end says how long the last one before it is shown
        stop = {} if task.stop is None else {"end_pts": task.stop + 1}
        stream = stream.filter("trim", start_pts=task.start, **stop)
    stream = _apply(stream, (*task.fit, *task.upright)).filter_multi_output("split")
    tiny = _apply(stream[0], task.tiny)
    # `print` writes the time of frames that carry a tag only, so each gets one
    tiny = tiny.filter("metadata", mode="add", key="k", value=1)
    tiny = tiny.filter("metadata", mode="print", file=f"pipe:{records}")
    stored = _apply(stream[1], task.stored)
    # in the stream's own ticks: in those of its first frame rate, faster frames would fall on one and be refused
    raw = {"format": "rawvideo", "fps_mode": "passthrough", "enc_time_base": str(task.time_base)}
    outputs = ffmpeg.merge_outputs(ffmpeg.output(tiny, "pipe:1", **raw), ffmpeg.output(stored, f"pipe:{frames}", **raw))
    words = outputs.global_args("-nostdin", "-nostats", "-hide_banner", "-filter_complex_threads", "1")
    words = words.global_args("-v", "repeat+level+warning")
    command: list[str] = words.compile(cmd=binary())
    # flags that take no value, which ffmpeg-python cannot write, stand before the input; filters that begin anew where
    # frames change their size would have forgotten how often times have begun again
    at = command.index("-i")
    return [*command[:at], "-copyts", "-noautorotate", "-noaccurate_seek", "-reinit_filter", "0", *command[at:]]


def is_error(line: str, task: DecodeTask) -> bool:
    """Whether a line of ffmpeg's log speaks of damage to the film; that a frame is corrupt it takes for a warning."""
    if broken := _BROKEN_PACKET.search(line):
        return int(broken[1]) == task.stream and int(broken[2]) not in task.seams
    if _BROKEN_INPUT in line:  # says again what the line before said of the packet
        return False
    return "[error]" in line or "[fatal]" in line or "[panic]" in line or "corrupt" in line


def binary() -> str:
    """The ffmpeg that the settings ask for. Raises SSTrackError where there is none."""
    if settings().ffmpeg == "bundled":
        return imageio_ffmpeg.get_ffmpeg_exe()
    found = shutil.which("ffmpeg")
    if found is None:
        raise SSTrackError("SSTRACK_FFMPEG is 'system' but no ffmpeg is on the PATH; install one or set 'bundled'.")
    return found


def _apply(stream, chain: Chain):
    for name, options in chain:
        stream = stream.filter(name, **options)
    return stream
