"""The S3 half of storage: single and multipart puts under conditions, parallel ranged reads, listing, clear errors.

Endpoint, keys and region come from the usual AWS_* variables or profile. Transient answers (5xx, throttling, broken
connections) are retried with jitter, five attempts in all unless AWS_MAX_ATTEMPTS says otherwise; then they are errors.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pipelines.errors import SSTrackError
from pipelines.s3_errors import is_broken_answer, is_lost_race, is_missing, refusal

PART = 16 << 20
"""Bytes of one part of a multipart upload or a parallel download."""
_PARALLEL = 4
_PATIENCE_S = 15
_MOST_PARTS = 10_000
_LISTED_AT_ONCE = 16

Result = TypeVar("Result")


@dataclass(frozen=True)
class Object:
    """One object: its URI, size in bytes, when it was last written, and its entity tag (empty for a local file)."""

    uri: str
    size: int
    modified: datetime
    tag: str = ""


def split(uri: str) -> tuple[str, str]:
    """`s3://bucket/a/b` -> `("bucket", "a/b")`. Raises SSTrackError where there is no bucket."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise SSTrackError(f"{uri} names no bucket; write s3://bucket/prefix.")
    return bucket, key


def get(uri: str) -> bytes:
    """All bytes of an object."""
    return _run(uri, "read", lambda client, bucket, key: _get(client, Bucket=bucket, Key=key))


def get_some(uris: Sequence[str]) -> list[bytes | None]:
    """All bytes of some objects of one bucket, None for those that are not there; many are asked for at once."""

    async def read(client: Any, bucket: str, key: str) -> bytes | None:
        try:
            return await _get(client, Bucket=bucket, Key=key)
        except Exception as error:
            if is_missing(error):
                return None
            raise

    async def work(client: Any, bucket: str, _: str) -> list[bytes | None]:
        return await _some_at_once(
            _LISTED_AT_ONCE, [lambda uri=uri: read(client, bucket, split(uri)[1]) for uri in uris]
        )

    return _run(uris[0], "read", work) if uris else []


def get_if_exists(uri: str) -> tuple[bytes, str] | None:
    """Bytes and entity tag of an object, None where there is none."""

    async def work(client: Any, bucket: str, key: str) -> tuple[bytes, str] | None:
        for attempt in range(1, _attempts() + 1):
            try:
                tag = (await client.head_object(Bucket=bucket, Key=key))["ETag"]
                return await _get(client, Bucket=bucket, Key=key, IfMatch=tag), tag
            except Exception as error:
                if is_missing(error):
                    return None
                # another writer replaced it between the two requests: what it holds now is the answer
                if attempt == _attempts() or not is_lost_race(error):
                    raise
        raise AssertionError("no attempt was made")

    return _run(uri, "read", work)


def get_range(uri: str, start: int, size: int) -> bytes:
    """`size` bytes from `start` on, fewer where the object ends before."""
    if size <= 0:
        return b""
    span = f"bytes={start}-{start + size - 1}"
    return _run(uri, "read", lambda client, bucket, key: _get(client, Bucket=bucket, Key=key, Range=span))


def size(uri: str) -> int:
    """Bytes of an object."""
    return _run(uri, "read", lambda client, bucket, key: _head(client, bucket, key))[0]


def exists(uri: str) -> bool:
    """Whether there is an object of this name, or one below it."""

    async def work(client: Any, bucket: str, key: str) -> bool:
        try:
            await client.head_object(Bucket=bucket, Key=key)
            return True
        except Exception as error:
            if not is_missing(error):
                raise
        found = await client.list_objects_v2(Bucket=bucket, Prefix=_as_prefix(key), MaxKeys=1)
        return found.get("KeyCount", len(found.get("Contents", []))) > 0

    return _run(uri, "look for", work)


def put(uri: str, data: bytes, condition: Mapping[str, str] | None = None) -> bool:
    """Put an object, under `condition` ({"IfNoneMatch": "*"}, {"IfMatch": tag}) if given; False where that fails.

    Many bytes go up in parallel parts. Nothing is visible before all of it is there; a failed upload is aborted.
    """
    if len(data) > PART:
        return _put_parts(uri, len(data), lambda start, size: data[start : start + size], condition or {})

    async def work(client: Any, bucket: str, key: str) -> bool:
        return await _unless_lost(client.put_object(Bucket=bucket, Key=key, Body=data, **(condition or {})))

    return _run(uri, "write", work)


