"""An exported network gives what the original gives, on real frames, for any number of sequences."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

from cli.main import app
from pipelines.errors import SSTrackError
from pipelines.frames import read_clip
from pipelines.tracking.export import export_model
from sstrack.configs.recipe import Recipe
from sstrack.crops import crop, square_region
from sstrack.models.export import INPUTS
from sstrack.models.package import load_package, save_package
from sstrack.models.tracker_net import TrackerNet
from sstrack.recipes import recipe, recipe_names
from tests.factories import TINY, write_package


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "package"
    write_package(folder)
    return folder


def real_inputs(package: Path, video: Path, batch: int, templates: int) -> tuple[torch.Tensor, ...]:
    net = load_package(package)[0].config
    frame = torch.from_numpy(next(read_clip(video))).permute(2, 0, 1)[None].float()
    boxes = [torch.tensor([[40.0 + 25 * n, 50.0, 60.0, 40.0]]) for n in range(batch)]
    search = [crop(frame, square_region(box, net.search_factor), net.search_size) for box in boxes]
    pictures = [crop(frame, square_region(box, net.template_factor), net.template_size) for box in boxes]
    return torch.stack(pictures).expand(-1, templates, -1, -1, -1), torch.cat(search), torch.zeros(batch, net.width)


def test_onnx_runtime_agrees_with_the_model_on_real_frames(package: Path, real_videos: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", "--model", str(package), "--out", str(tmp_path / "step.onnx")])
    assert done.exit_code == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["step.onnx"]
    net, config = load_package(package)
    session = onnxruntime.InferenceSession(str(tmp_path / "step.onnx"), providers=["CPUExecutionProvider"])
    for batch in (1, 4):
        inputs = real_inputs(package, real_videos / "nasa_13013.mp4", batch, 1 + config.tracking.memory)
        with torch.inference_mode():
            output = net(*inputs)
        names = ("templates", "search", "query")
        found = session.run(None, {name: value.numpy() for name, value in zip(names, inputs, strict=True)})
        for ours, theirs in zip(
            (output.maps.score, output.maps.offset, output.maps.size, output.query), found, strict=True
        ):
            np.testing.assert_allclose(ours.numpy(), np.asarray(theirs), atol=1e-3)


def outputs(path: Path, inputs: tuple[torch.Tensor, ...]) -> list[np.ndarray]:
    """What an exported file gives."""
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return [
            np.asarray(value)
            for value in session.run(None, {name: value.numpy() for name, value in zip(INPUTS, inputs, strict=True)})
        ]
    with path.open("rb") as file, torch.inference_mode():
        return [value.numpy() for value in torch.export.load(file).module()(*inputs)]


def exported_agrees(recipe_: Recipe, video: Path, folder: Path, *, fixed: bool) -> None:
    """Both formats, on crops of a real frame and with the query of the frame before, all templates in use."""
    torch.manual_seed(0)
    package = save_package(folder / "package", TrackerNet(recipe_.net), recipe_, {"step": 0})
    net, _ = load_package(package)
    for name in ("step.onnx", "step.pt2"):
        done = export_model(
            str(package), folder / name, "onnx" if name.endswith("onnx") else "torch", batch=2 if fixed else None
        )
        assert done.templates == 1 + recipe_.tracking.memory and done.difference <= 1e-3
        for batch in (2,) if fixed else (1, 3):
            templates, search, query = real_inputs(package, video, batch, done.templates)
            with torch.inference_mode():
                query = net(templates, search, query).query
                output = net(templates, search, query)
            expected = (output.maps.score, output.maps.offset, output.maps.size, output.query)
            for ours, theirs in zip(expected, outputs(folder / name, (templates, search, query)), strict=True):
                np.testing.assert_allclose(theirs, ours.numpy(), atol=1e-3)
        (folder / name).unlink()


def test_candidate_elimination_survives_an_export(real_videos: Path, tmp_path: Path) -> None:
    changes = {**TINY, "net.depth": 4, "net.keep_ratio": 0.7}
    exported_agrees(recipe("tiny_cpu", changes), real_videos / "nasa_13013.mp4", tmp_path, fixed=False)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_exports_in_both_formats(name: str, fixed: bool, real_videos: Path, tmp_path: Path) -> None:
    exported_agrees(recipe(name), real_videos / "nasa_13013.mp4", tmp_path, fixed=fixed)


def test_a_fixed_batch_loads_with_torch_alone(package: Path, real_videos: Path, tmp_path: Path) -> None:
    done = export_model(str(package), tmp_path / "step.pt2", "torch", templates=1, batch=2)
    assert done.difference <= 1e-5
    inputs = real_inputs(package, real_videos / "nasa_13013.mp4", 2, 1)
    with (tmp_path / "step.pt2").open("rb") as file:
        program = torch.export.load(file).module()
    with torch.inference_mode():
        score = program(*inputs)[0]
        torch.testing.assert_close(score, load_package(package)[0](*inputs).maps.score, atol=1e-5, rtol=0)


def test_wrong_exports_are_refused_and_leave_nothing(package: Path, tmp_path: Path) -> None:
    with pytest.raises(SSTrackError, match="templates=99: this network takes 1 to"):
        export_model(str(package), tmp_path / "step.onnx", "onnx", templates=99)
    wrong = CliRunner().invoke(app, ["export", "--model", str(package), "--out", str(tmp_path / "step.txt")])
    assert wrong.exit_code == 2 and ".onnx or .pt2" in wrong.stderr
    assert not list(tmp_path.iterdir())
