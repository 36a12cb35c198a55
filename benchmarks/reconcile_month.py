"""Compares the scheduled reconciliation with a full check every hour: requests and dollars a month.

    python -m benchmarks.reconcile_month [--new-an-hour 10] [--objects 150]

Before: a full check every hour. Now: every hour a check of the uploads that no earlier
check found done, and once a week a full check. Both run reconcile's own code on fake
buckets in this process, which count the requests. The hourly check is counted at each
size. The full check is counted at 1,000 and 10,000 uploads; for larger sizes it is
calculated by a formula that both counts must match: a page for each 1,000 keys of inbox
and outputs, and one request for each manifest. Reading outputs whole in turn is
calculated, and listed separately. A task's seconds are the processor seconds, measured
here if the check is counted, and the round trips: listings one after another, the rest
32 at a time.

At last, full checks of 1,000 and 100,000 uploads, two of each hundred with a problem, each in a
process of its own, give its seconds without network time, and the growth of its memory.
Exits with 1 if a class has a wrong count, the formula does not match, or memory grows.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from benchmarks.measuring.fake_inbox import NOW, PLACE, WHEN, FakeBuckets, World, etag, name
from benchmarks.measuring.measured import called
from operations.clients.parallel import THREADS
from operations.console.report import FindingTally
from operations.findings.findings import Source
from operations.inventory.upload_inspection import READ_AN_HOUR
from operations.reconcile.reconcile_flow import VERIFY_DAYS
from operations.reconcile.reconciliation import Reconciliation
from operations.reconcile.settled import Settled, load_settled, mark_of
from operations.sending.estimates import ARM64, COLD_SECONDS, MONTH_HOURS, S3_GET, S3_PUT

SIZES = (10_000, 100_000, 1_000_000)
COUNTED = (1_000, 10_000)
ROUND_TRIP = 0.05
WEEKS = MONTH_HOURS / (7 * 24)
# Sizes whose memory is compared, and the largest allowed ratio.
GROWTH, MEMORY_AT_MOST = (1_000, 100_000), 1.2
# A listing costs as much as a write.
DOLLARS = {"ListObjectsV2": S3_PUT, "PutObject": S3_PUT}


@dataclass(frozen=True)
class Look:
    """One check: its requests and its processor seconds."""

    requests: Counter[str]
    processor_seconds: float

    @property
    def dollars(self) -> float:
        """Cost of its requests and its task."""
        asked = sum(count * DOLLARS.get(each, S3_GET) for each, count in self.requests.items())
        return asked + ARM64.dollars(1024, 2048, 20, self.task_seconds)

    @property
    def task_seconds(self) -> float:
        """Seconds from `RunTask` to the end."""
        listings = self.requests["ListObjectsV2"]
        others = (self.requests.total() - listings) / THREADS
        return COLD_SECONDS + self.processor_seconds + ROUND_TRIP * (listings + others)


def marks(uploads: int) -> Iterator[bytes]:
    """Return the settled state that a check of so many uploads writes."""
    for number in range(uploads):
        source = Source("inbox", f"{name(number)}.raw", 7, etag(number), WHEN)
        yield mark_of(source, f"{name(number)}.zarr")


def settle(buckets: FakeBuckets, uploads: int) -> None:
    """Store the state that an earlier check of so many uploads wrote."""
    earlier = Settled(NOW)
    for mark in marks(uploads):
        earlier.keep(mark)
    earlier.save(buckets, PLACE, NOW)  # type: ignore[arg-type]  # a fake of boto3's client


def look(buckets: FakeBuckets, *, whole: bool, remembers: bool = True) -> Look:
    """Check once, like the scheduled flow; count the requests."""
    buckets.requests.clear()
    services = buckets.services()
    s3 = services.s3
    began = time.process_time()
    settled = (load_settled(s3, PLACE) if not whole else None) or Settled(NOW)
    reconciliation = Reconciliation(services, now=NOW, settled=settled if remembers else None)
    for _ in reconciliation.findings():
        pass
    if remembers:
        settled.save(s3, PLACE, NOW)
    return Look(Counter(buckets.requests), time.process_time() - began)


def arithmetic(uploads: int, objects: int) -> Counter[str]:
    """Return the requests of a full check; the manifest is one of an output's keys."""
    pages = math.ceil(uploads / 1000) + math.ceil(uploads * (objects + 1) / 1000)
    return Counter({"ListObjectsV2": pages, "GetObject": uploads, "flow_runs/filter": 2})


