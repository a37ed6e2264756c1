"""Which frames of a damaged video can be trusted, on streams small enough to be written down."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ingest.video.damage import clean_spans, damage_mask, damaged_packets, find_gaps, spans_of

# A letter a packet in the order of decoding: K a keyframe, p one predicted from what was decoded before it, b one that
# is shown before the keyframe it follows (an open group of pictures). A capital X, Y or B is the same, broken.
STREAMS = [
    ("nothing is broken", "KppKpp", "......"),
    ("a broken frame spoils what follows up to the next keyframe", "KXpKpp", ".##..."),
    ("a broken keyframe spoils its whole group", "YppKpp", "###..."),
    ("the last group ends with the video", "KppKXp", "....##"),
    ("before the first keyframe all hangs on what comes first", "XpKpp", "##..."),
    ("damage before a keyframe reaches the frames shown before it and no further", "KXpKbbpp", ".##.##.."),
    ("a broken leading frame hands nothing on", "KppKBbpp", "....##.."),
    ("sound groups around an open one stay sound", "KppKbbpp", "........"),
    ("a broken keyframe spoils the leading frames as well", "KppYbbpp", "...#####"),
]


def stream(letters: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, keys and broken packets of a stream."""
    times, shown = [], 0
    for letter in letters:
        shown += 10
        times.append(shown - 35 if letter in "bB" else shown)
    return (
        np.array(times, np.int64),
        np.array([letter in "KY" for letter in letters]),
        np.array([letter in "XYB" for letter in letters]),
    )


@pytest.mark.parametrize(("letters", "spoilt"), [row[1:] for row in STREAMS], ids=[row[0] for row in STREAMS])
def test_damage_lasts_until_the_next_keyframe(letters: str, spoilt: str) -> None:
    assert "".join(".#"[bad] for bad in damaged_packets(*stream(letters)).tolist()) == spoilt


def test_a_stream_without_packets_has_no_damage() -> None:
    assert damaged_packets(*stream("")).shape == (0,)


@given(st.text("KpbXYB", min_size=1, max_size=40))
def test_what_is_broken_is_damaged_and_a_sound_stream_is_sound(letters: str) -> None:
    times, key, bad = stream(letters)
    damaged = damaged_packets(times, key, bad)
    assert damaged[bad].all()
    assert damaged.any() == bad.any()


@pytest.mark.parametrize(
    ("missing", "gaps"),
    [
        ([], []),
        ([30], [(20, 50)]),
        ([30, 40], [(20, 50)]),  # two in one pause
        ([15], []),  # it shows nothing of its own: there is no pause
        ([0, 90], []),  # before the first and after the last there is no pause between frames
    ],
)
def test_a_missing_frame_is_a_gap_where_it_left_a_pause(missing: list[int], gaps: list[tuple[int, int]]) -> None:
    shown = np.array([10, 20, 50, 60, 70, 80], np.int64)
    assert find_gaps(shown, np.array(missing, np.int64)) == gaps


def test_one_frame_has_no_pause() -> None:
    assert find_gaps(np.array([10], np.int64), np.array([20], np.int64)) == []


@pytest.mark.parametrize(
    ("corrupt", "gaps", "mask"),
    [
        ([], [], "......"),
        ([1], [], ".#...."),  # decoded frame 1 is shown as stored 1
        ([2], [], "..##.."),  # decoded frame 2 is repeated as stored 3
        ([4], [], ".....#"),  # the last is shown until the end
        ([], [(1, 4)], ".###.."),  # what is repeated through a gap
        ([0], [(4, 5)], "#...#."),
    ],
)
def test_stored_frames_are_damaged_as_long_as_they_show_a_damaged_one(
    corrupt: list[int], gaps: list[tuple[int, int]], mask: str
) -> None:
    numbers = np.array([0, 1, 2, 4, 5], np.int64)  # five decoded frames, six stored ones: 3 repeats the third
    flags = np.isin(np.arange(5), corrupt)
    assert "".join(".#"[bad] for bad in damage_mask(numbers, flags, gaps, 6).tolist()) == mask


@given(st.lists(st.booleans(), max_size=50))
def test_spans_cover_what_is_true_and_nothing_else(values: list[bool]) -> None:
    spans = spans_of(np.array(values, np.bool_))
    assert [number for first, end in spans for number in range(first, end)] == [i for i, v in enumerate(values) if v]
    assert all(end < following for (_, end), (following, _) in pairwise(spans))


def test_clean_spans_are_what_damage_leaves_of_a_shot() -> None:
    damage = np.array([c == "#" for c in "..#...##.."])
    assert clean_spans((1, 9), damage) == [(1, 2), (3, 6), (8, 9)]
    assert clean_spans((6, 8), damage) == []
