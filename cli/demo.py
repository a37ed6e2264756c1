"""The whole story on embedded defaults: video, dataset, training, evaluation, registry, champion.

Runs our flows in Prefect's ephemeral server. Whatever Prefect, Ray and MLflow print goes to a log file; the terminal
shows our stages. Import this module before Prefect is imported: `demo_environment` has to come first.
"""

import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from pipelines.errors import GateRefused, SSTrackError
from pipelines.locks import work_lock

log = logging.getLogger(__name__)

RECIPE = "tiny_cpu"
WORKERS = 2
INGEST = {"long_side": 320, "max_frames": 60}
"""Small frames for a small network, and short clips, so that little video still gives many."""


@dataclass(frozen=True)
class DemoSummary:
    """What the demo ends with; AO in percent."""

    seconds_of_video: float
    clips: int
    rejects: dict[str, int]
    steps: int
    loss_start: float
    loss_end: float
    ao_trained: float
    ao_untrained: float
    ao_static: float
    champion: str | None
    outcome: str
    reasons: tuple[str, ...]
    found: bool
    """True when training and evaluation had been done before."""
    seconds: float
    eval_root: Path
    picture: Path
    """Some held-out sequences with the truth in white and the trained tracker's boxes in green."""
    work: Path


def run_demo(videos: Path | None, work: Path, overrides: Mapping[str, Any], terminal: TextIO) -> DemoSummary:
    """Run every stage that is not done yet.

    Args:
        videos: a folder of the user's videos, or None for the embedded ones.
        work: folder that holds everything the demo makes.
        overrides: fields of the recipe `tiny_cpu` to replace.
        terminal: where stage lines go.

    Raises SSTrackError: a second demo in `work`, no usable video, no space, no permission.
    """
    started = time.monotonic()
    with ExitStack() as closing:
        closing.enter_context(work_lock(work, "demo"))
        demo_environment(work)
        closing.enter_context(noise_to(work / "logs" / "demo.log"))
        closing.enter_context(_stage_lines(terminal, started))
        return _run(videos, work, dict(overrides), started)


def demo_on_terminal(videos: Path | None, work: Path | None, overrides: Mapping[str, Any]) -> None:
    """`run_demo` with stage lines and a closing table on standard output. GateRefused when the gate keeps the model."""
    with os.fdopen(os.dup(1), "w") as terminal:
        if work is None:
            from pipelines.settings import settings

            work = settings().work / "demo"
        summary = run_demo(videos, work, overrides, terminal)
    from rich.console import Console

    from cli.tables import demo_table

    console = Console(soft_wrap=True)
    console.print(demo_table(summary), soft_wrap=False)
    console.print("Next:")
    for line in next_lines(summary):
        console.print(f"  {line}", highlight=False, markup=False)
    if summary.champion is None:
        raise GateRefused(summary.outcome)


def next_lines(summary: DemoSummary) -> list[str]:
    """Commands that go on from here, with absolute paths."""
    sstrack = f"SSTRACK_WORK={summary.work} {Path(sys.executable).with_name('sstrack')}"
    lines = [f"{sstrack} up", f"{sstrack} models list", f"{sstrack} dataset sheet {summary.work / 'dataset'}"]
    if summary.champion is not None:
        sequence = sorted(path.parent for path in summary.eval_root.glob("*/groundtruth.txt"))[0]
        frames = sequence / "img" if (sequence / "img").is_dir() else sequence
        box = ",".join((sequence / "groundtruth.txt").read_text().splitlines()[0].replace(",", " ").split())
        lines.append(f"{sstrack} track {frames} --box {box} --render tracked.mp4")
    return lines


def demo_environment(work: Path) -> None:
    """Everything below `work`, nothing of the user's: Prefect's home and database, MLflow's store, our defaults."""
    if "prefect" in sys.modules:
        raise RuntimeError("demo_environment has to run before Prefect reads its settings")
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "SSTRACK_"))]:
        if name not in ("SSTRACK_FFMPEG", "SSTRACK_WORKERS", "SSTRACK_SHARED"):
            del os.environ[name]
    os.environ.update(
        {
            "SSTRACK_WORK": str(work),
            "PREFECT_HOME": str(work / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            "PREFECT_PLUGINS_ENABLED": "0",
            "DO_NOT_TRACK": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "HF_HUB_OFFLINE": "1",
        }
    )


@contextmanager
def noise_to(path: Path) -> Iterator[None]:
    """Send standard output and error of this process and its children to `path` for the time of the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        for descriptor in kept:
            os.dup2(log, descriptor)
        yield
    finally:
        # Prefect's last words come when this process ends, after the descriptors have been put back.
        logging.getLogger("prefect").setLevel(logging.WARNING)
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, saved in kept.items():
            os.dup2(saved, descriptor)
            os.close(saved)
        os.close(log)


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
    from pipelines.demo_inputs import prepare
    from pipelines.evaluation.pictures import draw_results
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
    picture = work / "tracked.png"
    draw_results(evaluation["trained"]["results"], "folder", str(inputs.eval_root), picture)
    return DemoSummary(
        seconds_of_video=ingested["seconds_in"],
        clips=ingested["clips"],
        rejects=ingested["rejects"],
        steps=training["steps"],
        loss_start=training["loss_start"],
        loss_end=training["loss_end"],
        ao_trained=evaluation["trained"]["metrics"]["AO"],
        ao_untrained=evaluation["untrained"]["metrics"]["AO"],
        ao_static=evaluation["static"]["metrics"]["AO"],
        champion=decision["champion"],
        outcome=decision["outcome"],
        reasons=tuple(decision["reasons"]),
        found=training["found"] and evaluation["trained"]["found"],
        seconds=time.monotonic() - started,
        eval_root=Path(inputs.eval_root),
        picture=picture,
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


@contextmanager
def _stage_lines(terminal: TextIO, started: float) -> Iterator[None]:
    """Our packages' log lines on the terminal, with the seconds since the start."""
    handler = _StageLines(terminal, started)
    # One line per source is for the log file; the funnel comes as one line.
    handler.addFilter(lambda record: not record.name.startswith("pipelines.ingest"))
    loggers = [logging.getLogger(name) for name in ("flows", "pipelines", "sstrack")]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


class _StageLines(logging.Handler):
    def __init__(self, terminal: TextIO, started: float) -> None:
        super().__init__()
        self._terminal, self._started = terminal, started

    def emit(self, record: logging.LogRecord) -> None:
        width = shutil.get_terminal_size((120, 24)).columns if self._terminal.isatty() else None
        line = f"[{time.monotonic() - self._started:5.0f} s] {record.getMessage()}"
        print(line[:width], file=self._terminal, flush=True)
