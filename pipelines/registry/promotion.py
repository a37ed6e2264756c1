"""The doors through which the champion changes: promote, rollback, refuse. Each decision goes through the journal.

MLflow's aliases `champion` and `previous` follow the journal: a process that dies in between, or a hand that moves an
alias, is put right by the next one that looks (`state_of`).
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from pipelines import storage
from pipelines.errors import GateRefused, SSTrackError, UsageError
from pipelines.registry.journal import NOBODY, Entry, Journal, State
from pipelines.registry.names import (
    ACTOR,
    CHAMPION,
    DEMOTED_AT,
    JOURNAL,
    PACKAGE_DIGEST,
    PREVIOUS,
    PROMOTED_AT,
    REASON,
    VERDICT,
)
from pipelines.registry.registered_model import aliases_of, tags_of, version_tags
from pipelines.registry.runs import registry_client
from pipelines.registry.sqlite_store import SQLITE
from pipelines.settings import settings

log = logging.getLogger(__name__)


class Overtaken(GateRefused):
    """Another champion was made since the one that this decision was about."""


@dataclass(frozen=True)
class Move:
    """What became of a promotion or rollback."""

    outcome: str
    """One sentence."""
    moved: bool
    """False where the version was champion already."""
    champion: str
    previous: str | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def journal_of(uri: str, name: str) -> Journal:
    """The journal of the model `name` in the store at `uri`: `SSTRACK_JOURNAL`, else beside a SQLite store's file, else
    in the work folder."""
    here = settings()
    if here.journal:
        folder = here.journal
    elif uri.startswith(SQLITE):
        folder = str(Path(uri.removeprefix(SQLITE)).parent / "journal")
    else:
        folder = str(here.work / "journal")
    return Journal(storage.join(folder, name))


def state_of(uri: str, name: str) -> State:
    """Who is champion, after MLflow's aliases were put right where they say something else.

    A registry without a journal is read as its aliases say. Where the journal belongs to another registry, or the
    registry to another journal, a warning says so and the aliases are left alone.
    """
    client, journal = registry_client(uri), journal_of(uri, name)
    aliases = aliases_of(client, name)
    try:
        last = _own_entry(client, name, journal)
        if last is not None:
            return _put_right(client, name, journal, last, aliases)
    except SSTrackError as error:
        log.warning("%s", error)
    return _from_aliases(client, name, aliases)


def promote(
    uri: str,
    name: str,
    version: str,
    *,
    expected: str | None,
    actor: str,
    reason: str,
    verdict: dict[str, Any] | None = None,
    override: bool = False,
) -> Move:
    """Make `version` the champion in the place of `expected`. The champion itself is left as it is.

    Args:
        uri: MLflow store.
        name: of the registered model.
        version: its number.
        expected: the champion that the decision was made against, None for none.
        actor: who decides.
        reason: why, one sentence or more.
        verdict: the gate's, where it decided.
        override: promote a version that no gate let pass.

    Raises:
        Overtaken: another version became champion in the meantime.
        GateRefused: no gate let it pass, and `override` is not given.
        SSTrackError: no such version; or journal and registry do not belong together.
    """

    def decide(now: State) -> State | None:
        if now.champion == version:
            return None
        if now.champion != expected:
            raise Overtaken(_overtaken(journal_of(uri, name), version, expected, now))
        return _with_champion(now, version, digest, (*now.line, version))

    digest, passed = _known(uri, name, version)
    if verdict is None and passed != "passed" and not override and state_of(uri, name).champion != version:
        word = "refused" if passed else "was never asked about"
        raise GateRefused(f"the gate {word} version {version} of {name}; --override promotes it all the same")
    entry = _decide(uri, name, decide, action="promote", version=version, actor=actor, reason=reason, verdict=verdict)
    return _move(uri, name, entry, f"promoted: version {version} is the champion", version)


def rollback(uri: str, name: str, to: str | None, *, expected: str | None, actor: str, reason: str) -> Move:
    """Bring a former champion back. Versions that it goes back over are withdrawn: the gate promotes them no more.

    Args:
        uri: MLflow store.
        name: of the registered model.
        to: a version that was champion before; None for the previous one. Given again after a rollback that nothing
            followed, None leaves the champion as it is.
        expected: the champion to roll back from.
        actor: who decides.
        reason: why.

    Raises:
        Overtaken: another version became champion in the meantime.
        GateRefused: there is no previous champion, or `to` never was one.
        SSTrackError: as `promote` does.
    """
    history = [entry for entry in journal_of(uri, name).entries() if entry.action != "refuse"]
    if to is None and history and history[-1].action == "rollback":
        back = history[-1]
        sentence = (
            f"nothing new: {back.actor} rolled back to version {back.version} at {back.at:%Y-%m-%d %H:%M} UTC and "
            "nothing was promoted since; name a version to go further back"
        )
        return _move(uri, name, None, sentence, back.version)
    now = state_of(uri, name)
    target = to or now.previous
    reigned = {each for entry in history for each in entry.state.line} | set(now.line)
    if target is None:
        raise GateRefused(f"there is no champion of {name} before the present one to roll back to")
    if target not in reigned:
        raise GateRefused(f"version {target} of {name} was never champion; `sstrack models promote` can make it one")

    def decide(now: State) -> State | None:
        if now.champion == target:
            return None
        if now.champion != expected:
            raise Overtaken(_overtaken(journal_of(uri, name), target, expected, now))
        below = now.line[:-1]
        depth = below[::-1].index(target) if target in below else None
        line = (*below, target) if depth is None else below[: len(below) - depth]
        then = _with_champion(now, target, digest, line)
        passed_over = below[len(below) - depth :] if depth is not None else ()
        gone = dict.fromkeys((*then.withdrawn, *passed_over, *now.line[-1:]))
        return then.model_copy(update={"withdrawn": tuple(each for each in gone if each != target)})

    digest, _ = _known(uri, name, target)
    entry = _decide(uri, name, decide, action="rollback", version=target, actor=actor, reason=reason)
    return _move(uri, name, entry, f"rolled back: version {target} is the champion again", target)


def refuse(
    uri: str, name: str, version: str, *, expected: str | None, actor: str, reason: str, verdict: dict[str, Any]
) -> None:
    """Write down why `version` does not take the place of the champion `expected`; once for each champion."""

    def decide(now: State) -> State | None:
        champion = now.champion or NOBODY
        before = now.tried.get(champion, ())
        if now.champion != expected or version in before:
            return None
        return now.model_copy(update={"tried": {**now.tried, champion: (*before, version)}})

    _decide(uri, name, decide, action="refuse", version=version, actor=actor, reason=reason, verdict=verdict)
    client = registry_client(uri)
    client.set_model_version_tag(name, version, REASON, reason)
    client.set_model_version_tag(name, version, VERDICT, "refused")


def _decide(uri: str, name: str, decide: Callable[[State], State | None], **what: Any) -> Entry | None:
    client, journal = registry_client(uri), journal_of(uri, name)
    _adopt(client, name, journal)
    entry = journal.append(decide, **what)
    if entry is not None and entry.number == 1:
        client.set_registered_model_tag(name, JOURNAL, entry.journal)
    return entry


def _adopt(client: MlflowClient, name: str, journal: Journal) -> None:
    """Take over the champion of a registry from before there was a journal.

    Raises SSTrackError where journal and registry do not belong together.
    """
    if _own_entry(client, name, journal) is not None:
        return
    old = _from_aliases(client, name, aliases_of(client, name))
    if old.champion is not None:
        made = journal.append(
            lambda now: None if now.line else old,
            action="adopt",
            version=old.champion,
            actor="sstrack",
            reason="it held the alias before there was a journal",
        )
        if made is not None:
            client.set_registered_model_tag(name, JOURNAL, made.journal)


def _own_entry(client: MlflowClient, name: str, journal: Journal) -> Entry | None:
    """The last entry, of a journal that belongs to this registry."""
    last = journal.last()
    known = tags_of(client, name).get(JOURNAL)
    if last is None and known is not None:
        raise SSTrackError(
            f"decisions about {name} are kept in journal {known}, and {journal.folder} holds none: "
            "set SSTRACK_JOURNAL to its folder"
        )
    if last is None:
        return None
    foreign = known is not None and known != last.journal
    for version in (last.state.champion, last.state.previous):
        if version is not None:
            foreign = foreign or _digest(client, name, version) != last.state.digests.get(version)
    if foreign:
        raise SSTrackError(
            f"the journal in {journal.folder} is that of another registry than this one with {name}: restore one "
            "of them, or move the journal away to begin a new one"
        )
    if known is None:
        client.set_registered_model_tag(name, JOURNAL, last.journal)
    return last


def _put_right(client: MlflowClient, name: str, journal: Journal, last: Entry, aliases: dict[str, str]) -> State:
    """Make the aliases say what the journal says; again where it went on meanwhile."""
    while True:
        wanted = {CHAMPION: last.state.champion, PREVIOUS: last.state.previous}
        if all(aliases.get(alias) == version for alias, version in wanted.items()):
            return last.state
        _tag(client, name, last, aliases.get(CHAMPION))
        for alias, version in wanted.items():
            held = aliases.get(alias)
            if version is not None and held != version:
                client.set_registered_model_alias(name, alias, version)
            elif version is None and held is not None:
                client.delete_registered_model_alias(name, alias)
        log.info("alias champion of %s is at version %s, as the journal says", name, last.state.champion)
        newer = journal.last()
        if newer is None or newer.number == last.number:
            return last.state
        last, aliases = newer, aliases_of(client, name)


def _tag(client: MlflowClient, name: str, entry: Entry, former: str | None) -> None:
    """On the versions themselves, for people who look at MLflow's pages."""
    champion, at = entry.state.champion, entry.at.isoformat(timespec="seconds")
    if champion is not None and entry.action != "refuse":
        for key, value in ((REASON, entry.reason), (ACTOR, entry.actor), (PROMOTED_AT, at)):
            client.set_model_version_tag(name, champion, key, value)
    if former not in (None, champion):
        client.set_model_version_tag(name, str(former), DEMOTED_AT, at)


