"""Checkpoints of a run: safetensors and JSON under `step_000123/`, in a local folder or on s3://.

A checkpoint is there when its `meta.json` is, which names every file with its sha256 and is written last. Nothing is
ever unpickled.
"""

import hashlib
import json
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from pipelines import storage
from pipelines.errors import SSTrackError
from pipelines.training.spec import RunIdentity
from pipelines.training.state import Tensors

log = logging.getLogger(__name__)

_FORMAT = 2
_META = "meta.json"
_MOST_MISSED = 2
"""Checkpoints in a row that a remote store may refuse before the training ends."""


@dataclass(frozen=True)
class Checkpoint:
    """The state after some steps."""

    step: int
    tensors: Tensors
    facts: dict[str, Any] = field(default_factory=dict)
    """JSON types: steps skipped, what validation found."""


class Checkpoints:
    """The checkpoints of one run. Saving happens on a thread, one at a time, while the training goes on."""

    def __init__(self, uri: str, identity: RunIdentity, keep: int = 2) -> None:
        """`keep`: newest ones that stay, beside the one that is marked as the best."""
        self.uri, self._identity, self._keep = uri, identity, keep
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._saving: Future[None] | None = None
        self._missed = 0

    def steps(self) -> list[int]:
        """Steps of the whole checkpoints, ascending."""
        return sorted(step for step, names in self._folders().items() if _META in names)

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that can be read whole, None where there is none.

        A damaged one is passed over with a warning. Raises SSTrackError if it is of another configuration or dataset.
        """
        for step in reversed(self.steps()):
            try:
                return self.load(step)
            except DamagedCheckpoint as error:
                log.warning("%s; going on from the one before it", error)
        return None

    def load(self, step: int) -> Checkpoint:
        """The checkpoint of a step. Raises DamagedCheckpoint; SSTrackError if it is of another run."""
        folder = self._folder(step)
        try:
            meta = json.loads(_there(storage.join(folder, _META)))
            theirs = RunIdentity(meta["config_digest"], meta["data_digest"])
            form, files, facts = meta["format"], meta["files"], meta["facts"]
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedCheckpoint(f"{folder}/{_META} cannot be read ({error})") from error
        if form != _FORMAT or theirs != self._identity:
            raise SSTrackError(
                f"{folder} is of another recipe, dataset or version ({theirs}, format {form}); this run is "
                f"{self._identity}, format {_FORMAT}: use another run folder"
            )
        tensors: Tensors = {}
        for name, sha256 in files.items():
            uri = storage.join(folder, f"{name}.safetensors")
            data = _there(uri)
            if hashlib.sha256(data).hexdigest() != sha256:
                raise DamagedCheckpoint(f"{uri} does not have the sha256 that its {_META} names")
            try:
                tensors[name] = load(data)
            except SafetensorError as error:
                raise DamagedCheckpoint(f"{uri} cannot be read ({error})") from error
        return Checkpoint(step, tensors, facts)

    def save(self, checkpoint: Checkpoint, best: int) -> None:
        """Begin to write a checkpoint, once the one before it is written; `best`: the step to keep besides, or 0.

        Raises SSTrackError if the one before it could not be written to a local disk, or several could not be written
        to a remote store: then later steps would be lost too.
        """
        self.wait()
        self._saving = self._pool.submit(self._save, checkpoint, best)

    def wait(self, last: bool = False) -> None:
        """Wait for the checkpoint that is being written. Raises as `save` does; `last`: any failure counts."""
        if self._saving is None:
            return
        saving, self._saving = self._saving, None
        try:
            saving.result()
            self._missed = 0
        except SSTrackError as error:
            self._missed += 1
            if last or storage.is_local(self.uri) or self._missed > _MOST_MISSED:
                raise
            log.warning("a checkpoint could not be written, training goes on: %s", error)

    def close(self) -> None:
        """Let a checkpoint that is being written end, whatever becomes of it."""
        self._pool.shutdown(wait=True)

    def _save(self, checkpoint: Checkpoint, best: int) -> None:
        folder, files = self._folder(checkpoint.step), {}
        for name, tensors in checkpoint.tensors.items():
            data = save(tensors)
            files[name] = hashlib.sha256(data).hexdigest()
            storage.write_atomic(storage.join(folder, f"{name}.safetensors"), data)
        meta = {
            "format": _FORMAT,
            "step": checkpoint.step,
            "config_digest": self._identity.config_digest,
            "data_digest": self._identity.data_digest,
            "files": files,
            "facts": checkpoint.facts,
            "torch": torch.__version__,
        }
        storage.write_atomic(storage.join(folder, _META), json.dumps(meta, indent=1).encode())
        self._prune(best)

    def _prune(self, best: int) -> None:
        folders = self._folders()
        kept = {best, *[step for step in sorted(folders) if _META in folders[step]][-self._keep :]}
        # Those without a meta.json are what killed processes left.
        gone = [step for step in folders if step not in kept]
        # Without its meta.json it is no checkpoint, so that goes first.
        storage.delete([storage.join(self._folder(step), _META) for step in gone])
        for step in gone:
            storage.delete_folder(self._folder(step))

    def _folders(self) -> dict[int, list[str]]:
        """Names of the files there are for each step."""
        found: dict[int, list[str]] = {}
        for uri in storage.list_files(self.uri):
            folder, name = uri.rsplit("/", 2)[-2:]
            if folder.startswith("step_"):
                found.setdefault(int(folder.removeprefix("step_")), []).append(name)
        return found

    def _folder(self, step: int) -> str:
        return storage.join(self.uri, f"step_{step:06d}")


class DamagedCheckpoint(SSTrackError):
    """A checkpoint that is not whole: its files are missing or have other bytes than its meta.json says."""


def _there(uri: str) -> bytes:
    data = storage.read_if_exists(uri)
    if data is None:
        raise DamagedCheckpoint(f"{uri} is missing")
    return data
