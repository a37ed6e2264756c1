"""What is there in object stores, by URI, prefix or pattern, and in which version. No object is read here."""

import re
from collections.abc import Iterable

from fsspec.utils import glob_translate

from pipelines import s3, storage
from pipelines.errors import UsageError
from pipelines.s3 import Object


def require_scheme(uri: str) -> None:
    """Raise UsageError for a scheme that is not read."""
    if not uri.startswith("s3://"):
        raise UsageError(f"{uri} cannot be read: sources are local paths and s3:// URIs.")


def under(uri: str) -> list[Object]:
    """The object `uri` and all objects below it, taken as a folder."""
    named = s3.look_up([uri]) if s3.split(uri)[1] and not uri.endswith("/") else []
    return [*named, *storage.list_objects(uri)]


def matching(pattern: str) -> list[Object]:
    """All objects that a pattern with *, ?, ** and [] names."""
    fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0].rpartition("/")[0]
    wanted = re.compile(glob_translate(pattern.removeprefix("s3://")))
    return [each for each in storage.list_objects(fixed) if wanted.match(each.uri.removeprefix("s3://"))]


def look_up(uris: Iterable[str]) -> dict[str, Object]:
    """Those of `uris` that are objects, by URI."""
    return {each.uri: each for each in s3.look_up(uris)}


def version(each: Object) -> str:
    """What names the bytes of an object: its entity tag."""
    return each.tag or f"{each.size}-{each.modified.isoformat()}"
