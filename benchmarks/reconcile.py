"""Measures requests, seconds and peak memory of `echodrop reconcile` for two sizes of an inbox.

    python benchmarks/reconcile.py [--uploads 100000] [--objects 12]

The baseline is a listing of a hundredth of the size. Buckets and Prefect are fakes in
the process, so the seconds are reconcile's own. Real requests would add their number
times a round trip, 32 at a time for manifests, one after another for listings. 1 % of
the uploads were not notified, 1 % have lost an object of their output, and there is one
upload of each other class. Each size runs in a separate process. Exits with 1 if an
upload is classified wrongly, or memory grows.
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
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = WHEN + timedelta(days=30)
RULES = """
version = 1
inbox_bucket = "inbox"
output_bucket = "output"
[[prefix]]
prefix = ""
deployment = "convert-raw-sonar/ecs"
"""
LOST, DAMAGED = 17, 42
MEMORY_AT_MOST = 1.2

LONG, SHORT = timedelta(days=2), timedelta(minutes=1)
# By class: extension and age of the upload, state of its run (type, name and age), and its output.
PLANTED: dict[str, tuple[str, timedelta, tuple[str, str, timedelta] | None, str]] = {
    "ignored": ("bot", LONG, None, ""),
    "rejected": ("mp3", LONG, None, ""),
    "arriving": ("raw", SHORT, None, ""),
    "waiting": ("01A", SHORT, None, ""),
    "waiting too long": ("01A", LONG, None, ""),
    "queued": ("raw", LONG, ("SCHEDULED", "Scheduled", SHORT), ""),
    "late": ("raw", LONG, ("SCHEDULED", "Late", LONG), ""),
    "running": ("raw", LONG, ("RUNNING", "Running", SHORT), ""),
    "stuck": ("raw", LONG, ("RUNNING", "Running", LONG), ""),
    "paused": ("raw", LONG, ("PAUSED", "Suspended", LONG), ""),
    "cancelled": ("raw", LONG, ("CANCELLED", "Cancelled", LONG), ""),
    "never notified": ("raw", timedelta(hours=2), None, ""),
    "backlog": ("raw", LONG, None, ""),
    "quarantined": ("raw", LONG, ("FAILED", "BadFile", LONG), ""),
    "failed": ("raw", LONG, ("FAILED", "TransientFault", LONG), ""),
    "crashed": ("raw", LONG, ("CRASHED", "Crashed", LONG), ""),
    "torn": ("raw", LONG, ("CRASHED", "Crashed", LONG), "objects"),
    "superseded": ("raw", LONG, None, "of an older upload"),
    "contested": ("raw", LONG, None, "of another upload"),
    "output missing": ("raw", LONG, ("COMPLETED", "Completed", LONG), ""),
    "output damaged": ("raw", LONG, ("COMPLETED", "Completed", LONG), "damaged"),
    "output without source": ("", LONG, None, "whole"),
}


@dataclass(frozen=True)
class World:
    """The class of each upload: planted problems, two problems in each hundred, the rest done."""

    uploads: int
    objects: int

    def kind(self, number: int) -> str:
        """Class of an upload."""
        step = self.uploads // (len(PLANTED) + 1)
        place, behind = divmod(number, step)
        if behind == 0 and 0 < place <= len(PLANTED):
            return list(PLANTED)[place - 1]
        of_hundred = {LOST: "backlog", DAMAGED: "output damaged"}
        return of_hundred.get(number % 100, "done")

    def planted(self) -> dict[int, str]:
        """Planted classes by upload, one of each."""
        step = self.uploads // (len(PLANTED) + 1)
        return {step * (place + 1): kind for place, kind in enumerate(PLANTED)}

    def key(self, number: int) -> str:
        """Key of an upload."""
        extension = PLANTED[kind][0] if (kind := self.kind(number)) in PLANTED else "raw"
        return f"{name(number)}.{extension}"

    def output(self, number: int) -> str:
        """The state of an output: nothing, an intact store, or a store with a problem."""
        kind = self.kind(number)
        return PLANTED[kind][3] if kind in PLANTED else "whole"


@dataclass
class FakeBuckets:
    """A fake inbox and its outputs, whose content is generated on request."""

    world: World
    requests: Counter[str] = field(default_factory=Counter)

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
        """Return a manifest; there are no failure reports."""
        del Bucket
        self.requests["GetObject"] += 1
        if Key.endswith(".failure.json"):
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
        from lambda_trigger.clients.aws_api import ObjectHead  # noqa: PLC0415 - only the measured process needs it

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
        from lambda_trigger.decisions.run_identity import idempotency_key  # noqa: PLC0415
        from operations.findings.findings import RunFacts  # noqa: PLC0415

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


def name(number: int) -> str:
    """Name an upload without its extension."""
    return f"d{number:08}"


def etag(number: int) -> str:
    """Return an upload's entity tag."""
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def missing_key() -> Exception:
    """Make S3's error for a missing object."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - only the measured process needs it

    return ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")


def measure(uploads: int, objects: int) -> dict[str, Any]:
    """Reconcile a fake inbox of this size in this process."""
    from events.file_heads import file_head  # noqa: PLC0415 - only the measured process needs it
    from lambda_trigger.decisions.rules_document import parse_rules  # noqa: PLC0415
    from operations.clients.services import OperationsServices  # noqa: PLC0415
    from operations.clients.trigger_decision import TriggerDecisions  # noqa: PLC0415
    from operations.console.report import FindingTally  # noqa: PLC0415
    from operations.reconcile.reconciliation import Reconciliation  # noqa: PLC0415

    world = World(uploads, objects)
    s3: Any = FakeBuckets(world)
    heads = {"raw": file_head("EK60"), "01A": file_head("AZFP")}
    trigger: Any = FakeTrigger(s3.requests, heads)
    prefect: Any = FakePrefect(world, s3.requests)
    tally, planted, found = FindingTally(), world.planted(), {}
    started = time.perf_counter()
    services = OperationsServices(
        s3, TriggerDecisions(parse_rules(RULES), trigger), prefect, FakeTasks()
    )
    for finding in Reconciliation(services, now=NOW).findings():
        tally.add(finding)
        number = int(finding.uri.rpartition("/")[2][1:9])
        if number in planted:
            found[number] = finding.kind.value
    seconds = time.perf_counter() - started
    counts = {kind.value: count for kind, count in tally.counts.items()}
    return {
        "seconds": seconds,
        "requests": dict(s3.requests),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "counts": counts,
        "not_found": [
            f"{kind}, classified as {found.get(number, 'nothing')}"
            for number, kind in planted.items()
            if found.get(number) != kind
        ],
        "miscounted": [
            f"{kind}: {counts.get(kind, 0)} instead of {wanted}"
            for kind, wanted in Counter(map(world.kind, range(uploads))).items()
            if counts.get(kind, 0) != wanted
        ],
    }


def main() -> None:
    """Measure both sizes and print them with their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=100_000)
    parser.add_argument("--objects", type=int, default=12, help="objects per output")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.objects)))
        return
    results = {}
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
            command, stdout=subprocess.PIPE, check=True, env={"PYTHONPATH": str(PROJECT)}
        )
        results[uploads] = json.loads(done.stdout)
        found = results[uploads]
        print(f"{uploads:>9,} uploads: {found['seconds']:.1f} s, peak {found['peak_mb']:.0f} MB")
        print(f"          requests {found['requests']}")
        print(f"          found {found['counts']}")
    small, large = results.values()
    memory = large["peak_mb"] / small["peak_mb"]
    print(f"memory, 100 times the uploads: x{memory:.2f}, at most x{MEMORY_AT_MOST}")
    print(f"seconds, 100 times the uploads: x{large['seconds'] / small['seconds']:.0f}")
    wrong = [
        each for found in results.values() for each in found["not_found"] + found["miscounted"]
    ]
    if memory > MEMORY_AT_MOST:
        wrong.append("memory grows with the uploads")
    if wrong:
        raise SystemExit("; ".join(wrong))
    print(f"one of each of {len(PLANTED)} classes planted and classified correctly")


if __name__ == "__main__":
    main()
