"""Wrap a model package as an MLflow pyfunc that runs without this repository: our weights, our config, our code."""

import importlib.metadata
import json
import logging
import shutil
import tempfile
from pathlib import Path

import mlflow.pyfunc
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.models.model import MLMODEL_FILE_NAME, Model

import pipelines
import pipelines.registry.runs
import sstrack

log = logging.getLogger(__name__)

REQUIREMENTS = (
    "av",
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pydantic",
    "safetensors",
    "timm",
    "torch",
    "torchvision",
)
"""What the served tracker imports, pinned to the versions at hand. Listed, so that MLflow need not import and guess."""

EXAMPLE = [{"source": "clip.mp4", "box": [120.0, 80.0, 64.0, 48.0]}]
"""A request: the file to track in and the target's box on its first frame."""

MODEL_FILE = Path(__file__).with_name("serving_model.py")


def log_package(
    client: MlflowClient, experiment: str, run_id: str, package: Path, name: str, tags: dict[str, str]
) -> str:
    """Store `package` as a LoggedModel of the run and return its id.

    Args:
        client: of the store that keeps it.
        experiment: id of the experiment that the model belongs to.
        run_id: the training that made it.
        package: folder with weights.safetensors and config.json.
        name: what the model is called in the experiment.
        tags: set on the LoggedModel.
    """
    model = client.create_logged_model(experiment, name=name, source_run_id=run_id, tags=tags, model_type="tracker")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            save_pyfunc(package, folder, Model(run_id=run_id, model_id=model.model_id))
            client.log_model_artifacts(model.model_id, str(folder))
    except BaseException:
        client.finalize_logged_model(model.model_id, "FAILED")
        raise
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])  # the run's page links to it
    log.info("stored the model package as %s", model.model_id)
    return model.model_id


def save_pyfunc(package: Path, folder: Path, model: Model | None = None) -> None:
    """Write the pyfunc into the new `folder`: `artifacts/` is the package again, `code/` is our code."""
    with tempfile.TemporaryDirectory() as scratch:
        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(MODEL_FILE),
            artifacts={"weights": str(package / "weights.safetensors"), "config": str(package / "config.json")},
            code_paths=[str(path) for path in _code(Path(scratch))],
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in REQUIREMENTS],
            mlflow_model=model,
        )
        _describe(folder)


def _describe(folder: Path) -> None:
    """Add the example, which MLflow itself would try to run. It notes where files came from; a reader of the package
    needs only where they are in it."""
    described = Model.load(str(folder))
    flavor = described.flavors["python_function"]
    flavor["model_code_path"] = Path(flavor["model_code_path"]).name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    for name, content in (("input_example.json", EXAMPLE), ("serving_input_example.json", {"inputs": EXAMPLE})):
        (folder / name).write_text(json.dumps(content))
    described.saved_input_example_info = {
        "artifact_path": "input_example.json",
        "serving_input_path": "serving_input_example.json",
        "type": "json_object",
    }
    described.save(str(folder / MLMODEL_FILE_NAME))


def _code(scratch: Path) -> list[Path]:
    """The domain, and of the pipelines only the clip reader with its room: they need nothing else of ours."""
    home = scratch / "pipelines"
    home.mkdir()
    source = Path(pipelines.__path__[0])
    for name in ("__init__.py", "frames.py"):
        shutil.copy(source / name, home / name)
    shutil.copytree(source / "footage", home / "footage", ignore=shutil.ignore_patterns("__pycache__"))
    domain = scratch / "sstrack"
    # Less the weights that ship: a version has its own.
    ours = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(Path(sstrack.__path__[0]), domain, ignore=ours)
    return [domain, home]
