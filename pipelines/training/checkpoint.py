"""Checkpoints of a run: safetensors and JSON in a folder `step_000123`, renamed into place when whole."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from pipelines.errors import SSTrackError

_KEEP = 2


@dataclass(frozen=True)
class RunIdentity:
    """What a checkpoint belongs to; resuming anything else is refused."""

    config_digest: str
    manifest: str


def save_checkpoint(
    folder: Path, step: int, net: nn.Module, optimizer: torch.optim.Optimizer, identity: RunIdentity, skipped: int
) -> Path:
    """Write the state after `step` steps as `folder/step_<step>`; older ones but the last two are removed.

    Raises OSError where the disk refuses; the checkpoints before it stay.
    """
    final = folder / f"step_{step:06d}"
    draft = folder / f".step_{step:06d}.{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    (draft / "net.st").write_bytes(save(weights))  # not save_file: a full disk should be an OSError
    (draft / "optimizer.st").write_bytes(save(_optimizer_tensors(net, optimizer)))
    meta = {
        "step": step,
        "skipped": skipped,
        "config_digest": identity.config_digest,
        "manifest": identity.manifest,
        "torch": torch.__version__,
    }
    (draft / "meta.json").write_text(json.dumps(meta))
    for path in draft.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    shutil.rmtree(final, ignore_errors=True)
    draft.rename(final)
    for old in _checkpoints(folder)[:-_KEEP]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def load_newest(
    folder: Path, net: nn.Module, optimizer: torch.optim.Optimizer, identity: RunIdentity
) -> tuple[int, int]:
    """Fill net and optimiser from the newest checkpoint; `(steps done, steps skipped)`, `(0, 0)` where there is none.

    Raises SSTrackError if the checkpoint is of another configuration or dataset.
    """
    found = _checkpoints(folder)
    if not found:
        return 0, 0
    newest = found[-1]
    meta = json.loads((newest / "meta.json").read_text())
    theirs = RunIdentity(meta["config_digest"], meta["manifest"])
    if theirs != identity:
        raise SSTrackError(
            f"{newest} is of another recipe or dataset ({theirs}); this run is {identity}: use another run folder"
        )
    net.load_state_dict(load_file(newest / "net.st"))
    tensors = load_file(newest / "optimizer.st")
    for name, parameter in net.named_parameters():
        state = {
            kind: tensors[f"{kind}.{name}"] for kind in ("step", "exp_avg", "exp_avg_sq") if f"{kind}.{name}" in tensors
        }
        if state:
            optimizer.state[parameter] = {
                k: v if k == "step" and not optimizer.defaults["fused"] else v.to(parameter.device)
                for k, v in state.items()
            }
    return int(meta["step"]), int(meta["skipped"])


def _optimizer_tensors(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's state by parameter name."""
    return {
        f"{kind}.{name}": value.detach().cpu().contiguous()
        for name, parameter in net.named_parameters()
        for kind, value in optimizer.state.get(parameter, {}).items()
    }


def _checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(path for path in folder.glob("step_*") if (path / "meta.json").is_file())
