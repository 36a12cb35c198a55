"""Compares flow runs per second created by the trigger with those of a bare client loop.

Eight Lambda environments read notifications from the queue, read the beginning of each
object and create its run in Prefect. The bare loop has eight connections that only send
the same requests to Prefect. Both use the same server on PostgreSQL, alternately:

    python -m benchmarks.trigger.storm [--uploads 300] [--rounds 2]

Exits with 1 if the trigger creates fewer than 0.85 of the bare loop's runs.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import typer
import urllib3

from events.file_heads import file_head
from events.notifications import ENVELOPES, NotifiedObject
from sandbox.parts.waiting import wait_until
from sandbox.system import Sandbox, SandboxOptions
from sandbox.trigger_log import TriggerLog

CONCURRENCY = 8
TARGET = 0.85


def bare_loop(sandbox: Sandbox, count: int) -> float:
    """Create flow runs on persistent connections; return how many per second."""
    http = urllib3.PoolManager(maxsize=CONCURRENCY, block=True)
    api, bucket = sandbox.prefect_api_url, sandbox.names.inbox_bucket
    known = http.request("GET", f"{api}/deployments/name/convert-raw-sonar/ecs").json()

    def create(number: int) -> None:
        run = {
            "name": f"{number} · EK60 · bare",
            "tags": [f"bucket:{bucket}", "model:EK60", "cruise:bare"],
            "idempotency_key": uuid.uuid4().hex,
            "parameters": {
                "raw_file": f"s3://{bucket}/bare/{number}.raw",
                "sonar_model": "EK60",
                "output_path": f"s3://{sandbox.names.output_bucket}/bare/{number}.zarr",
                "output_type": "zarr",
                "overwrite": True,
            },
            "job_variables": {},
        }
        answer = http.request(
            "POST",
            f"{api}/deployments/{known['id']}/create_flow_run",
            body=json.dumps(run).encode(),
            headers={"Content-Type": "application/json"},
        )
        if answer.status != 201:
            raise RuntimeError(f"Prefect answered {answer.status}: {answer.data[:200]!r}")

    started = time.perf_counter()
    with ThreadPoolExecutor(CONCURRENCY) as threads:
        list(threads.map(create, range(count)))
    return count / (time.perf_counter() - started)


def trigger_path(sandbox: Sandbox, count: int) -> float:
    """Put notifications into the queue; return how many new runs there were per second."""
    s3, sqs = sandbox.client("s3"), sandbox.client("sqs")
    bucket, cruise = sandbox.names.inbox_bucket, uuid.uuid4().hex
    queue = sqs.get_queue_url(QueueName=sandbox.names.notifications_queue)["QueueUrl"]
    objects = []
    for number in range(count):
        key, body = f"{cruise}/{number}.raw", file_head("EK60")
        etag = s3.put_object(Bucket=bucket, Key=key, Body=body)["ETag"].strip('"')
        objects.append(NotifiedObject(bucket, key, len(body), etag))
    bodies = [ENVELOPES["eventbridge"](each) for each in objects]
    log, made = TriggerLog(sandbox.state.logs), 0
    list(log.new_outcomes())

    def all_made() -> bool:
        nonlocal made
        made += sum(outcome.reason == "new" for outcome in log.new_outcomes())
        return made >= count

    started = time.perf_counter()
    for first in range(0, count, 10):
        entries = [
            {"Id": str(number), "MessageBody": body}
            for number, body in enumerate(bodies[first : first + 10])
        ]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    wait_until(all_made, 600, f"{count} new runs", describe=lambda: str(made))
    return count / (time.perf_counter() - started)


def main(uploads: int = 300, rounds: int = 2) -> None:
    """Measure and print."""
    options = SandboxOptions(
        database="postgresql",
        triggers=CONCURRENCY,
        runs_tasks=False,
        function_timeout=60,
        visibility_timeout=70,
    )
    bare, ours = [], []
    with tempfile.TemporaryDirectory() as folder, Sandbox(Path(folder), options) as sandbox:
        # Only the benchmark sends notifications.
        sandbox.client("s3").put_bucket_notification_configuration(
            Bucket=sandbox.names.inbox_bucket, NotificationConfiguration={}
        )
        # One unmeasured round warms up every environment and the server.
        trigger_path(sandbox, 10 * CONCURRENCY)
        bare_loop(sandbox, 10 * CONCURRENCY)
        for _ in range(rounds):
            bare.append(bare_loop(sandbox, uploads))
            ours.append(trigger_path(sandbox, uploads))
    # Each rate has the same number of creates, so the harmonic mean is the total rate.
    of_bare = len(bare) / sum(1 / rate for rate in bare)
    of_ours = len(ours) / sum(1 / rate for rate in ours)
    print(f"creates a second at concurrency {CONCURRENCY}, {rounds} x {uploads}")
    print(f"  bare client loop  {of_bare:6.1f}   ({', '.join(f'{rate:.1f}' for rate in bare)})")
    print(f"  the trigger       {of_ours:6.1f}   ({', '.join(f'{rate:.1f}' for rate in ours)})")
    print(f"  ratio             {of_ours / of_bare:6.2f}   (target {TARGET})")
    print(f"  load at the end   {os.getloadavg()[0]:6.1f}   on {os.cpu_count()} cores")
    sys.exit(of_ours < TARGET * of_bare)


if __name__ == "__main__":
    typer.run(main)
