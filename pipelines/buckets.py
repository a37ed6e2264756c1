"""Make S3 buckets that are not there yet: `python -m pipelines.buckets s3://tracking s3://mlflow`."""

import sys

from pipelines import storage
from pipelines.errors import SSTrackError, UsageError
from pipelines.s3 import make_bucket


def main(places: list[str]) -> int:
    """Exit code 0 where all are there afterwards, else 1 or 2 with a sentence."""
    try:
        for place in places:
            if storage.is_local(place):
                raise UsageError(f"{place!r} is no s3:// place")
            make_bucket(place)
    except SSTrackError as error:
        print(f"sstrack: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
