"""An inbox of any size with its outputs, generated in this process."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from flows.core.locations import S3Location
from lambda_trigger.clients.aws_answers import ObjectHead
from lambda_trigger.decisions.rules_document import parse_rules
from operations.clients.connections import OperationsServices
from operations.clients.trigger_decision import TriggerDecisions
from tests.file_heads import file_head

# Where the settled state is.
PLACE = S3Location("output", ".echodrop/reconcile/")
RULES = """
version = 1
inbox_bucket = "inbox"
output_bucket = "output"
[[prefix]]
prefix = ""
deployment = "convert-raw-sonar/ecs"
"""
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = WHEN + timedelta(days=30)
LOST, DAMAGED = 17, 42


@dataclass(frozen=True)
class World:
    """The class of each upload: done or, if it `has_problems`, two others in each hundred."""

    uploads: int
    objects: int
    has_problems: bool = False

    def kind(self, number: int) -> str:
        """Class of an upload."""
        problems = {LOST: "backlog", DAMAGED: "output damaged"} if self.has_problems else {}
        return problems.get(number % 100, "done")


def name(number: int) -> str:
    """Name an upload without its extension."""
    return f"d{number:08}"


def etag(number: int) -> str:
    """Return an upload's entity tag."""
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


@dataclass
class FakeBuckets:
    """A fake inbox and its outputs, whose content is generated on request; it keeps the settled state."""

    world: World
    requests: Counter[str] = field(default_factory=Counter)
    kept: bytes = b""

    def get_paginator(self, operation: str) -> FakeBuckets:
        """Return itself as the paginator of the listing."""
        del operation
        return self

    def paginate(
        self,
        Bucket: str,  # noqa: N803 - boto3's
        Prefix: str = "",  # noqa: N803
        StartAfter: str = "",  # noqa: N803
    ) -> Iterator[dict[str, Any]]:
        """List the inbox after a key, all outputs, or one output, in pages of 1,000."""
        first = int(StartAfter[1:9]) + 1 if StartAfter else 0
        keys = self._inbox(first) if Bucket == "inbox" else self._outputs(Prefix)
        while page := list(islice(keys, 1000)):
            self.requests["ListObjectsV2"] += 1
            yield {"Contents": page}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - boto3's
        """Return the settled state, or a manifest; there are no failure reports."""
        del Bucket
        self.requests["GetObject"] += 1
        if Key.startswith(PLACE.key) and self.kept:
            return {"Body": io.BytesIO(self.kept), "ETag": '"kept"'}
        if Key.endswith(".failure.json") or Key.startswith(PLACE.key):
            raise missing_key()
        number = int(Key[1:9])
        if self.world.kind(number) == "backlog":
            raise missing_key()
        objects = self.world.objects
        manifest = {
            "manifest_version": 1,
            "source": {"uri": f"s3://inbox/{name(number)}.raw", "etag": etag(number)},
            "sidecars": [],
            "output": {"objects": objects, "bytes": 7 * objects, "sha256": "0" * 64},
        }
        return {"Body": io.BytesIO(json.dumps(manifest).encode())}

    def put_object(self, Bucket: str, Key: str, Body: bytes, **_: str) -> None:  # noqa: N803 - boto3's
        """Keep the settled state."""
        del Bucket, Key
        self.requests["PutObject"] += 1
        self.kept = Body

    def services(self) -> OperationsServices:
        """Return what reconcile talks to: these buckets, the trigger's code, Prefect and ECS."""
        s3: Any = self
        trigger: Any = FakeTrigger(self.requests)
        prefect: Any = FakePrefect(self.requests)
        decisions = TriggerDecisions(parse_rules(RULES), trigger)
        return OperationsServices(s3, decisions, prefect, prefect)

    def _inbox(self, first: int) -> Iterator[dict[str, Any]]:
        for number in range(first, self.world.uploads):
            yield self._item(f"{name(number)}.raw", number)

    def _outputs(self, prefix: str) -> Iterator[dict[str, Any]]:
        for number in [int(prefix[1:9])] if prefix else range(self.world.uploads):
            kind, store = self.world.kind(number), f"{name(number)}.zarr"
            if kind == "backlog":
                continue
            if not prefix:
                yield self._item(f"{store}.manifest.json", number)
            for chunk in range(self.world.objects - (kind == "output damaged")):
                yield self._item(f"{store}/c/{chunk:03}", number)

    @staticmethod
    def _item(key: str, number: int) -> dict[str, Any]:
        return {"Key": key, "Size": 7, "ETag": f'"{etag(number)}"', "LastModified": WHEN}


@dataclass
class FakeTrigger:
    """S3 for the trigger: every upload begins like an EK60 file."""

    requests: Counter[str]
    head: bytes = field(default_factory=lambda: file_head("EK60"))

    def read_head(self, bucket: str, key: str, **_: Any) -> Any:  # noqa: ANN401 - a fake
        """Return an upload's first bytes."""
        del bucket
        self.requests["GetObject (1 KB)"] += 1
        return ObjectHead(self.head, 5000, etag(int(key[1:9])), None, {}, 0)


@dataclass
class FakePrefect:
    """Prefect and ECS without any run or task; runs are searched in the batches, too."""

    requests: Counter[str]

    def by_identity(self, identities: Collection[str]) -> dict[str, Any]:
        """Find no runs with these identities."""
        del identities
        self.requests["flow_runs/filter"] += 2
        return {}

    def in_states(self, states: Collection[str], since: datetime | None = None) -> list[Any]:
        """Find no runs in these types of state."""
        del states, since
        self.requests["flow_runs/filter"] += 2
        return []

    def with_tasks(self) -> list[Any]:
        """Find no runs that should have a task."""
        self.requests["flow_runs/filter"] += 2
        return []

    def of(self, runs: Any) -> dict[str, bool]:  # noqa: ANN401 - a fake
        """Find no tasks."""
        return {run.id: False for run in runs}


def missing_key() -> Exception:
    """Make S3's error for a missing object."""
    return ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