def upload_if_absent(path: Path, uri: str) -> bool:
    """Put a local file as `put` does, read part by part, unless there is an object; True if this call put it."""
    total, condition = path.stat().st_size, {"IfNoneMatch": "*"}
    if total <= PART:
        return put(uri, path.read_bytes(), condition)
    return _put_parts(uri, total, lambda start, size: _read_part(path, start, size), condition)


def _put_parts(uri: str, total: int, read: Callable[[int, int], bytes], condition: Mapping[str, str]) -> bool:
    part = max(PART, -(-total // _MOST_PARTS))

    async def work(client: Any, bucket: str, key: str) -> bool:
        place = {"Bucket": bucket, "Key": key}
        place["UploadId"] = (await client.create_multipart_upload(**place))["UploadId"]
        try:

            async def send(number: int) -> dict[str, Any]:
                body = await asyncio.to_thread(read, (number - 1) * part, part)
                answer = await client.upload_part(**place, PartNumber=number, Body=body)
                return {"PartNumber": number, "ETag": answer["ETag"]}

            parts = await _some_at_once(_PARALLEL, [lambda n=n: send(n) for n in range(1, -(-total // part) + 1)])
            done = await _unless_lost(
                client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts}, **condition)
            )
        except BaseException:
            await client.abort_multipart_upload(**place)
            raise
        if not done:
            await client.abort_multipart_upload(**place)
        return done

    return _run(uri, "write", work)


def download(uri: str, file: int) -> None:
    """Write an object into an open file descriptor, in parallel ranges that all are of one version of it."""

    async def work(client: Any, bucket: str, key: str) -> None:
        total, tag = await _head(client, bucket, key)
        os.ftruncate(file, total)

        async def fetch(start: int) -> None:
            end = min(start + PART, total)
            data = await _get(client, Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}", IfMatch=tag)
            if len(data) != end - start:
                raise EOFError(f"{len(data)} of {end - start} bytes came")
            await asyncio.to_thread(os.pwrite, file, data, start)

        await _some_at_once(_PARALLEL, [lambda at=at: fetch(at) for at in range(0, total, PART)])

    _run(uri, "read", work)


def list_objects(uri: str) -> list[Object]:
    """All objects below a prefix, taken as a folder, sorted by key."""

    async def work(client: Any, bucket: str, key: str) -> list[Object]:
        found: list[Object] = []
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=_as_prefix(key))
        async for page in pages:
            found += [
                Object(f"s3://{bucket}/{each['Key']}", each["Size"], each["LastModified"], each["ETag"].strip('"'))
                for each in page.get("Contents", [])
                if not each["Key"].endswith("/")
            ]
        return sorted(found, key=lambda each: each.uri)

    return _run(uri, "list", work)


def look_up(uris: Iterable[str]) -> list[Object]:
    """Those of `uris` that are objects, many asked for at once."""
    by_bucket: dict[str, list[str]] = {}
    for uri in uris:
        by_bucket.setdefault(split(uri)[0], []).append(split(uri)[1])
    found: list[Object] = []
    for bucket, keys in by_bucket.items():

        async def work(client: Any, bucket: str, _: str, keys: list[str] = keys) -> list[Object | None]:
            return await _some_at_once(_LISTED_AT_ONCE, [lambda key=key: _look(client, bucket, key) for key in keys])

        found += [each for each in _run(f"s3://{bucket}/{keys[0]}", "look for", work) if each is not None]
    return found


def delete(uris: Iterable[str]) -> None:
    """Delete objects; those that are not there are fine. One request each, as not every store knows bulk deletion."""
    by_bucket: dict[str, list[str]] = {}
    for uri in uris:
        by_bucket.setdefault(split(uri)[0], []).append(split(uri)[1])

    for bucket, keys in by_bucket.items():

        async def work(client: Any, bucket: str, _: str, keys: list[str] = keys) -> None:
            await _some_at_once(
                _LISTED_AT_ONCE, [lambda key=key: client.delete_object(Bucket=bucket, Key=key) for key in keys]
            )

        _run(f"s3://{bucket}/{keys[0]}", "delete", work)


def make_bucket(uri: str) -> None:
    """Make the bucket of `uri` if there is none of ours by that name."""

    async def make(client: Any, bucket: str, key: str) -> None:
        try:
            await client.create_bucket(Bucket=bucket)
        except (client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
            await client.head_bucket(Bucket=bucket)  # refuses where it is somebody else's

    _run(uri, "make the bucket of", make)


def abort_uploads(uri: str, before: datetime) -> int:
    """Abort multipart uploads below a prefix that were begun before `before` and never completed. Returns how many."""

    async def work(client: Any, bucket: str, key: str) -> int:
        found = await client.list_multipart_uploads(Bucket=bucket, Prefix=_as_prefix(key))
        stale = [each for each in found.get("Uploads", []) if each["Initiated"] < before]
        for each in stale:
            await client.abort_multipart_upload(Bucket=bucket, Key=each["Key"], UploadId=each["UploadId"])
        return len(stale)

    return _run(uri, "list", work)


async def _get(client: Any, **what: str) -> bytes:
    """A whole answer; a connection that breaks in its middle is tried again, which the client itself does not do."""
    for attempt in range(1, _attempts() + 1):
        answer = await client.get_object(**what)
        try:
            async with answer["Body"] as body:
                data = await body.read()
            if len(data) != answer["ContentLength"]:
                raise EOFError(f"{len(data)} of {answer['ContentLength']} bytes came")
            return data
        except Exception as error:
            if attempt == _attempts() or not is_broken_answer(error):
                raise
            await asyncio.sleep(random.uniform(0, min(2**attempt, 20)) / 4)  # noqa: S311 - no secret
    raise AssertionError("no attempt was made")


async def _head(client: Any, bucket: str, key: str) -> tuple[int, str]:
    found = await client.head_object(Bucket=bucket, Key=key)
    return found["ContentLength"], found["ETag"]


async def _look(client: Any, bucket: str, key: str) -> Object | None:
    try:
        found = await client.head_object(Bucket=bucket, Key=key)
    except Exception as error:
        if is_missing(error):
            return None
        raise
    tag = found["ETag"].strip('"')
    return Object(f"s3://{bucket}/{key}", found["ContentLength"], found["LastModified"], tag)


async def _unless_lost(request: Awaitable[object]) -> bool:
    try:
        await request
    except Exception as error:
        if is_lost_race(error):
            return False
        raise
    return True


async def _some_at_once(limit: int, makers: list[Callable[[], Awaitable[Result]]]) -> list[Result]:
    """Results in order; the first failure cancels the rest."""
    gate = asyncio.Semaphore(limit)

    async def one(make: Callable[[], Awaitable[Result]]) -> Result:
        async with gate:
            return await make()

    tasks = [asyncio.ensure_future(one(make)) for make in makers]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _read_part(path: Path, start: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(size)


def _as_prefix(key: str) -> str:
    return f"{key.rstrip('/')}/" if key else ""


def _run(uri: str, doing: str, work: Callable[[Any, str, str], Awaitable[Result]]) -> Result:
    """Run `work(client, bucket, key)` on the client's event loop; failures become an SSTrackError about `uri`."""
    from fsspec.asyn import sync

    bucket, key = split(uri)

    async def connected() -> Result:
        store = _filesystem(os.getpid(), _environment())
        await store.set_session()
        return await work(await store.get_s3(bucket), bucket, key)

    try:
        return cast(Result, sync(_filesystem(os.getpid(), _environment()).loop, connected))
    except (TimeoutError, OSError, EOFError, ValueError) as error:
        raise refusal(uri, doing, error) from error
    except Exception as error:
        if type(error).__module__.split(".")[0] in ("botocore", "aiobotocore", "aiohttp"):
            raise refusal(uri, doing, error) from error
        raise


def _environment() -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


def _attempts() -> int:
    return int(os.environ.get("AWS_MAX_ATTEMPTS", "5"))


@lru_cache(maxsize=8)
def _filesystem(process: int, environment: tuple[tuple[str, str], ...]) -> Any:
    """A client of this process (its event loop does not survive a fork) for these AWS_* variables."""
    import s3fs

    config: dict[str, Any] = {
        "retries": {"mode": "standard", "total_max_attempts": _attempts()},
        "connect_timeout": _PATIENCE_S,
        "read_timeout": 4 * _PATIENCE_S,
        "max_pool_connections": 64,
    }
    named = dict(environment)
    if any(name.startswith("AWS_ENDPOINT_URL") for name in named):
        # Other stores than AWS: buckets in the path, and no checksum trailers, which many of them do not know.
        config["s3"] = {"addressing_style": "path"}
        for name in ("request_checksum_calculation", "response_checksum_validation"):
            config[name] = named.get(f"AWS_{name.upper()}", "when_required")
    return s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False, config_kwargs=config)
