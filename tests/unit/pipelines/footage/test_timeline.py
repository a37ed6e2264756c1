"""Times of packets as recorders, splicers and containers leave them, made one line: every second is told of once."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.footage.timeline import (
    NO_TIME,
    WRAP,
    Clock,
    Follower,
    Packets,
    clock_of,
    last_before_seams,
    uncovered,
    usual_step,
)

TICKS = 90_000


@dataclass(frozen=True)
class Film:
    """Packets in the order of a file, and the truth: when each is shown in the film, in ticks from its beginning."""

    packets: Packets
    shown: np.ndarray
    length: int
    step: int
    spliced: bool
    film_s: float


@st.composite
def films(draw: st.DrawFn) -> Film:
    step = TICKS // draw(st.sampled_from([12, 24, 25, 30, 50]))
    spliced = draw(st.booleans())
    fields = draw(st.booleans())
    pts, dts, shown = [], [], []
    raw = draw(st.sampled_from([-2 * step, 0, 133_500, WRAP - 3 * TICKS]))
    film = pressed = 0
    for number in range(draw(st.integers(1, 5))):
        if number:
            kind = draw(st.sampled_from(["again", "jump", "pause", "on"]))
            rest = {
                "jump": draw(st.integers(11, 30_000)) * TICKS,
                "pause": draw(st.integers(int(1.1 * TICKS), 9 * TICKS)),
            }.get(kind, 0)
            if kind == "again" and TICKS < raw % WRAP < WRAP // 2:  # from further up it would be a wrap
                raw = draw(st.integers(0, raw % WRAP // 3))
            elif (raw + rest) // WRAP == raw // WRAP:  # whether times jump or begin again there, nobody can say
                raw += rest
                film += 0 if spliced and kind == "jump" else rest
        count = draw(st.integers(1, 4)) * 3 + round(0.6 * TICKS / step)
        order = [frame for first in range(0, count, 3) for frame in (first + 2, first, first + 1) if frame < count]
        for place, frame in enumerate(order):
            shown_at = raw + frame * step
            pts.append(shown_at % WRAP if shown_at >= 0 else shown_at)
            decoded = raw + (place - 2) * step
            dts.append(decoded % WRAP if decoded >= 0 else decoded)
            shown.append(film + frame * step)
            if fields:
                pts.append(NO_TIME)
                dts.append(NO_TIME)
                shown.append(NO_TIME)
        raw, film, pressed = raw + count * step, film + count * step, pressed + count * step
    packets = Packets(np.array(pts), np.array(dts), np.full(len(pts), step))
    return Film(packets, np.array(shown), film, step, spliced, pressed / TICKS)


def clock(film: Film) -> Clock:
    return clock_of(film.packets, Fraction(1, TICKS), film.step, spliced=film.spliced)


def pressed_times(film: Film, line: Clock) -> np.ndarray:
    """Pressed times of the timed packets, in the order of the file, as a decoder's process finds them."""
    follower = Follower(line.back)
    found = []
    for pts, dts in zip(film.packets.times.tolist(), film.packets.dts.tolist(), strict=True):
        added = line.offset(follower.see(dts))
        if pts != NO_TIME:
            found.append(line.press(pts + added))
    return np.array(found)


@given(films())
def test_frames_follow_each_other_in_the_order_shown_and_no_pause_is_left_between_them(film: Film) -> None:
    line = clock(film)
    timed = film.shown[film.shown != NO_TIME]
    in_order = pressed_times(film, line)[np.argsort(timed)]
    steps = np.diff(in_order)
    assert (steps > 0).all()
    assert (steps <= max(TICKS, 4 * film.step)).all()


@given(films())
def test_every_frame_is_shown_when_it_was_and_the_film_is_as_long_as_it_is(film: Film) -> None:
    line = clock(film)
    timed = film.shown[film.shown != NO_TIME]
    found = [line.source_ticks(int(tick)) for tick in pressed_times(film, line)]
    assert found == timed.tolist()
    assert line.ticks == film.length


@given(films(), st.sampled_from([5, 10, 24]))
def test_seconds_of_the_film_are_those_of_stored_frames_and_of_pauses(film: Film, fps: int) -> None:
    line = clock(film)
    first, end = (line.press(tick) for tick in (line.first, line.end))
    rate = min(fps, TICKS // film.step)
    stored = round((end - first) / TICKS * rate)
    told = stored / rate + sum(pause.lasts for pause in line.pauses) / TICKS
    assert abs(told - line.ticks / TICKS) <= 1 / rate
    # no filler: each stored frame is near a frame of the film
    frames = np.sort(pressed_times(film, line))
    for number in range(stored):
        wanted = first + number * TICKS / rate
        assert np.abs(frames - wanted).min() <= max(TICKS, 4 * film.step) / 2
    assert abs(stored / rate - film.film_s) <= 1 / rate


@given(films())
def test_what_lies_before_a_jump_is_known(film: Film) -> None:
    line = clock(film)
    seams = last_before_seams(film.packets, line)
    dts = film.packets.dts[film.packets.dts != NO_TIME]
    for before, after in pairwise(dts.tolist()):
        if after < before - line.back:
            assert before in seams


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=8),
    st.integers(1, 60),
)
def test_what_no_span_covers_is_found_to_the_second(spans: list[tuple[int, int]], end: int) -> None:
    holes = uncovered([(float(a), float(a + more)) for a, more in spans], float(end), 1.0)
    covered = {second for a, more in spans for second in range(a, a + more)}
    missing = {second for a, b in holes for second in range(round(a), round(b))}
    assert missing == set(range(end)) - covered


def test_a_stream_without_times_has_a_clock_that_changes_nothing() -> None:
    none = np.full(40, NO_TIME)
    line = clock_of(Packets(none, none, none), Fraction(1, 25), 1, spliced=False)
    assert line.plain and line.first == line.end == 0
    assert usual_step(none, otherwise=7) == 7


def test_a_pause_is_no_splice_where_the_container_does_not_jump() -> None:
    times = np.array([0, 1, 2, 3, 100, 101, 102, 103])
    packets = Packets(times, times, np.ones(8, np.int64))
    still = clock_of(packets, Fraction(1, 4), 1, spliced=False)
    [pause] = still.pauses
    assert (pause.before, pause.after, pause.lasts, pause.still) == (3, 100, 96, True)
    assert still.ticks == 104
    [splice] = clock_of(packets, Fraction(1, 4), 1, spliced=True).pauses
    assert (splice.lasts, splice.still) == (0, False)


def test_a_time_that_no_recorder_writes_adds_none_to_the_film() -> None:
    """What IVF's reader makes of a second file's head, put behind the first."""
    times = np.array([*range(48), 3474615442815844352], np.int64)
    clock = clock_of(Packets(times, times, np.ones(49, np.int64)), Fraction(1, 24), 1, spliced=False)
    assert clock.ticks == 49
    assert [(pause.lasts, pause.still) for pause in clock.pauses] == [(0, False)]
