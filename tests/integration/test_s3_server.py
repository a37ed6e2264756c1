"""The S3 server of the tests honours the conditions that publishing relies on."""

import fsspec
import pytest

from tests.s3 import S3Server


def test_the_server_refuses_to_overwrite_under_a_condition(s3_server: S3Server) -> None:
    store = fsspec.filesystem("s3", use_listings_cache=False)
    place = {"Bucket": "bucket", "Key": "conditions/object"}
    tag = store.call_s3("put_object", **place, Body=b"one", IfNoneMatch="*")["ETag"]
    for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"0"'}):
        with pytest.raises(OSError, match="conditions"):
            store.call_s3("put_object", **place, Body=b"two", **condition)
    store.call_s3("put_object", **place, Body=b"three", IfMatch=tag)
    assert store.cat_file(s3_server.url("conditions/object")) == b"three"
