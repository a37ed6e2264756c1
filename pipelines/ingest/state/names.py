"""Which bytes were seen under which name in which version, so that what has not changed is not read again.

The sources table keeps it. Names that came to known sources without a new manifest wait beside the dataset; losing
that file costs a second look at those names and nothing else.
"""

import json
from collections.abc import Iterable

import pyarrow as pa

from pipelines import storage

_WAITING = ("_state", "names.json")


class Names:
    """source_id -> {name: version}, of the published sources and of those that wait for the next manifest."""

    def __init__(self, dataset: str, sources: pa.Table) -> None:
        """Read the names of a sources table and those that wait."""
        self._uri = storage.join(dataset, *_WAITING)
        self._names: dict[str, dict[str, str]] = {}
        columns = (sources[name].to_pylist() for name in ("source_id", "uris", "versions"))
        for source_id, uris, versions in zip(*columns, strict=True):
            self._names[source_id] = dict(zip(uris, versions, strict=True))
        self._waiting: dict[str, dict[str, str]] = {}
        if data := storage.read_if_exists(self._uri):
            for source_id, names in json.loads(data).items():
                if source_id in self._names:
                    self._waiting[source_id] = names
                    self._names[source_id].update(names)
        self._source_of = {
            (name, version): key for key, names in self._names.items() for name, version in names.items()
        }

    def source_of(self, name: str, version: str) -> str | None:
        """The source whose bytes `name` had in this version, None where that is not known."""
        return self._source_of.get((name, version))

    def add(self, source_id: str, name: str, version: str) -> None:
        """Note a name of a source."""
        if self._names.setdefault(source_id, {}).get(name) != version:
            self._names[source_id][name] = version
            self._waiting.setdefault(source_id, {})[name] = version

    def of(self, source_id: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """All names of a source, sorted, and the version of each."""
        names = self._names.get(source_id, {})
        return tuple(sorted(names)), tuple(names[name] for name in sorted(names))

    def in_table(self, sources: pa.Table) -> pa.Table:
        """A sources table with all names that are known by now."""
        if not self._waiting:
            return sources
        rows = sources.to_pylist()
        for row in rows:
            row["uris"], row["versions"] = self.of(row["source_id"])
        return pa.Table.from_pylist(rows, sources.schema)

    def keep_waiting(self, published: Iterable[str]) -> None:
        """Without a new manifest: keep the new names of sources that are `published` for the next one."""
        known = set(published)
        waiting = {key: names for key, names in sorted(self._waiting.items()) if key in known}
        if waiting:
            storage.write_atomic(self._uri, json.dumps(waiting, sort_keys=True).encode())

    def forget_waiting(self) -> None:
        """After a new manifest: all names are in its table."""
        storage.delete([self._uri])
