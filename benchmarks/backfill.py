"""Measures memory and seconds of `echodrop backfill` with a generated listing, and kills it.

    python -m benchmarks.backfill [--keys 100000] [--kills 3] [--seed 1]

Every message goes directly to the trigger's own code, which decides on each upload,
reads its first bytes and requests its run; fakes in the same process answer. The rate
limit is stubbed (no pause), so the seconds are those of the backfill and the trigger.
Each call runs in its own process. The baseline for memory is a listing of a hundredth
of the size. Then the same listing is sent by calls that are killed (SIGKILL) at random
moments, and every requested run is counted: none may be missing, and a repeated run
must have the identity of the first.
"""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

import typer

from benchmarks.measuring.fake_inbox import RULES
from benchmarks.measuring.measured import ROOT, Measured, called, command_of
from benchmarks.measuring.planted_uploads import etag
from events.file_heads import file_head
from lambda_trigger.clients.aws_answers import ObjectHead
from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.flow_runs import FlowRun
from lambda_trigger.decisions.notifications import read_body
from lambda_trigger.decisions.outcomes import BACKFILL, Upload
from lambda_trigger.decisions.rules_document import parse_rules
from lambda_trigger.submission import Submission
from operations.backfill.archive_sender import Backfill
from operations.backfill.checkpoint import checkpoint_of
from operations.inventory.archive_items import Listing
from operations.sending.back_pressure import BackPressure

# Largest allowed ratio of memory, with 100 times the keys.
MEMORY_AT_MOST = 1.2


