"""Compares how soon live uploads start during a throttled backfill and on an idle system.

    python -m benchmarks.live_during_backfill REAL_DATA [--files 200] [--live 5] [--database sqlite]

It uses one sandbox. First, live uploads are made one after another while nothing else
runs: the baseline. Then `echodrop backfill` sends copies of a real EK80 file of 33 KB
from an archive bucket, throttled by its own limits and grouped into batches. While its
runs wait and run, the same number of live uploads is made. Nothing is stubbed: each
file is converted.

On Fargate tasks do not wait for each other. The sandbox can run two tasks more than the
backfill lane allows. So here, too, only the system itself can delay a live upload: the
trigger's queue with the backfill's messages, the pool's queues, the worker, the
database. But the tasks share the processors: the times from the task's start on are
those of a machine that the backfill keeps busy.

Prints the medians and ratios of each stage; how long the backfill's own runs waited in
the same minutes, which is how long a live upload would wait without its lane; how many of
them were waiting; and the number of outputs whose manifest has this file's checksum.
Exits with 1 if a file has no such manifest, if a live upload began after all backfill
runs that were waiting when it was requested, or if none was waiting, because then the
backfill was over too soon for a result.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from benchmarks.measuring.live_uploads import (
    WAIT_SECONDS,
    Drops,
    Live,
    RunTimes,
    print_stages,
    run_times,
)
from flows.core.locations import MANIFEST_SUFFIX
from flows.publishing.manifest import read_manifest
from lambda_trigger.decisions.outcomes import BACKFILL
from sandbox.inbox import SandboxInbox
from sandbox.parts.environments import system_environment
from sandbox.parts.waiting import wait_until
from sandbox.prefect.prefect_api import FINAL_STATES
from sandbox.system import Sandbox, SandboxOptions

SMALL = "ek80/-1519668699940320059.raw"
ARCHIVE = "echodrop-archive"
# Uploads per message of the backfill, and so files per batch.
TOGETHER = 20
# Uploads a second, unfinished runs of the backfill; and its concurrent tasks.
LIMITS = ("--rate", "20", "--outstanding", "4", "--together", str(TOGETHER))
LANE = 1
BATCH_RULE = f"""
[batch]
up_to_bytes = 20_000_000
max_files = {TOGETHER}
lanes = ["{BACKFILL}"]
"""


def lane_runs(sandbox: Sandbox) -> list[dict[str, Any]]:
    """List the runs of the backfill lane, of batches and of single files."""
    body = {"flow_runs": {"work_queue_name": {"any_": [BACKFILL]}}, "limit": 200}
    runs: list[dict[str, Any]] = sandbox.api.request("POST", "/flow_runs/filter", body)
    return runs


def start_backfill(sandbox: Sandbox, folder: Path) -> subprocess.Popen[str]:
    """Start the command as an operator of the sandbox's stack would."""
    stack = sandbox.stack.resolver.account.stack_name
    command = ["backfill", f"s3://{ARCHIVE}/", "--stack", stack, "--json", *LIMITS]
    return subprocess.Popen(
        [sys.executable, "-m", "echodrop", *command, "--checkpoint", str(folder / "checkpoint")],
        env={**system_environment(), **sandbox.environment()},
        stdout=subprocess.PIPE,
        text=True,
    )


def make_archive(sandbox: Sandbox, file: Path, count: int) -> list[str]:
    """Put copies into a bucket without notifications."""
    s3, keys = sandbox.client("s3"), [f"cruise/{number:04}.raw" for number in range(count)]
    s3.create_bucket(Bucket=ARCHIVE)
    for key in keys:
        s3.put_object(Bucket=ARCHIVE, Key=key, Body=file.read_bytes())
    return keys


def have_batches(sandbox: Sandbox) -> None:
    """Add batches of small backfill files to the rules, unless they have them already."""
    ssm, name = sandbox.client("ssm"), sandbox.names.rules_parameter
    rules = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    if "[batch]" not in rules:
        ssm.put_parameter(Name=name, Value=rules + BATCH_RULE, Type="String", Overwrite=True)


def verified(sandbox: Sandbox, sources: Sequence[str], sha256: str) -> int:
    """Count the sources that have a manifest with this checksum."""
    s3, output, inbox = sandbox.client("s3"), sandbox.names.output_bucket, SandboxInbox(sandbox)
    found = set()
    for key in inbox.outputs():
        if not key.endswith(MANIFEST_SUFFIX):
            continue
        manifest = read_manifest(s3.get_object(Bucket=output, Key=key)["Body"].read(), key)
        if manifest["source"]["sha256"] == sha256 and manifest["verification"]["objects_read"]:
            found.add(manifest["source"]["uri"])
    return len(found & set(sources))


