"""The demo's steps, one after the other: video, dataset, training, evaluation, registry, champion.

Runs our flows in Prefect's ephemeral server. Import this module before Prefect is imported: `demo_environment` has to
come first.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from cli.demo.summary import DemoSummary
from cli.demo.surroundings import demo_environment, noise_to, stage_lines
from pipelines.errors import SSTrackError
from pipelines.locks import work_lock

log = logging.getLogger(__name__)

RECIPE = "fine_tune"
WORKERS = 2
INGEST = {"long_side": 320, "max_frames": 60}
"""Small frames, as search regions are small, and short clips, so that little video still gives many."""


def run_demo(videos: Path | None, work: Path, overrides: Mapping[str, Any], terminal: TextIO) -> DemoSummary:
    """Run every stage that is not done yet.

    Args:
        videos: a folder of the user's videos, or None for the embedded ones.
        work: folder that holds everything the demo makes.
        overrides: fields of the recipe `fine_tune` to replace.
        terminal: where stage lines go.

    Raises SSTrackError: a second demo in `work`, no usable video, no space, no permission.
    """
    started = time.monotonic()
    with ExitStack() as closing:
        closing.enter_context(work_lock(work, "demo"))
        demo_environment(work)
        closing.enter_context(noise_to(work / "logs" / "demo.log"))
        closing.enter_context(stage_lines(terminal, started))
        return _run(videos, work, dict(overrides), started)


def _run(videos: Path | None, work: Path, overrides: dict[str, Any], started: float) -> DemoSummary:
    from flows.ephemeral import ephemeral_server
    from pipelines.ingest.find.sources import discover
    from pipelines.trainings.find import resolve_recipe

    # A typo, or nothing to read, ends the demo before its first stage.
    resolve_recipe(RECIPE, overrides)
    if videos is not None:
        discover([str(videos)])
    log.info("prefect: starting its ephemeral server")
    with ephemeral_server() as wait_for_server:
        return _stages(videos, work, overrides, started, wait_for_server)


def _stages(
    videos: Path | None, work: Path, overrides: dict[str, Any], started: float, wait_for_server: Callable[[], None]
) -> DemoSummary:
    log.info("inputs: preparing videos and held-out sequences under %s", work)
    from cli.demo.picture import draw_picture
    from pipelines.demo_inputs import prepare
    from pipelines.ingest.config import IngestConfig
    from pipelines.settings import settings

    inputs = prepare(work, rendered_videos=videos is None, workers=settings().workers)
    sources = [str(videos)] if videos is not None else list(inputs.videos)
    log.info("prefect: waiting for its ephemeral server")
    wait_for_server()
    from flows.ingest_videos import ingest_videos
    from flows.retrain_tracker import retrain_tracker

    here = settings()
    log.info("ingest: %s", f"{len(sources)} videos" if videos is None else sources[0])
    ingested: Any = ingest_videos(sources, here.dataset, IngestConfig.model_validate(INGEST), here.workers)
    log.info("ingest: %d clips of %.0f s of video", ingested["clips"], ingested["seconds_in"])
    overrides = _with_groups_that_fit(here.dataset, overrides)
    outcome: Any = retrain_tracker(here.dataset, RECIPE, overrides, root=str(inputs.eval_root), workers=WORKERS)
    training, evaluation, decision = outcome["training"], outcome["evaluation"], outcome["decision"]
    log.info("picture: held-out sequences, and clips of the video")
    models = training["package"], evaluation["untrained"]["model"]
    picture = draw_picture(work, here.dataset, inputs.eval_root, evaluation, *models)
    return DemoSummary(
        seconds_of_video=ingested["seconds_in"],
        clips=ingested["clips"],
        rejects=ingested["rejects"],
        steps=training["steps"],
        loss_start=training["loss_start"],
        loss_end=training["loss_end"],
        tuned=evaluation["trained"]["per_sequence"],
        start=evaluation["untrained"]["per_sequence"],
        static=evaluation["static"]["per_sequence"],
        champion=decision["champion"],
        promoted=decision["promoted"],
        outcome=decision["outcome"],
        reasons=tuple(decision["reasons"]),
        found=training["found"] and evaluation["trained"]["found"],
        seconds=time.monotonic() - started,
        eval_root=Path(inputs.eval_root),
        picture=picture,
        report=Path(outcome["report"]),
        work=work,
    )


def _with_groups_that_fit(dataset: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Smaller groups where a few videos give fewer clips with a seed box than the recipe's group takes."""
    from pipelines.dataset.manifest import load_manifest
    from pipelines.dataset.samples import sample_clips
    from pipelines.trainings.find import resolve_recipe

    data = resolve_recipe(RECIPE, overrides).data
    seeded = len(sample_clips(dataset, load_manifest(dataset).digest))
    fitting = seeded // data.groups
    if fitting < 2:
        raise SSTrackError(
            f"{seeded} clip(s) show something that moves, and training needs at least {2 * data.groups}, better 50; "
            "give more videos"
        )
    if fitting >= data.group_size:
        return overrides
    log.info("train: only %d clips have a seed box, so groups hold %d instead of %d", seeded, fitting, data.group_size)
    return {**overrides, "data.group_size": fitting}