def reading(uploads: int, objects: int, at_most: float) -> float:
    """Return the dollars per month of reading outputs whole in turn, `at_most` per hour."""
    hours = 24.0 * VERIFY_DAYS
    while uploads > at_most * hours:
        hours *= 2
    requests = Counter({"ListObjectsV2": 2, "GetObject": objects + 1})
    dollars = sum(count * DOLLARS.get(asked, S3_GET) for asked, count in requests.items())
    return uploads / hours * MONTH_HOURS * dollars


def month(uploads: int, new: int, objects: int, seconds_an_upload: float) -> bool:
    """Print requests and dollars per month, before and now; return whether it is cheaper now."""
    buckets = FakeBuckets(World(uploads + new, objects))
    settle(buckets, uploads)
    hourly = look(buckets, whole=False)
    whole = Look(arithmetic(uploads, objects), seconds_an_upload * uploads)
    before = MONTH_HOURS * whole.requests.total()
    now = MONTH_HOURS * hourly.requests.total() + WEEKS * whole.requests.total()
    cost = MONTH_HOURS * whole.dollars
    cost_now = MONTH_HOURS * hourly.dollars + WEEKS * whole.dollars
    read, read_now = (reading(uploads, objects, each) for each in (math.inf, READ_AN_HOUR))
    print(
        f"| {uploads:,} | {before:,.0f} | ${cost:,.2f} | {now:,.0f} | ${cost_now:,.2f} "
        f"| x{cost / cost_now:.0f} | ${read:,.2f} | ${read_now:,.2f} |\n"
        f" hourly check, counted: {dict(hourly.requests)}, {hourly.task_seconds:.0f} s of task, "
        f"${MONTH_HOURS * hourly.dollars:.2f} a month; kept {len(buckets.kept) / 1e6:.1f} MB\n"
        f" full check: {dict(whole.requests)}, {whole.task_seconds / 60:.0f} min of task, "
        f"${whole.dollars:.2f} each",
        flush=True,
    )
    return cost_now < cost


def check_everything(uploads: int) -> dict[str, Any]:
    """Check a generated inbox in this process; the seconds, and the classes with a wrong count."""
    world, tally = World(uploads, 12, has_problems=True), FindingTally()
    began = time.perf_counter()
    for finding in Reconciliation(FakeBuckets(world).services(), now=NOW).findings():
        tally.add(finding)
    seconds = time.perf_counter() - began
    wanted = Counter(map(world.kind, range(uploads)))
    found = Counter({kind.value: count for kind, count in tally.counts.items()})
    return {"seconds": seconds, "wrong": [*((wanted - found) | (found - wanted))]}


def growth() -> list[str]:
    """Print seconds and memory of full checks of two sizes, return the errors."""
    (small, less), (large, more) = (called(check_everything, uploads) for uploads in GROWTH)
    memory = more.megabytes / less.megabytes
    print(
        f"full check, {GROWTH[1]:,} uploads: {large['seconds']:.1f} s, {more.megabytes:.0f} MB,"
        f" x{memory:.2f} of {GROWTH[0]:,} uploads, at most x{MEMORY_AT_MOST}"
    )
    grows = ["memory grows with the uploads"] if memory > MEMORY_AT_MOST else []
    return [*grows, *(f"wrong number of {each}" for each in small["wrong"] + large["wrong"])]


def main(
    new_an_hour: int = 10,
    objects: Annotated[int, typer.Option(help="objects per output")] = 150,
) -> None:
    """Compare the formula with counts, and print the table."""
    wrong, seconds_an_upload = [], 0.0
    for uploads in COUNTED:
        buckets = FakeBuckets(World(uploads, objects))
        counted = look(buckets, whole=True, remembers=False)
        seconds_an_upload = counted.processor_seconds / uploads
        if counted.requests != (reckoned := arithmetic(uploads, objects)):
            wrong.append(f"{uploads:,} uploads: {counted.requests}, calculated {reckoned}")
        print(f"full check, {uploads:,} uploads, counted: {dict(counted.requests)}")
        look(buckets, whole=True)
        stored = load_settled(buckets.services().s3, PLACE)
        if stored is None or stored.known != set(marks(uploads)):
            wrong.append(f"{uploads:,} uploads: the stored marks differ from the expected ones")
    print(f"\n{new_an_hour} new uploads an hour, {objects} objects an output")
    print("| files | requests before | dollars | now | dollars | ratio | reading before | now |")
    print("|---|---|---|---|---|---|---|---|")
    wrong += [
        f"{uploads:,} uploads: it costs more than before"
        for uploads in SIZES
        if not month(uploads, new_an_hour, objects, seconds_an_upload)
    ]
    wrong += growth()
    if wrong:
        raise SystemExit("; ".join(wrong))


if __name__ == "__main__":
    typer.run(main)