@dataclass
class FakeArchive:
    """A fake archive, whose listing is generated on request."""

    keys: int
    requests: Counter[str] = field(default_factory=Counter)

    def get_paginator(self, operation: str) -> FakeArchive:
        """Return itself as the paginator of the listing."""
        del operation
        return self

    def paginate(self, StartAfter: str = "", **_: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - boto3's
        """List in pages of 1,000, after a key."""
        first = number_of(StartAfter) + 1 if StartAfter else 0
        numbers = iter(range(first, self.keys))
        while page := list(islice(numbers, 1000)):
            self.requests["ListObjectsV2"] += 1
            yield {"Contents": list(map(self._item, page))}

    @staticmethod
    def _item(number: int) -> dict[str, Any]:
        key = f"cruise/d{number:08}.raw"
        return {"Key": key, "Size": 7_000_000, "ETag": f'"{etag(number)}"'}


@dataclass
class TriggerBehindQueue:
    """The trigger's queue, read immediately by the trigger's code; records each requested run."""

    notes: IO[str]
    requests: Counter[str]
    head: bytes
    rules: Any

    def get_queue_attributes(self, **_: object) -> dict[str, Any]:
        """Report an empty queue."""
        self.requests["GetQueueAttributes"] += 1
        return {"Attributes": {}}

    def unfinished_in(self, work_queue: str) -> int:
        """Report that no run is unfinished."""
        del work_queue
        self.requests["flow_runs/count"] += 1
        return 0

    def send_message(self, **message: str) -> None:
        """Process one message, as the trigger does."""
        self.requests["SendMessage"] += 1
        me: Any = self
        submission = Submission(self.rules, me, me, Deadline(60))
        for notice in read_body(message["MessageBody"]):
            if not isinstance(notice, Upload):
                raise TypeError(f"not a notification of an upload: {notice}")
            list(submission.settle(notice, None))
        self.notes.flush()

    def read_head(self, bucket: str, key: str, **_: object) -> Any:  # noqa: ANN401 - a fake
        """Answer like S3, with an EK60 file's first bytes."""
        del bucket
        return ObjectHead(self.head, 7_000_000, etag(number_of(key)), None, {}, 0)

    def create_run(self, wanted: Any, _deadline: object) -> Any:  # noqa: ANN401 - a fake
        """Answer like Prefect."""
        number = number_of(wanted.parameters["raw_file"])
        self.notes.write(f"{number} {wanted.idempotency_key}\n")
        return FlowRun("", wanted.name, "Scheduled", created=True)


def number_of(key: str) -> int:
    """Return the number in a key."""
    return int(key[-12:-4])


def send(keys: int, name: str) -> dict[str, Any]:
    """Send the rest of a listing of this size, in this process."""
    rules, folder = parse_rules(RULES), Path(name)
    s3: Any = FakeArchive(keys)
    noted = checkpoint_of("s3://archive/", "queue", folder / "checkpoint.json")
    started = time.perf_counter()
    with (folder / "runs").open("a") as notes:
        trigger: Any = TriggerBehindQueue(notes, s3.requests, file_head("EK60"), rules)
        pressure = BackPressure(trigger, "queue", trigger, BACKFILL)
        for _ in Backfill(rules, Listing(s3, "archive"), noted, trigger, pressure).run():
            pass
    return {
        "seconds": time.perf_counter() - started,
        "requests": dict(s3.requests),
        "sent": noted.sent,
    }


def measured(keys: int) -> tuple[float, Measured]:
    """Send a whole listing in a process of its own: the seconds without imports, and the process."""
    with tempfile.TemporaryDirectory() as folder:
        result, process = called(send, keys, folder)
        check(Path(folder) / "runs", keys, kills=0)
    print(f"{keys:>9,} keys: {result['seconds']:.1f} s, peak {process.megabytes:.0f} MB")
    print(f"          requests {result['requests']}")
    return result["seconds"], process


def killed(keys: int, kills: int, seed: int, seconds: float) -> None:
    """Send a listing with calls that are killed on the way, and count the requested runs."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder, at = Path(name), []
        runs = folder / "runs"
        runs.touch()
        for _ in range(kills):
            size = runs.stat().st_size
            process = subprocess.Popen(command_of(send, keys, name), cwd=ROOT)
            # Python's start-up is not measured.
            while runs.stat().st_size == size and process.poll() is None:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.8 * seconds / (kills + 1)))
            process.kill()
            process.wait()
            checkpoint = folder / "checkpoint.json"
            at.append(json.loads(checkpoint.read_text())["sent"] if checkpoint.exists() else 0)
        result, _ = called(send, keys, name)
        again = check(runs, keys, kills)
        print(
            f"killed {kills} times (seed {seed}), at {at}; the last call ended at {result['sent']:,}"
        )
        print(f"every key is sent; {again} runs were requested again, each with its first identity")


def check(runs: Path, keys: int, kills: int) -> int:
    """Check the requested runs; return how many were requested again.

    Raises:
        SystemExit: a run is missing or has two identities, or more than one message per
            kill is repeated.
    """
    identities: dict[int, set[str]] = defaultdict(set)
    asked = 0
    for line in runs.read_text().splitlines():
        # A kill may cut a line; its message is repeated.
        number, _, identity = line.partition(" ")
        if len(identity) == 64:
            identities[int(number)].add(identity)
            asked += 1
    if missing := set(range(keys)) - identities.keys():
        raise SystemExit(f"{len(missing)} keys were not sent, such as {min(missing)}")
    if any(len(found) > 1 for found in identities.values()):
        raise SystemExit("one upload has two identities")
    if (again := asked - keys) > 20 * kills:
        raise SystemExit(f"{again} runs were requested again")
    return again


def main(keys: int = 100_000, kills: int = 3, seed: int = 1) -> None:
    """Measure both sizes, then kill."""
    (before, small), (seconds, large) = measured(keys // 100), measured(keys)
    memory = large.megabytes / small.megabytes
    print(f"memory, 100 times the keys: x{memory:.2f}, at most x{MEMORY_AT_MOST}")
    print(f"seconds, 100 times the keys: x{seconds / before:.0f}")
    killed(keys, kills, seed, seconds)
    if memory > MEMORY_AT_MOST:
        raise SystemExit("memory grows with the keys")


if __name__ == "__main__":
    typer.run(main)
