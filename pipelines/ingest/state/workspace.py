"""Where an ingest keeps what is not published yet: packs beside the dataset, drafts on this machine's disk.

Packs of a dataset on S3 lie on S3 too, under `_state/`: another machine resumes the ingest, and workers on many
machines feed one dataset. Drafts are local in any case, so that nothing half-written bears a name that is looked for.
"""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines import storage
from pipelines.dataset.writing import local_side


@dataclass(frozen=True)
class Workspace:
    """`packs`: URI of the folder of finished packs. `scratch`: local folder of drafts."""

    packs: str
    scratch: Path

    @classmethod
    def of(cls, dataset: str) -> "Workspace":
        """The workspace of a dataset, local or on S3."""
        return cls(storage.join(dataset, "_state", "packs"), local_side(dataset) / "_state" / "tmp")

    def pack(self, key: str) -> str:
        """URI of the pack with this key."""
        return storage.join(self.packs, f"{key}.pack")

    def clear_drafts(self) -> None:
        """Remove what killed runs left in the scratch folder."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    def discard(self, packs: Iterable[str]) -> None:
        """Remove packs whose clips are published, and all drafts; packs of other runs stay for them."""
        storage.delete(packs)
        self.clear_drafts()
        state = self.scratch.parent
        for folder in (state / "packs", state):
            with suppress(OSError):  # not empty, or not there
                folder.rmdir()
