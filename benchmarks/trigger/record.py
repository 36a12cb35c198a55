"""Measures the time of a record in a warm trigger, above that of its GET and POST.

The handler uses moto and a real Prefect server. It runs alternately with the same two
bare requests on persistent connections:

    python -m benchmarks.trigger.record [--records 200]

Exits with 1 if a record takes over 15 ms more than its requests.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import boto3
import urllib3

from benchmarks.measuring.servers import PATIENT, moto, port_of, prefect_on_sqlite, running
from events.file_heads import file_head
from events.notifications import NotifiedObject, in_sqs, notification_bodies
from sandbox.aws.event_source import SandboxLambdaContext
from sandbox.parts.environments import aws_environment
from sandbox.parts.ports import HOST

REGION = "eu-west-1"
INBOX = "inbox"
LIMIT_MS = 15.0
RULES = f"""
version = 1
inbox_bucket = "{INBOX}"
output_bucket = "output"
[[prefix]]
prefix = ""
deployment = "convert-raw-sonar/ecs"
"""


def measure(records: int, aws_url: str, prefect_url: str) -> tuple[list[float], list[float]]:
    """Return the seconds of each record in the handler, and of each pair of bare requests."""
    http = urllib3.PoolManager(retries=PATIENT)
    flow = http.request("POST", f"{prefect_url}/flows/", json={"name": "convert-raw-sonar"}).json()
    http.request("POST", f"{prefect_url}/work_pools/", json={"name": "echodrop", "type": "ecs"})
    deployment = http.request(
        "POST",
        f"{prefect_url}/deployments/",
        json={"name": "ecs", "flow_id": flow["id"], "work_pool_name": "echodrop"},
    ).json()
    s3: Any = boto3.client("s3", endpoint_url=aws_url)
    s3.create_bucket(Bucket=INBOX, CreateBucketConfiguration={"LocationConstraint": REGION})
    boto3.client("ssm", endpoint_url=aws_url).put_parameter(
        Name="/rules", Type="String", Value=RULES
    )
    from lambda_trigger.handler import handler  # noqa: PLC0415 - after its environment is set

    content = file_head("EK60")
    etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    context: Any = SandboxLambdaContext("trigger", timeout=60)
    ours: list[float] = []
    bare: list[float] = []
    for number in range(records + 5):
        key = f"HB0706/EK60/{number}.raw"
        s3.put_object(Bucket=INBOX, Key=key, Body=content)
        (body,) = notification_bodies([NotifiedObject(INBOX, key, len(content), etag)])
        event = in_sqs([body])
        written = io.StringIO()
        started = time.perf_counter()
        with contextlib.redirect_stdout(written):
            answer = handler(event, context)
        ours.append(time.perf_counter() - started)
        if answer != {"batchItemFailures": []}:
            raise RuntimeError(f"the record failed: {written.getvalue()}")
        run = {
            "name": f"{number} · EK60 · HB0706",
            "tags": [f"bucket:{INBOX}", "model:EK60", "cruise:HB0706"],
            "idempotency_key": uuid.uuid4().hex,
            "parameters": {"raw_file": f"s3://{INBOX}/{key}", "sonar_model": "EK60"},
            "job_variables": {},
        }
        text = json.dumps(run).encode()
        started = time.perf_counter()
        http.request("GET", f"{aws_url}/{INBOX}/{key}", headers={"Range": "bytes=0-1023"})
        http.request(
            "POST",
            f"{prefect_url}/deployments/{deployment['id']}/create_flow_run",
            body=text,
            headers={"Content-Type": "application/json"},
        )
        bare.append(time.perf_counter() - started)
    return ours[5:], bare[5:]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200)
    records = parser.parse_args().records
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with moto(folder) as aws_port, running(prefect_on_sqlite(folder)) as server:
            aws_url = f"http://{HOST}:{aws_port}"
            prefect_url = f"http://{HOST}:{port_of(server)}/api"
            os.environ |= {
                **aws_environment(aws_url),
                "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
                "ECHODROP_RULES_PARAMETER": "/rules",
                "ECHODROP_STACK": "echodrop",
                "PREFECT_API_URL": prefect_url,
            }
            ours, bare = measure(records, aws_url, prefect_url)
    record, requests = statistics.median(ours) * 1000, statistics.median(bare) * 1000
    print(f"warm, median of {records}:")
    print(f"  a record through the handler  {record:7.1f} ms")
    print(f"  its GET and POST, bare        {requests:7.1f} ms")
    above = record - requests
    print(f"  above them                    {above:7.1f} ms   ratio {record / requests:.2f}")
    sys.exit(above > LIMIT_MS)


if __name__ == "__main__":
    main()
