"""A model as a file that runs without us, checked against the original before it gets its name."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pipelines import storage
from pipelines.errors import SSTrackError
from pipelines.registry.models import resolve_model

if TYPE_CHECKING:
    from sstrack.models.tracker_net import TrackerNet

Format = Literal["onnx", "torch"]
TOLERANCE = 1e-3
"""Largest difference of any output from the original's that passes: scores and sizes lie in 0..1, offsets in cells."""


@dataclass(frozen=True)
class Exported:
    """A written file."""

    model: str
    path: str
    format: Format
    templates: int
    batch: int | None
    """Sequences per call, None for any number."""
    difference: float
    """Largest difference of an output from the original's on the same pictures."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return dataclasses.asdict(self)


def export_model(
    model: str, out: Path, format: Format, *, templates: int | None = None, batch: int | None = None
) -> Exported:
    """Write the network of `model` to `out`, whole or not at all.

    Args:
        model: a model URI, see `resolve_model`.
        out: the file to write.
        format: `onnx`, or `torch` for a file that `torch.export.load` reads.
        templates: number of template crops per sequence; by default as many as the model tracks with.
        batch: sequences per call; None for any number.

    Raises SSTrackError: no such model, too many templates, a missing package, an export that differs from the original.
    """
    import torch

    from sstrack.models.export import export_program, save_onnx
    from sstrack.models.package import load_package

    net, recipe = load_package(resolve_model(model))
    count = templates or 1 + recipe.tracking.memory
    try:
        with storage.new_file(out) as draft:
            if format == "onnx":
                save_onnx(net, draft, count, batch=batch)
            else:
                with draft.open("wb") as file:
                    torch.export.save(export_program(net, count, batch=batch), file)
            difference = max(_difference(net, draft, format, count, n) for n in ([batch] if batch else [1, 3]))
            if not difference <= TOLERANCE:
                raise SSTrackError(
                    f"the exported {out.name} differs from {model} by {difference:.2g}; nothing is written"
                )
    except ValueError as error:
        raise SSTrackError(str(error)) from error
    except ImportError as error:
        raise SSTrackError(f"{error}; exporting needs: pip install 'sstrack[export]'") from error
    return Exported(model, str(out), format, count, batch, difference)


def _difference(net: "TrackerNet", path: Path, format: Format, templates: int, batch: int) -> float:
    import torch

    from sstrack.models.export import INPUTS, StepNetwork, example_inputs

    inputs = example_inputs(net, batch, templates)
    with torch.inference_mode():
        expected = [output.numpy() for output in StepNetwork(net)(*inputs)]
    if format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        arrays = {name: value.numpy() for name, value in zip(INPUTS, inputs, strict=True)}
        found = [np.asarray(output) for output in session.run(None, arrays)]
    else:
        with path.open("rb") as file, torch.inference_mode():
            found = [output.numpy() for output in torch.export.load(file).module()(*inputs)]
    return max(float(np.abs(a - b).max()) for a, b in zip(expected, found, strict=True))