def problems_of_order(during: Sequence[Live], lane: Sequence[RunTimes]) -> list[str]:
    """Print how many runs waited for each live upload; the uploads that were not ahead of them."""
    problems = []
    for number, live in enumerate(during, 1):
        requested, begun = live.times.created, live.times.started
        waiting = [
            times
            for times in lane
            if times.created < requested and (not times.pending or times.pending > requested)
        ]
        before = [each for each in waiting if each.started and begun and each.started < begun]
        print(
            f"live {number}: {live.messages} messages in the trigger's queue before it, "
            f"{len(waiting)} runs of the backfill waited, {len(before)} of them began before it"
        )
        if len(before) == len(waiting):
            problems.append(f"live upload {number}: no run of the backfill waited and began later")
    return problems


def measure(sandbox: Sandbox, folder: Path, file: Path, files: int, live: int) -> list[str]:
    """Run both parts and print the results; return the problems."""
    drops = Drops(sandbox, file)
    have_batches(sandbox)
    # The first upload warms up the trigger and the worker.
    drops.drop("live/first.raw")
    baseline = [drops.drop(f"live/idle-{number}.raw") for number in range(live)]
    archive = make_archive(sandbox, file, files)

    started = time.monotonic()
    backfill = start_backfill(sandbox, folder)
    try:
        wait_until(
            lambda: (
                {"RUNNING", "SCHEDULED"} <= {run["state"]["type"] for run in lane_runs(sandbox)}
            ),
            WAIT_SECONDS,
            "backfill runs that run and that wait",
            every=0.5,
        )
        during = [drops.drop(f"live/during-{number}.raw") for number in range(live)]
        out, _ = backfill.communicate(timeout=WAIT_SECONDS)
    finally:
        if backfill.poll() is None:
            backfill.kill()
            backfill.communicate()
    if backfill.returncode:
        raise SystemExit(f"echodrop backfill: exit code {backfill.returncode}: {out}")
    wait_until(lambda: all_ended(sandbox), WAIT_SECONDS, "the backfill's runs to end", every=1)
    seconds = time.monotonic() - started

    runs = lane_runs(sandbox)
    lane = [run_times(sandbox.api, run["id"]) for run in runs]
    print_stages(baseline, during)
    waits = [(times.pending - times.created).total_seconds() for times in lane if times.pending]
    print(f"requested -> taken, the backfill's own runs: {statistics.median(waits):.2f} (median)")
    problems = problems_of_order(during, lane)
    sources = [f"s3://{ARCHIVE}/{key}" for key in archive]
    sources += [SandboxInbox(sandbox).uri(key) for key in drops.keys]
    good = verified(sandbox, sources, hashlib.sha256(file.read_bytes()).hexdigest())
    print(
        f"\nbackfill: {json.loads(out)['sent']} uploads in {len(runs)} runs, {seconds:.0f} s; "
        f"{good} of {len(sources)} outputs verified, {len(drops.keys)} of them live"
    )
    if good != len(sources):
        problems.append(f"{len(sources) - good} files have no manifest")
    return problems


def all_ended(sandbox: Sandbox) -> bool:
    """Whether the backfill's runs have ended."""
    sandbox.check()
    return {run["state"]["type"] for run in lane_runs(sandbox)} <= FINAL_STATES


def main(
    real_data: Path,
    files: Annotated[int, typer.Option(help="files in the archive")] = 200,
    live: Annotated[int, typer.Option(help="live uploads in each part")] = 5,
    database: Literal["postgresql", "sqlite"] = "postgresql",
) -> None:
    """Measure and print."""
    set_up = SandboxOptions(
        database=database,
        parallel_tasks=LANE + 2,
        products=False,
        parameters={
            "BackfillConcurrency": str(LANE),
            "ArchiveBucketArns": f"arn:aws:s3:::{ARCHIVE}",
        },
    )
    with tempfile.TemporaryDirectory() as name, Sandbox(Path(name) / "sandbox", set_up) as sandbox:
        problems = measure(sandbox, Path(name), real_data / SMALL, files, live)
    for problem in problems:
        print(f"PROBLEM: {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    typer.run(main)
