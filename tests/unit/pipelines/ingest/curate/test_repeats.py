"""Which of several clips that show the same stays, on clips that are written down rather than decoded."""

from collections.abc import Iterable
from itertools import permutations

import cv2
import numpy as np
import pytest

from pipelines.ingest.curate.dedup import repeats, without_repeats
from pipelines.ingest.pack import Pack, SourceRecord
from pipelines.ingest.publish.tables import CLIPS, clip_rows
from sstrack.clips.clip import Box, Clip
from sstrack.clips.hashing import Hashes, clip_hash, hashes_of
from sstrack.clips.matching import MatchRule

RULE = MatchRule()


def picture(seed: int, noise: float = 0.0) -> bytes:
    """The hash of six seconds of a camera that pans over a scene of its own."""
    rng = np.random.default_rng(seed)
    scene = cv2.resize(rng.uniform(0, 255, (9, 40)).astype(np.float32), (480, 27), interpolation=cv2.INTER_CUBIC)
    frames = np.stack([scene[:, 6 * number : 6 * number + 48] for number in range(30)])
    frames = frames + np.random.default_rng(99).normal(0, noise, frames.shape) if noise else frames
    return clip_hash(frames.clip(0, 255).astype(np.uint8))


ONE, LIKE_ONE, OTHER = picture(1), picture(1, noise=2.0), picture(2)


def clip(name: str, phash: bytes = ONE, boxes: tuple[Box | None, ...] | None = None, sharpness: float = 0.3) -> Clip:
    scores = {"sharpness": sharpness}
    return Clip(name, name[0] * 64, 0.0, 6.0, 10.0, 60, 64, 36, scores, (), "c", (), phash.hex(), boxes)


def pack(made: Clip, width: int = 640, bytes_a_frame: int = 100) -> Pack:
    record = SourceRecord(made.source_id, made.source_id, 1, "c", width=width, height=360, clips=1)
    places = tuple((number * bytes_a_frame, bytes_a_frame) for number in range(made.frames))
    return Pack(record, ((made, places),), ())


def kept(packs: Iterable[Pack]) -> set[str]:
    return {made.clip_id for each in packs for made, _ in each.clips}


@pytest.mark.parametrize(
    ("packs", "stays"),
    [
        ([pack(clip("a")), pack(clip("b"), width=1280)], "b"),  # the larger picture
        ([pack(clip("a", sharpness=0.2)), pack(clip("b", sharpness=0.4))], "b"),  # then the sharper
        ([pack(clip("a")), pack(clip("b"), bytes_a_frame=200)], "b"),  # then the one with more bytes a frame
        ([pack(clip("a")), pack(clip("b"))], "a"),  # then whatever decides
        ([pack(clip("a")), pack(clip("b", OTHER))], "ab"),
        ([pack(clip("a")), pack(clip("b", b""))], "ab"),  # what has no hash repeats nothing
        ([pack(clip("a")), pack(clip("b", boxes=((0.0, 0.0, 9.0, 9.0),)))], "ab"),  # two targets of one film
    ],
)
def test_the_better_clip_stays_in_whatever_order_they_come(packs: list[Pack], stays: str) -> None:
    for order in permutations(packs):
        assert kept(without_repeats(order, CLIPS.empty_table(), RULE)) == set(stays)


def test_what_goes_is_a_row_that_names_what_it_repeats() -> None:
    first, second = without_repeats([pack(clip("a")), pack(clip("b"))], CLIPS.empty_table(), RULE)
    assert (first.source.clips, first.rejects, second.source.clips) == (1, (), 0)
    [row] = second.rejects
    assert (row.stage, row.reason, row.clip_id, row.duplicate_of) == ("dedup", "identical", "b", "a")
    assert (row.start_s, row.end_s) == (0.0, 6.0)


def test_a_clip_of_the_dataset_stays_whatever_comes_and_one_that_is_replaced_does_not_count() -> None:
    present = clip_rows([(clip("z"), "shard", "digest")])
    assert kept(without_repeats([pack(clip("a"), width=4000)], present, RULE)) == set()
    assert kept(without_repeats([pack(clip("z"))], present, RULE)) == {"z"}


def test_without_a_rule_all_stay() -> None:
    assert kept(without_repeats([pack(clip("a")), pack(clip("b"))], CLIPS.empty_table(), None)) == {"a", "b"}


def ranked(*hashes: bytes) -> dict[str, Hashes]:
    return {"abcdef"[number]: hashes_of(data) for number, data in enumerate(hashes)}


@pytest.mark.parametrize(
    ("hashes", "fixed", "gone"),
    [
        ((), 0, {}),
        ((ONE,), 0, {}),
        ((ONE, OTHER), 0, {}),
        ((ONE, ONE), 0, {"b": ("identical", "a")}),
        ((ONE, ONE), 2, {}),  # fixed ones are not judged against each other
        ((ONE, ONE, ONE), 1, {"b": ("identical", "a"), "c": ("identical", "a")}),  # never of one that goes itself
        ((ONE, OTHER, ONE), 0, {"c": ("identical", "a")}),
        ((ONE, ONE[: 72 * 8]), 0, {"b": ("near_duplicate", "a")}),  # a part of it is not the whole
        ((ONE, LIKE_ONE), 0, {"b": ("near_duplicate", "a")}),
    ],
)
def test_a_clip_repeats_one_before_it_that_stays(
    hashes: tuple[bytes, ...], fixed: int, gone: dict[str, tuple[str, str]]
) -> None:
    found = repeats(ranked(*hashes), fixed, RULE)
    assert {name: (repeat.reason, repeat.duplicate_of) for name, repeat in found.items()} == gone
