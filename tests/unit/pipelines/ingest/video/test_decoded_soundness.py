"""What a decoder says of packets and frames, and which frames are taken for sound by it."""

from dataclasses import dataclass, replace
from fractions import Fraction
from io import BytesIO

import pytest

from pipelines.footage.timeline import Clock
from pipelines.footage.turn import UPRIGHT
from pipelines.ingest.reject import Unusable
from pipelines.ingest.video.decoding.decode import Decoded, Records, distrusted, soundness
from pipelines.ingest.video.decoding.drain import Ended
from pipelines.ingest.video.jpeg import Colour
from pipelines.ingest.video.task import DecodeTask
from sstrack.clips.letterbox import Bars

TASK = DecodeTask(
    stream=0, time_base=Fraction(1, 100), clock=Clock(Fraction(1, 100), 10, 25), timed=True, rate=Fraction(10),
    turn=UPRIGHT, whole=False, light=None, bars=Bars(), height=36, source=(64, 36), coded=(64, 36), shape=Fraction(1),
    shape_stated=True, planar=True, matrix=2, colour=Colour(), size=(64, 36), fps=Fraction(10), quality=88,
    max_pixels=10_000, end=60,
)  # fmt: skip
ENDED = Ended(0, 2, "what it said")
SOUND = [f"p {tick} {int(tick == 0)} 0" for tick in (0, 10, 20, 30, 40, 50)] + [
    f"f {t} {t} 0" for t in range(0, 60, 10)
]


@dataclass(frozen=True)
class Case:
    """Lines less `without`, with `instead` of some; what is to come of them."""

    instead: dict[str, str]
    corrupt: list[int]
    missing: list[int]


CASES = {
    "all is sound": Case({}, [], []),
    "a flagged frame spoils what follows": Case({"f 30 30 0": "f 30 30 1"}, [30, 40, 50], []),
    "so does a packet that could not be decoded": Case({"p 30 0 0": "p 30 0 1"}, [30, 40, 50], []),
    "up to the next keyframe": Case({"p 20 0 0": "p 20 0 2", "p 40 0 0": "p 40 1 0"}, [20, 30], []),
    "a frame that never came is missing": Case({"f 20 20 0": ""}, [], [20]),
    "a broken one that never came spoils the rest": Case({"p 20 0 0": "p 20 0 1", "f 20 20 0": ""}, [30, 40, 50], [20]),
    "a frame without a packet's time is taken as flagged": Case({"f 30 30 0": "f 30 None 1"}, [30], [30]),
    "a packet without a time shows no loss": Case({"p 30 0 0": "p None 0 0"}, [], []),
}


def judged(lines: list[str], task: DecodeTask = TASK, stored: int = 6) -> Decoded:
    found = Records()
    found.read_pyav(BytesIO("".join(f"{line}\n" for line in lines if line).encode()))
    return soundness(task, found, len(found.ticks), stored, ENDED)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_which_frames_are_sound_and_which_never_came(case: Case) -> None:
    decoded = judged([case.instead.get(line, line) for line in SOUND])
    assert decoded.ticks[decoded.corrupt].tolist() == case.corrupt
    assert decoded.missing.tolist() == case.missing
    assert (decoded.stored, decoded.error_lines, decoded.errors) == (6, 2, "what it said")


def test_a_segment_knows_its_own_frames_alone() -> None:
    lines = [line for line in SOUND if line not in ("f 10 10 0", "f 30 30 0")]
    decoded = judged([line for line in lines if line != "f 0 0 0"], replace(TASK, start=20, stop=50))
    assert decoded.ticks.tolist() == [20, 40]  # the one past its end is dropped
    assert decoded.missing.tolist() == [30]  # what comes before its start is another segment's


def test_times_never_run_backwards() -> None:
    decoded = judged([line.replace("f 30 30", "f 15 30") for line in SOUND])
    assert decoded.ticks.tolist() == [0, 10, 20, 20, 40, 50]


@pytest.mark.parametrize(("lines", "stored"), [([], 0), (SOUND, 0), (SOUND[:6], 6)])
def test_a_video_without_frames_is_undecodable(lines: list[str], stored: int) -> None:
    with pytest.raises(Unusable) as problem:
        judged(lines, stored=stored)
    assert (problem.value.stage, problem.value.reason, problem.value.detail) == ("decode", "undecodable", ENDED.errors)


def test_ffmpeg_says_no_more_than_times_so_that_nothing_is_missing() -> None:
    found = Records()
    found.read_ffmpeg(BytesIO(b"frame:0 pts:0 pts_time:0\nk=1\nframe:1 pts:10 pts_time:0.1\nk=1\n"))
    decoded = soundness(TASK, found, 2, 2, ENDED)
    assert (decoded.ticks.tolist(), decoded.corrupt.any(), len(decoded.missing)) == ([0, 10], False, 0)
    assert distrusted(decoded).corrupt.all()


def test_frames_are_counted_by_what_both_outputs_hold() -> None:
    found = Records()
    found.read_pyav(BytesIO("".join(f"{line}\n" for line in SOUND).encode()))
    assert soundness(TASK, found, 4, 6, ENDED).ticks.tolist() == [0, 10, 20, 30]