def _move(uri: str, name: str, entry: Entry | None, sentence: str, version: str) -> Move:
    state = state_of(uri, name)
    if entry is None and not sentence.startswith("nothing new"):
        sentence = f"nothing new: version {version} is the champion already"
    log.info("%s", sentence)
    return Move(sentence, entry is not None, state.champion or version, state.previous)


def _with_champion(now: State, version: str, digest: str, line: tuple[str, ...]) -> State:
    digests = {each: now.digests[each] for each in line if each in now.digests} | {version: digest}
    withdrawn = tuple(each for each in now.withdrawn if each != version)
    return now.model_copy(update={"line": line, "digests": digests, "withdrawn": withdrawn})


def _overtaken(journal: Journal, version: str, expected: str | None, now: State) -> str:
    by = next((e for e in reversed(journal.entries()) if e.action != "refuse" and e.version == now.champion), None)
    who = f" by {by.actor} at {by.at:%Y-%m-%d %H:%M:%S} UTC ({by.reason})" if by else ""
    return (
        f"version {version} does not become the champion: it was to replace {_called(expected)}, and "
        f"{_called(now.champion)} was made champion meanwhile{who}; compare it with that one"
    )


def _called(version: str | None) -> str:
    return "no champion" if version is None else f"version {version}"


def _known(uri: str, name: str, version: str) -> tuple[str, str]:
    """Package digest and the gate's word of a version. SSTrackError where there is none or it is not ours."""
    tags = version_tags(registry_client(uri), name, version)
    if tags is None:
        raise SSTrackError(f"{name} has no version {version} in {uri}")
    if not tags.get(PACKAGE_DIGEST):
        raise SSTrackError(f"version {version} of {name} was not registered by sstrack: it carries no package digest")
    return tags[PACKAGE_DIGEST], tags.get(VERDICT, "")


def _digest(client: MlflowClient, name: str, version: str) -> str | None:
    """Of a version, None where there is none."""
    tags = version_tags(client, name, version)
    return None if tags is None else tags.get(PACKAGE_DIGEST, "")


def _from_aliases(client: MlflowClient, name: str, aliases: dict[str, str]) -> State:
    line = tuple(aliases[alias] for alias in (PREVIOUS, CHAMPION) if alias in aliases)
    if CHAMPION not in aliases:
        return State()
    return State(line=line, digests={each: _digest(client, name, each) or "" for each in line})


def checked_version(name: str, model: str) -> str:
    """The number in `3`, `v3` or `models:/<name>/3`; UsageError for anything else."""
    word = model.removeprefix(f"models:/{name}/")
    if not word.isdigit():
        raise UsageError(f"{model!r} is no version of {name}: write its number, or models:/{name}/<number>")
    return word
