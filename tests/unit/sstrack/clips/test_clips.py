"""Clips: cuts are found and never lie inside a span, verdicts follow the scores, records survive JSON."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sstrack.clips.clip import Clip, SeedBox, clip_key
from sstrack.clips.luma import LumaTrack
from sstrack.clips.regions import best_rectangles
from sstrack.clips.shots import find_cuts, find_fades, shot_spans, split_span


def test_a_cut_between_two_scenes_is_found_at_its_frame() -> None:
    change = np.full(60, 3.0, np.float32)
    change[[20, 41]] = 40
    assert find_cuts(change, level=10, ratio=2.5).tolist() == [20, 41]


@pytest.mark.parametrize("every", [1, 2, 3])
def test_fast_motion_is_no_cut_even_where_frames_are_doubled(every: int) -> None:
    change = np.zeros(90, np.float32)
    change[::every] = 25 + np.random.default_rng(0).normal(0, 2, len(change[::every]))
    assert len(find_cuts(change, level=10, ratio=2.5)) == 0


def test_a_fade_through_black_parts_two_shots() -> None:
    assert find_fades(np.array([False, False, True, True, False])).tolist() == [2, 4]


@given(st.lists(st.integers(0, 300), max_size=12), st.integers(1, 300), st.integers(0, 3))
def test_no_span_holds_a_cut_and_spans_do_not_overlap(cuts: list[int], frames: int, margin: int) -> None:
    spans = shot_spans(np.unique(np.array(cuts, np.int64)), frames, margin)
    for first, end in spans:
        assert 0 <= first < end <= frames
        assert not any(first < cut < end for cut in cuts)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


@given(st.integers(0, 500), st.integers(1, 500), st.integers(1, 200))
def test_a_split_span_is_covered_by_equal_parts(first: int, length: int, longest: int) -> None:
    parts = split_span((first, first + length), longest)
    sizes = [end - start for start, end in parts]
    assert sum(sizes) == length
    assert parts[0][0] == first
    assert parts[-1][1] == first + length
    assert max(sizes) <= longest
    assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 12))
def test_measures_do_not_depend_on_how_frames_arrive(pieces: list[int], lag: int) -> None:
    frames = np.random.default_rng(1).integers(0, 255, (sum(pieces), 9, 16), dtype=np.uint8)
    whole, parts = LumaTrack(lag), LumaTrack(lag)
    whole.add(frames)
    for piece in np.split(frames, np.cumsum(pieces)[:-1]):
        parts.add(piece)
    np.testing.assert_array_equal(whole.measures(), parts.measures())


@given(st.integers(2, 20), st.integers(2, 20), st.integers(6, 18), st.integers(6, 18))
def test_the_best_rectangle_is_the_block_of_evidence(top: int, left: int, height: int, width: int) -> None:
    gain = np.full((44, 44), -0.5, np.float32)
    gain[top : top + height, left : left + width] = 0.5
    (span, total), *rest = best_rectangles(gain, 3)
    assert span == (top, top + height, left, left + width)
    assert total == pytest.approx(height * width / 2)
    assert rest == []


def test_a_clip_survives_json() -> None:
    clip = Clip("ab", "cd", 0.5, 2.5, 10.0, 20, 320, 180, {"motion": 3.0}, (SeedBox((1, 2, 3, 4), 0.5, "x"),), "e")
    assert Clip.from_dict(json.loads(json.dumps(clip.as_dict()))) == clip


def test_clip_keys_change_with_all_they_are_made_of() -> None:
    keys = {clip_key("a", 0, 9, "c"), clip_key("b", 0, 9, "c"), clip_key("a", 1, 9, "c"), clip_key("a", 0, 9, "d")}
    assert len(keys) == 4
    assert all(len(key) == 20 and key.isalnum() for key in keys)
