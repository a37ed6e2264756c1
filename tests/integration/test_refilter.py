"""Refilter and report: kept scores are enough to judge again, both ways, and the funnel says where the video went."""

import shutil
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from pipelines.dataset.manifest import load_manifest, read_clips, read_rejects
from pipelines.dataset.report.funnel import funnel_of
from pipelines.dataset.report.html import write_report
from pipelines.dataset.report.text import markdown, prometheus_text
from pipelines.errors import SSTrackError, UsageError
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.curate.refilter import refilter
from pipelines.ingest.run import ingest

EVIL = "<img src=x onerror=alert(1)>|`&.mp4"


@pytest.fixture(scope="module")
def videos(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two real films, and a blurred, a frozen and a short one of another, one of them with a hostile name."""
    folder = tmp_path_factory.mktemp("edited")
    edits = {
        EVIL: ("-vf", "scale=640:-2,gblur=sigma=9", "-t", "4"),
        "frozen.mp4": ("-vf", "scale=640:-2,select=eq(n\\,30),loop=-1:1,setpts=N/25/TB", "-t", "4"),
        "short.mp4": ("-vf", "scale=640:-2", "-t", "1"),
    }
    for name, edit in edits.items():
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(real_videos / "01_dog.mp4"), *edit]
        subprocess.run([*command, "-an", "-preset", "veryfast", f"file:{folder / name}"], check=True, timeout=120)
    return [str(real_videos / "action.avi"), str(real_videos / "02_cups.mp4"), *(str(folder / name) for name in edits)]


@pytest.fixture(scope="module")
def everything(videos: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """All of it, whatever it scores."""
    out = str(tmp_path_factory.mktemp("all") / "dataset")
    ingest(videos, out, IngestConfig(long_side=320, score_only=True, dedup=False), workers=0)
    return out


@pytest.fixture
def dataset(everything: str, tmp_path: Path) -> str:
    """A copy of `everything`."""
    out = tmp_path / "dataset"
    shutil.copytree(everything, out)
    return str(out)


def clips(dataset: str) -> dict[str, list[str]]:
    rows = read_clips(dataset, load_manifest(dataset)).to_pylist()
    return {row["clip_id"]: row["verdicts"] for row in rows}


def test_score_only_keeps_all_and_records_what_speaks_against_each(everything: str) -> None:
    found = sorted(tuple(verdicts) for verdicts in clips(everything).values())
    assert found[:2] == [(), ()]
    assert {verdict for verdicts in found for verdict in verdicts} >= {"blurred", "frozen", "too_short"}
    assert len(found) == 5


def test_a_refilter_goes_both_ways_without_new_shards(dataset: str) -> None:
    before = load_manifest(dataset)
    whole = clips(dataset)
    report = refilter(dataset, {"score_only": False})
    child = load_manifest(dataset)
    assert report.published
    assert (child.parent, child.digest) == (before.digest, report.manifest)
    assert report.dropped == {"blurred": 1, "frozen": 1, "too_short": 1}
    assert len(clips(dataset)) == child.totals.clips == 2
    assert set(child.shards) <= set(before.shards)
    assert load_manifest(dataset, before.digest) == before
    rejects = [row for row in read_rejects(dataset, child).to_pylist() if row["stage"] == "refilter"]
    assert {row["clip_id"] for row in rejects} == set(whole) - set(clips(dataset))

    back = refilter(dataset, {"blur_level": 0.0, "frozen_share": 1.0, "still_level": 0.0, "min_frames": 2})
    assert (back.restored, back.lost) == (3, 0)
    assert set(clips(dataset)) == set(whole)
    again = refilter(dataset, {"blur_level": 0.0})
    assert not again.published


def test_an_ingest_under_the_refilters_settings_has_nothing_to_do(dataset: str, videos: list[str]) -> None:
    refilter(dataset, {"score_only": False})
    report = ingest(videos, dataset, IngestConfig(long_side=320, dedup=False))
    assert not report.published


def test_a_dry_run_says_the_same_and_publishes_nothing(dataset: str) -> None:
    before = load_manifest(dataset).digest
    said = refilter(dataset, {"score_only": False}, publish=False)
    assert not said.published
    assert load_manifest(dataset).digest == before
    done = refilter(dataset, {"score_only": False})
    assert (said.dropped, said.clips) == (done.dropped, done.clips)


def test_what_needs_the_video_or_leaves_nothing_is_refused(dataset: str) -> None:
    before = load_manifest(dataset).digest
    with pytest.raises(UsageError, match=r"--set fps: a refilter reads no video"):
        refilter(dataset, {"fps": 5})
    with pytest.raises(UsageError, match="overlay_share"):
        refilter(dataset, {"overlay_share": 7})
    with pytest.raises(SSTrackError, match=r"no clip of .* would be left"):
        refilter(dataset, {"score_only": False, "blur_level": 10})
    assert load_manifest(dataset).digest == before


def test_clips_whose_shards_are_gone_are_counted_as_lost(dataset: str) -> None:
    refilter(dataset, {"score_only": False})
    for path in (Path(dataset) / "manifests").iterdir():
        if path.stem != load_manifest(dataset).digest:
            path.unlink()
    report = refilter(dataset, {"score_only": True})
    assert (report.restored, report.lost) == (0, 3)


def test_the_funnel_accounts_for_every_second(dataset: str) -> None:
    refilter(dataset, {"score_only": False})
    funnel = funnel_of(dataset)
    assert {"manifest", "clips", "shards", "seconds", "sources", "rejects"} <= set(funnel.as_dict())
    assert (funnel.totals["sources"], funnel.judged, funnel.clips) == (5, 5, 2)
    lost = sum(loss.seconds for loss in funnel.losses)
    assert funnel.kept_seconds + lost == pytest.approx(funnel.seconds, abs=0.6)
    assert sum(funnel.histograms["sharpness"].counts) == 2


def test_reports_hold_hostile_names_as_text(dataset: str, tmp_path: Path) -> None:
    refilter(dataset, {"score_only": False})
    funnel = funnel_of(dataset)
    assert any(EVIL in worst.uri for worst in funnel.offenders)
    write_report(funnel, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    assert "data:image/png;base64," in page
    assert "\\|'&.mp4`" in markdown(funnel)
    lines = prometheus_text(funnel).splitlines()
    assert any(line.startswith("sstrack_dataset_dropped{") and 'reason="blurred"' in line for line in lines)
    assert all(line.startswith("#") or line.rpartition(" ")[2].replace(".", "").isdigit() for line in lines)
