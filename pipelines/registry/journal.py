"""Who is champion, and who decided it: numbered entries, each put once, and nothing else says so.

An entry's number is its file's name, and it is put on the condition that nobody put that number before, so that of two
who decide at once one is told. Every entry holds what is true after it; the last one is all there is to know.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines import storage
from pipelines.errors import SSTrackError

NOBODY = "none"
"""Stands for the champion where there is none, among the keys of `tried`."""

Action = Literal["adopt", "promote", "rollback", "refuse"]


class State(BaseModel):
    """What is true after some decision; that of an empty journal is the default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: tuple[str, ...] = ()
    """Champions from the first to the present one, less those that were rolled back from."""
    withdrawn: tuple[str, ...] = ()
    """Versions that were rolled back from: the gate promotes none of them again, a person may."""
    tried: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Versions that were refused, by the champion that they were compared with."""
    digests: dict[str, str] = Field(default_factory=dict)
    """Package digests of the versions in `line`, by which another registry is noticed."""

    @property
    def champion(self) -> str | None:
        """The version that is champion."""
        return self.line[-1] if self.line else None

    @property
    def previous(self) -> str | None:
        """The version that a rollback leads to."""
        return self.line[-2] if len(self.line) > 1 else None

    def trial(self, version: str) -> int:
        """Which challenger of the present champion `version` is, from 1; one that was tried keeps its number."""
        before = self.tried.get(self.champion or NOBODY, ())
        return 1 + (before.index(version) if version in before else len(before))


class Entry(BaseModel):
    """One decision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(ge=1)
    journal: str
    """Id of the journal, made with its first entry."""
    action: Action
    """`adopt` takes over the champion that an older registry names."""
    version: str
    """What was promoted, rolled back to, or refused."""
    expected: str | None
    """The champion before."""
    actor: str
    reason: str
    at: datetime
    verdict: dict[str, Any] | None = None
    """Of the gate, where it decided."""
    state: State


class Journal:
    """The entries under one folder, local or s3://, of one registered model."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def last(self) -> Entry | None:
        """The newest entry, None where nothing was decided yet. SSTrackError for one that cannot be read."""
        names = self._names()
        return self._read(names[-1]) if names else None

    def entries(self) -> list[Entry]:
        """All of them, oldest first."""
        return [self._read(name) for name in self._names()]

    def append(
        self,
        decide: Callable[[State], State | None],
        *,
        action: Action,
        version: str,
        actor: str,
        reason: str,
        verdict: dict[str, Any] | None = None,
    ) -> Entry | None:
        """Put the next entry; where another one came first, ask again.

        Args:
            decide: from what is true now to what is true then; None to leave it as it is; or it raises.
            action, version, actor, reason, verdict: see `Entry`.

        Returns: the entry, None where `decide` left it as it is.
        """
        while True:
            last = self.last()
            now = last.state if last else State()
            then = decide(now)
            if then is None:
                return None
            entry = Entry(
                number=last.number + 1 if last else 1,
                journal=last.journal if last else uuid4().hex,
                action=action,
                version=version,
                expected=now.champion,
                actor=actor,
                reason=reason,
                at=datetime.now(UTC),
                verdict=verdict,
                state=then,
            )
            data = entry.model_dump_json(indent=1).encode()
            if storage.put_if_absent(storage.join(self.folder, f"{entry.number:08d}.json"), data):
                return entry

    def _names(self) -> list[str]:
        return [uri for uri in storage.list_files(self.folder) if uri.endswith(".json")]

    def _read(self, uri: str) -> Entry:
        try:
            return Entry.model_validate_json(storage.read_bytes(uri))
        except ValidationError as error:
            raise SSTrackError(f"{uri} is no decision of ours ({error.errors()[0]['msg']}); restore it") from error
