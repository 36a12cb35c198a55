"""Requests, seconds and peak memory of `echodrop reconcile`, against a listing of a hundredth its size.

    python benchmarks/reconcile.py [--uploads 100000] [--objects 12]

Buckets and Prefect are faked in the process, so the seconds are reconcile's own:
what the requests add is their number times a round trip, 32 at a time for
manifests, one after another for listings. Of the uploads 1 % have lost their
notification, 1 % have lost an object of their output. Each size runs in a
process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
RULES = """
version = 1
inbox_bucket = "inbox"
output_bucket = "output"
[[prefix]]
prefix = ""
deployment = "convert-raw-sonar/ecs"
"""
LOST, DAMAGED = 17, 42


@dataclass
class FakedBuckets:
    """Lists and answers what a full inbox and its outputs would hold, made up as it is asked for."""

    uploads: int
    objects: int
    requests: Counter[str] = field(default_factory=Counter)

    def get_paginator(self, operation: str) -> FakedBuckets:
        """Stand in for the listing's paginator, the only one that is asked for."""
        del operation
        return self

    def paginate(self, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - boto3's
        """List the inbox, all outputs, or one of them, in pages of 1,000."""
        keys = self._inbox() if Bucket == "inbox" else self._outputs(Prefix)
        while page := list(islice(keys, 1000)):
            self.requests["ListObjectsV2"] += 1
            yield {"Contents": page}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - boto3's
        """Read a manifest."""
        del Bucket
        self.requests["GetObject"] += 1
        number = int(Key[1:9])
        if number % 100 == LOST:
            raise missing_key()
        manifest = {
            "manifest_version": 1,
            "source": {"uri": f"s3://inbox/{name(number)}.raw", "etag": etag(number)},
            "sidecars": [],
            "output": {"objects": self.objects, "bytes": 7 * self.objects, "sha256": "0" * 64},
        }
        return {"Body": io.BytesIO(json.dumps(manifest).encode())}

    def _inbox(self) -> Iterator[dict[str, Any]]:
        return (self._item(f"{name(number)}.raw", number) for number in range(self.uploads))

    def _outputs(self, prefix: str) -> Iterator[dict[str, Any]]:
        numbers = [int(prefix[1:9])] if prefix else range(self.uploads)
        for number in numbers:
            if number % 100 == LOST:
                continue
            store = f"{name(number)}.zarr"
            if not prefix:
                yield self._item(f"{store}.manifest.json", number)
            for chunk in range(self.objects - (number % 100 == DAMAGED)):
                yield self._item(f"{store}/c/{chunk:03}", number)

    @staticmethod
    def _item(key: str, number: int) -> dict[str, Any]:
        return {"Key": key, "Size": 7, "ETag": f'"{etag(number)}"', "LastModified": WHEN}


@dataclass
class FakedTrigger:
    """S3 as the trigger reads it: every upload begins as an EK60 file."""

    requests: Counter[str]
    head: bytes

    def read_head(self, bucket: str, key: str, **_: Any) -> Any:  # noqa: ANN401 - a fake
        """Read an upload's first bytes."""
        from lambda_trigger.aws_api import ObjectHead  # noqa: PLC0415 - only the measured process

        del bucket
        self.requests["GetObject (1 KB)"] += 1
        return ObjectHead(self.head, 5000, etag(int(key[1:9])), None, {}, 0)


@dataclass
class FakedPrefect:
    """Prefect without any run."""

    requests: Counter[str]

    def by_identity(self, identities: Collection[str]) -> dict[str, Any]:
        """Find no run."""
        del identities
        self.requests["flow_runs/filter"] += 1
        return {}

    def in_states(self, states: Collection[str]) -> list[Any]:
        """Find no run."""
        del states
        self.requests["flow_runs/filter"] += 1
        return []


class FakedTasks:
    """ECS without any task."""

    def of(self, runs: Iterable[Any]) -> dict[str, bool]:
        """Know of no run."""
        del runs
        return {}


def name(number: int) -> str:
    """Name an upload without its extension."""
    return f"d{number:08}"


def etag(number: int) -> str:
    """Give an upload's entity tag."""
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def missing_key() -> Exception:
    """Make the error with which S3 says that there is no such object."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - only the measured process

    return ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")


def measure(uploads: int, objects: int) -> dict[str, Any]:
    """Reconcile a faked inbox of this size in this process."""
    from events.file_heads import file_head  # noqa: PLC0415 - only the measured process
    from lambda_trigger.rules_document import parse_rules  # noqa: PLC0415
    from operations.foresight import Foresight  # noqa: PLC0415
    from operations.reconciliation import Reconciliation  # noqa: PLC0415
    from operations.report import Tally  # noqa: PLC0415
    from operations.services import Services  # noqa: PLC0415

    s3: Any = FakedBuckets(uploads, objects)
    trigger: Any = FakedTrigger(s3.requests, file_head("EK60"))
    prefect: Any = FakedPrefect(s3.requests)
    tally = Tally()
    started = time.perf_counter()
    services = Services(s3, Foresight(parse_rules(RULES), trigger), prefect, FakedTasks())
    for finding in Reconciliation(services).findings():
        tally.add(finding)
    return {
        "seconds": time.perf_counter() - started,
        "requests": dict(s3.requests),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "counts": {kind.value: count for kind, count in tally.counts.items()},
    }


def main() -> None:
    """Measure both sizes and print them with their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=100_000)
    parser.add_argument("--objects", type=int, default=12, help="objects an output")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.objects)))
        return
    told = {}
    for uploads in (options.uploads // 100, options.uploads):
        command = [
            sys.executable,
            __file__,
            "--one",
            str(uploads),
            "--objects",
            str(options.objects),
        ]
        done = subprocess.run(
            command, capture_output=True, check=True, env={"PYTHONPATH": str(PROJECT)}
        )
        told[uploads] = json.loads(done.stdout)
        found = told[uploads]
        print(f"{uploads:>9,} uploads: {found['seconds']:.1f} s, peak {found['peak_mb']:.0f} MB")
        print(f"          requests {found['requests']}")
        print(f"          found {found['counts']}")
    small, large = told.values()
    print(f"memory, 100 times the uploads: x{large['peak_mb'] / small['peak_mb']:.2f}")
    print(f"seconds, 100 times the uploads: x{large['seconds'] / small['seconds']:.0f}")


if __name__ == "__main__":
    main()
