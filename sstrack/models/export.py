"""The network of one tracking step as a program that runs without us: `torch.export` and ONNX.

What surrounds it (crops, window, box arithmetic, template choice) stays with the caller; `OUTPUTS` says what comes out.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sstrack.models.tracker_net import TrackerNet

INPUTS = ("templates", "search", "query")
OUTPUTS = ("score", "offset", "size", "next_query")


class StepNetwork(nn.Module):
    """A `TrackerNet` with plain tensors in and out.

    In: templates `[B, T, 3, S, S]` (4 channels with `mark_target`) and search region `[B, 3, R, R]`, float RGB in
    0..255; query `[B, C]`, zero at the
    start of a sequence, later the last `next_query`. Out: score `[B, s, s]` in 0..1, offset `[B, 2, s, s]` in cells,
    size `[B, 2, s, s]` over the region's side, and `next_query` `[B, C]`; see `HeadMaps`.
    """

    def __init__(self, net: TrackerNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, templates: Tensor, search: Tensor, query: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        output = self.net(templates, search, query)
        return output.maps.score, output.maps.offset, output.maps.size, output.query


def example_inputs(net: TrackerNet, batch: int, templates: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs of the right shapes and ranges, the same every time."""
    config, generator = net.config, torch.Generator().manual_seed(0)
    device = net.mean.device

    def pictures(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).mul(255).to(device)

    return (
        pictures(batch, templates, config.template_channels, config.template_size, config.template_size),
        pictures(batch, 3, config.search_size, config.search_size),
        torch.zeros(batch, config.width, device=device),
    )


def export_program(net: TrackerNet, templates: int, *, batch: int | None = None) -> torch.export.ExportedProgram:
    """Trace one step with `templates` templates, for `batch` sequences or, with None, any number of them.

    Raises ValueError if the network takes fewer templates than asked for.
    """
    if not 1 <= templates <= net.config.max_templates:
        raise ValueError(f"templates={templates}: this network takes 1 to {net.config.max_templates}")
    size = torch.export.Dim("batch", min=1, max=1024)
    shapes: dict[str, Any] | None = None if batch else {name: {0: size} for name in INPUTS}
    # an example batch of one would be taken for a constant
    inputs = example_inputs(net, batch or 2, templates)
    return torch.export.export(StepNetwork(net.eval()).eval(), inputs, dynamic_shapes=shapes)


def save_onnx(net: TrackerNet, path: Path, templates: int, *, batch: int | None = None) -> None:
    """Write one step as an ONNX file with all weights inside. Needs the packages of the extra `export`.

    Arguments and errors as `export_program`.
    """
    program = export_program(net, templates, batch=batch)
    written = torch.onnx.export(program, input_names=INPUTS, output_names=OUTPUTS, dynamo=True, verbose=False)
    assert written is not None
    written.save(str(path), external_data=False)
