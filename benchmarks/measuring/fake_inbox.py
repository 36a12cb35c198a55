"""An inbox of any size with its outputs, runs and tasks, generated in this process."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from benchmarks.measuring.planted_uploads import LONG, NOW, PLANTED, WHEN, World, etag, name
from events.file_heads import file_head
from flows.core.locations import S3Location
from lambda_trigger.clients.aws_answers import ObjectHead
from lambda_trigger.decisions.rules_document import parse_rules
from lambda_trigger.decisions.run_identity import idempotency_key
from operations.clients.connections import OperationsServices
from operations.clients.trigger_decision import TriggerDecisions
from operations.findings.findings import RunFacts

# Where the settled state is.
PLACE = S3Location("output", ".echodrop/reconcile/")
RULES = """
version = 1
inbox_bucket = "inbox"
output_bucket = "output"
archive_buckets = ["archive"]
[[prefix]]
prefix = ""
deployment = "convert-raw-sonar/ecs"
"""


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

    def paginate(self, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - boto3's
        """List the inbox, all outputs, or one output, in pages of 1,000."""
        keys = self._inbox() if Bucket == "inbox" else self._outputs(Prefix)
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
        if (output := self.world.output(number)) in {"", "objects"}:
            raise missing_key()
        source = f"s3://inbox/{name(number)}.{'RAW' if output == 'of another upload' else 'raw'}"
        objects = self.world.objects
        manifest = {
            "manifest_version": 1,
            "source": {
                "uri": source,
                "etag": "0" * 32 if output == "of an older upload" else etag(number),
            },
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
        heads = {"raw": file_head("EK60"), "01A": file_head("AZFP")}
        s3: Any = self
        trigger: Any = FakeTrigger(self.requests, heads)
        prefect: Any = FakePrefect(self.world, self.requests)
        tasks: Any = FakeTasks()
        decisions = TriggerDecisions(parse_rules(RULES), trigger)
        return OperationsServices(s3, decisions, prefect, tasks)

    def _inbox(self) -> Iterator[dict[str, Any]]:
        for number in range(self.world.uploads):
            kind = self.world.kind(number)
            if kind != "output without source":
                age = PLANTED[kind][1] if kind in PLANTED else LONG
                yield self._item(self.world.key(number), number, NOW - age)

    def _outputs(self, prefix: str) -> Iterator[dict[str, Any]]:
        numbers = [int(prefix[1:9])] if prefix else range(self.world.uploads)
        for number in numbers:
            output = self.world.output(number)
            if not output:
                continue
            store = f"{name(number)}.zarr"
            if not prefix and output != "objects":
                yield self._item(f"{store}.manifest.json", number, WHEN)
            for chunk in range(self.world.objects - (output in {"damaged", "objects"})):
                yield self._item(f"{store}/c/{chunk:03}", number, WHEN)

    @staticmethod
    def _item(key: str, number: int, when: datetime) -> dict[str, Any]:
        return {"Key": key, "Size": 7, "ETag": f'"{etag(number)}"', "LastModified": when}


@dataclass
class FakeTrigger:
    """S3 for the trigger: uploads begin like files of their extension's sonar; no settings XML."""

    requests: Counter[str]
    heads: dict[str, bytes]

    def read_head(self, bucket: str, key: str, **_: Any) -> Any:  # noqa: ANN401 - a fake
        """Return an upload's first bytes."""
        del bucket
        self.requests["GetObject (1 KB)"] += 1
        head = self.heads[key.rpartition(".")[2]]
        return ObjectHead(head, 5000, etag(int(key[1:9])), None, {}, 0)

    def list_objects(self, *_: object, **__: object) -> Iterator[object]:
        """List no settings XML."""
        return iter(())


@dataclass
class FakePrefect:
    """Prefect with the runs of the planted uploads."""

    world: World
    requests: Counter[str]
    runs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the runs."""
        for number in range(self.world.uploads):
            kind = self.world.kind(number)
            if kind not in PLANTED or (run := PLANTED[kind][2]) is None:
                continue
            key, (state, called, age) = self.world.key(number), run
            identity = idempotency_key(
                *("convert-raw-sonar/ecs", "inbox", key, etag(number)),
                sidecar_etags={},
                generation=0,
            )
            self.runs[identity] = RunFacts(
                *(kind, "state", state, called, "", 1, NOW - age, f"s3://inbox/{key}")
            )

    def by_identity(self, identities: Collection[str]) -> dict[str, Any]:
        """Find the runs with these identities, and search the batches for the others."""
        self.requests["flow_runs/filter"] += 2
        return {each: self.runs[each] for each in identities if each in self.runs}

    def in_states(self, states: Collection[str], since: datetime | None = None) -> list[Any]:
        """Find the runs in these types of state, and search the batches for others."""
        self.requests["flow_runs/filter"] += 2
        return [
            run
            for run in self.runs.values()
            if run.state_type in states and (since is None or run.since >= since)
        ]

    def with_tasks(self) -> list[Any]:
        """Find the runs that should have a task."""
        self.requests["flow_runs/filter"] += 2
        wanted = {"PENDING", "RUNNING", "CANCELLING"}
        return [run for run in self.runs.values() if run.state_type in wanted]

    def retries(self, run_id: str) -> int:
        """Report that the run was never retried."""
        del run_id
        self.requests["flow_run_states"] += 1
        return 0


class FakeTasks:
    """ECS, in which the task of the stuck run no longer exists."""

    def of(self, runs: Iterable[Any]) -> dict[str, bool]:
        """Report for each run that should have a task whether it has one."""
        return {run.id: run.id == "running" for run in runs if run.state_type == "RUNNING"}


def missing_key() -> Exception:
    """Make S3's error for a missing object."""
    return ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
