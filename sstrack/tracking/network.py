"""The network as a tracker calls it, frame after frame: eager, compiled, or replayed as CUDA graphs.

At batch 1 a step is hundreds of small kernels, and launching them one by one takes the host longer than running them
takes the GPU. A graph replays all of them with one call.
"""

import os
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sstrack.models.head import HeadMaps
from sstrack.models.tracker_net import TrackerNet

Forward = Callable[[Tensor, Tensor, Tensor], tuple[HeadMaps, Tensor]]
"""Templates `[B, T, 3, S, S]`, search `[B, 3, R, R]`, query `[B, C]` -> maps and next query, all float32."""

_WARM_UP = 3
"""Calls before a capture: libraries choose their kernels and allocate their workspaces in the first ones."""


def forward_of(
    net: TrackerNet, precision: Literal["float32", "bfloat16"], *, compiled: bool = False, graphed: bool = False
) -> Forward:
    """The network's step, results equal within float tolerance whichever way it runs.

    Args:
        net: on the device where it is to run, in evaluation mode.
        precision: arithmetic of the matrix products.
        compiled: through `torch.compile`, which takes a minute for the first frames; needs a C++ compiler on a CPU.
        graphed: captured as CUDA graphs; both may be asked for.

    Raises ValueError if `graphed` is asked for without a CUDA device, or `compiled` on a CPU without a C++ compiler.
    """
    device = net.mean.device.type
    if graphed and device != "cuda":
        raise ValueError(
            f"graphed=True: CUDA graphs need the network on a CUDA device, and this one is on {device}; leave it out "
            "here, or use compiled=True"
        )
    if compiled and device == "cpu" and not any(map(shutil.which, (os.environ.get("CXX", ""), "g++", "clang++"))):
        raise ValueError(
            "compiled=True: torch.compile needs a C++ compiler on a CPU, and there is no g++ or clang++; install one, "
            "name it in CXX, or leave the option out"
        )
    lowered = _with_bfloat16_weights(net) if precision == "bfloat16" else net
    call = torch.compile(lowered) if compiled else lowered

    def forward(templates: Tensor, search: Tensor, query: Tensor) -> tuple[HeadMaps, Tensor]:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False):
            output = call(templates, search, query)
        maps = output.maps
        return HeadMaps(maps.score.float(), maps.offset.float(), maps.size.float()), output.query.float()

    return _Graphed(forward) if graphed else forward


def _with_bfloat16_weights(net: TrackerNet) -> TrackerNet:
    """A copy whose matrix products hold bfloat16 weights: what autocast makes of them in every call, made once."""
    copy = deepcopy(net)
    for module in copy.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.to(torch.bfloat16)
    return copy


@dataclass(frozen=True)
class _Capture:
    """A graph and the tensors that it reads and writes."""

    graph: "torch.cuda.CUDAGraph"
    inputs: tuple[Tensor, ...]
    maps: HeadMaps
    query: Tensor


class _Graphed:
    """One CUDA graph per number of templates and batch size; batches are filled up to the next power of two, so that
    slots which run empty at the end do not each ask for a capture of their own."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._captures: dict[tuple[int, int], _Capture] = {}
        self._pool = torch.cuda.graph_pool_handle()

    @torch.inference_mode()
    def __call__(self, templates: Tensor, search: Tensor, query: Tensor) -> tuple[HeadMaps, Tensor]:
        count = len(search)
        key = (templates.shape[1], 1 << (count - 1).bit_length())
        if key not in self._captures:
            self._captures[key] = self._capture((templates, search, query), key[1])
        one = self._captures[key]
        for held, given in zip(one.inputs, (templates, search, query), strict=True):
            held[:count].copy_(given)
        one.graph.replay()
        # Copies, as the next replay of any graph in this pool writes over these.
        maps = HeadMaps(*(value[:count].clone() for value in (one.maps.score, one.maps.offset, one.maps.size)))
        return maps, one.query[:count].clone()

    def _capture(self, like: tuple[Tensor, ...], size: int) -> _Capture:
        inputs = tuple(value.new_zeros(size, *value.shape[1:]) for value in like)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                self._forward(*inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Only this thread is held to what a capture allows: reading threads allocate and copy all the while.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            maps, query = self._forward(*inputs)
        return _Capture(graph, inputs, maps, query)
