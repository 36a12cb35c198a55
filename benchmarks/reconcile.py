"""Measures requests, seconds and peak memory of `echodrop reconcile` for two sizes of an inbox.

    python -m benchmarks.reconcile [--uploads 100000] [--objects 12]

The baseline is a listing of a hundredth of the size. Buckets and Prefect are fakes in
the process, so the seconds are reconcile's own. Real requests would add their number
times a round trip, 32 at a time for manifests, one after another for listings. 1 % of
the uploads were not notified, 1 % have lost an object of their output, and there is one
upload of each other class. Each size runs in a separate process. Exits with 1 if an
upload is classified wrongly, or memory grows.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from typing import Any

from benchmarks.measuring.fake_inbox import FakeBuckets
from benchmarks.measuring.measured import called
from benchmarks.measuring.planted_uploads import NOW, PLANTED, World
from operations.console.report import FindingTally
from operations.reconcile.reconciliation import Reconciliation

MEMORY_AT_MOST = 1.2


def measure(uploads: int, objects: int) -> dict[str, Any]:
    """Reconcile a fake inbox of this size in this process."""
    world = World(uploads, objects)
    buckets = FakeBuckets(world)
    tally, planted, found = FindingTally(), world.planted(), {}
    started = time.perf_counter()
    for finding in Reconciliation(buckets.services(), now=NOW).findings():
        tally.add(finding)
        number = int(finding.uri.rpartition("/")[2][1:9])
        if number in planted:
            found[number] = finding.kind.value
    seconds = time.perf_counter() - started
    counts = {kind.value: count for kind, count in tally.counts.items()}
    return {
        "seconds": seconds,
        "requests": dict(buckets.requests),
        "counts": counts,
        "wrong": [
            *(
                f"{kind}, classified as {found.get(number, 'nothing')}"
                for number, kind in planted.items()
                if found.get(number) != kind
            ),
            *(
                f"{kind}: {counts.get(kind, 0)} instead of {wanted}"
                for kind, wanted in Counter(map(world.kind, range(uploads))).items()
                if counts.get(kind, 0) != wanted
            ),
        ],
    }


def main() -> None:
    """Measure both sizes and print them with their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=100_000)
    parser.add_argument("--objects", type=int, default=12, help="objects per output")
    options = parser.parse_args()
    results, megabytes = [], []
    for uploads in (options.uploads // 100, options.uploads):
        found, measured = called(measure, uploads, options.objects)
        results.append(found)
        megabytes.append(measured.megabytes)
        print(f"{uploads:>9,} uploads: {found['seconds']:.1f} s, peak {megabytes[-1]:.0f} MB")
        print(f"          requests {found['requests']}")
        print(f"          found {found['counts']}")
    small, large = results
    memory = megabytes[1] / megabytes[0]
    print(f"memory, 100 times the uploads: x{memory:.2f}, at most x{MEMORY_AT_MOST}")
    print(f"seconds, 100 times the uploads: x{large['seconds'] / small['seconds']:.0f}")
    wrong = [each for found in results for each in found["wrong"]]
    if memory > MEMORY_AT_MOST:
        wrong.append("memory grows with the uploads")
    if wrong:
        raise SystemExit("; ".join(wrong))
    print(f"one of each of {len(PLANTED)} classes planted and classified correctly")


if __name__ == "__main__":
    main()
