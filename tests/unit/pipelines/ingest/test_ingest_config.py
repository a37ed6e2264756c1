"""The keys of an ingest: nothing that changes no clip is in them, and they stay what datasets in the world hold."""

import json

import pytest

from pipelines.ingest.config import IngestConfig
from pipelines.ingest.limits import RunLimits

DEFAULT = "25e388fba36ce9ef6f09257420f00051f59a904e292a881898acc57a48e3bca3"
"""Digest of the default settings at stage version 10. It may move with `STAGE_VERSION` alone."""


def test_the_digest_of_the_default_settings_stays() -> None:
    assert IngestConfig().digest == DEFAULT
    assert IngestConfig(long_side=128, min_frames=10).digest != DEFAULT


def test_the_settings_in_a_manifest_keep_their_names_and_order() -> None:
    names = list(json.loads(IngestConfig().model_dump_json()))
    assert names == [
        *("deadline_factor", "segment_seconds", "fetch_mib_s", "memory_mib", "scratch_mib", "attempts"),
        *("retry_seconds", "crashes", "max_failed_share"),
        *("fps", "long_side", "quality", "min_frames", "max_frames", "shard_mib", "cut_level", "cut_ratio"),
        *("confirm_cuts", "score_only", "black_level", "flat_level", "frozen_share", "still_level", "slideshow_share"),
        *(
            "blur_level",
            "overlay_share",
            "crop_bars",
            "deinterlace",
            "dedup",
            "duplicate_bits",
            "duplicate_mirror",
            "min_side",
        ),
        *(
            "seed_seconds",
            "seed_score",
            "seed_finder",
            "pseudo_tracks",
            "pseudo_agree",
            "backend",
            "max_pixels",
            "max_seconds",
            "max_mib",
        ),
    ]


@pytest.mark.parametrize(
    "change",
    [
        *({name: 3} for name in ("deadline_factor", "attempts", "crashes", "retry_seconds", "segment_seconds")),
        *(
            {"pseudo_agree": 0.7},
            {"shard_mib": 1},
            {"dedup": False},
            {"duplicate_bits": 10},
            {"duplicate_mirror": False},
        ),
    ],
    ids=str,
)
def test_what_changes_no_clip_is_in_no_key(change: dict[str, float]) -> None:
    assert IngestConfig.model_validate(change).digest == DEFAULT


@pytest.mark.parametrize(
    "change",
    [
        {"fps": 5},
        {"quality": 90},
        {"cut_level": 11},
        {"blur_level": 0.2},
        {"seed_finder": "both"},
        {"pseudo_tracks": True},
        {"backend": "ffmpeg"},
    ],
    ids=str,
)
def test_what_changes_a_clip_is_in_the_key(change: dict[str, float]) -> None:
    assert IngestConfig.model_validate(change).digest != DEFAULT


@pytest.mark.parametrize(
    ("stage", "amount", "seconds"),
    [("start", 0, 180), ("decode", 100, 980), ("judge", 10, 260), ("fetch", 2**20, 62), ("join", 10 * 2**20, 80)],
)
def test_stages_that_read_have_time_by_bytes_and_all_others_by_the_length_of_the_video(
    stage: str, amount: float, seconds: float
) -> None:
    assert RunLimits().deadline(stage, amount) == seconds
