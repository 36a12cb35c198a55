"""Measures the time of a record in a warm trigger, above that of its GET and POST.

The handler uses moto and a real Prefect server. It runs alternately with the same two
bare requests on persistent connections:

    python -m benchmarks.trigger.record [--records 200]

Exits with 1 if a record takes over 15 ms more than its requests.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import statistics
import sys
import time
import uuid
from functools import partial
from typing import Any

import boto3
import typer
import urllib3

from benchmarks.measuring.measured import timed
from benchmarks.measuring.servers import PATIENT, FlowRunServer, flow_runs, moto
from events.file_heads import file_head
from events.notifications import ENVELOPES, NotifiedObject, in_sqs
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
deployment = "convert-raw-sonar/benchmark"
"""


def measure(records: int, aws_url: str, server: FlowRunServer) -> tuple[list[float], list[float]]:
    """Return the seconds of each record in the handler, and of each pair of bare requests."""
    s3: Any = boto3.client("s3")
    s3.create_bucket(Bucket=INBOX, CreateBucketConfiguration={"LocationConstraint": REGION})
    boto3.client("ssm").put_parameter(Name="/rules", Type="String", Value=RULES)
    from lambda_trigger.handler import handler  # noqa: PLC0415 - after its environment is set

    http, content = urllib3.PoolManager(retries=PATIENT), file_head("EK60")
    etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    context: Any = SandboxLambdaContext("trigger", timeout=60)
    create = f"{server.api_url}/deployments/{server.deployment}/create_flow_run"
    ours: list[float] = []
    bare: list[float] = []
    for number in range(records + 5):
        key = f"HB0706/EK60/{number}.raw"
        s3.put_object(Bucket=INBOX, Key=key, Body=content)
        body = ENVELOPES["eventbridge"](NotifiedObject(INBOX, key, len(content), etag))
        event, written = in_sqs([body]), io.StringIO()
        with contextlib.redirect_stdout(written):
            ours.append(timed(partial(handler, event, context)))
        if '"Retried"' in written.getvalue():
            raise RuntimeError(f"the record failed: {written.getvalue()}")
        run = {
            "name": f"{number} · EK60 · HB0706",
            "tags": [f"bucket:{INBOX}", "model:EK60", "cruise:HB0706"],
            "idempotency_key": uuid.uuid4().hex,
            "parameters": {"raw_file": f"s3://{INBOX}/{key}", "sonar_model": "EK60"},
            "job_variables": {},
        }
        started = time.perf_counter()
        http.request("GET", f"{aws_url}/{INBOX}/{key}", headers={"Range": "bytes=0-1023"})
        http.request("POST", create, json=run)
        bare.append(time.perf_counter() - started)
    return ours[5:], bare[5:]


def main(records: int = 200) -> None:
    """Measure and print."""
    with flow_runs() as server, moto(server.home) as aws_port:
        aws_url = f"http://{HOST}:{aws_port}"
        os.environ |= {
            **aws_environment(aws_url),
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "ECHODROP_RULES_PARAMETER": "/rules",
            "ECHODROP_STACK": "echodrop",
            "PREFECT_API_URL": server.api_url,
        }
        ours, bare = measure(records, aws_url, server)
    record, requests = statistics.median(ours) * 1000, statistics.median(bare) * 1000
    print(f"warm, median of {records}:")
    print(f"  a record through the handler  {record:7.1f} ms")
    print(f"  its GET and POST, bare        {requests:7.1f} ms")
    above = record - requests
    print(f"  above them                    {above:7.1f} ms   ratio {record / requests:.2f}")
    sys.exit(above > LIMIT_MS)


if __name__ == "__main__":
    typer.run(main)
