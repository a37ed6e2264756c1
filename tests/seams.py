"""Where tests reach into modules by name: paths that no import and no type checker follows, gathered for one edit.

`tests/unit/test_seams.py` sees to it that each is there.
"""

FETCH_OF_SET = "pipelines.ingest.errand.fetch"
DECODE = "pipelines.ingest.video.part.decode"
SETTLED_SECONDS = "pipelines.evaluation.content._SETTLED_S"
WORTH_A_CLUSTER = "pipelines.evaluation.run.WORK_WORTH_A_CLUSTER"
READ_CLIP = "pipelines.frames.read_clip"
EXPORTED_CLIPS = "pipelines.dataset.export.read_clips"
LOADER_SETTINGS = "pipelines.dataset.modes.settings"
RAY_PROCESSORS = "pipelines.training.ray_train.processors"
JOB_SILENCE = "pipelines.jobs._SILENCE_SECONDS"
LARGEST_RESULT = "sstrack.benchmarks.tree.MAX_FILE"
CROP_BY_TAPS = "sstrack.crops._crop_by_taps"

INGEST_MODULES = ["pipelines.ingest.run", "pipelines.ingest.video.cut"]
"""Modules that children which die in an ingest have imported before."""
