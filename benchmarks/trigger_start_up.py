"""Measures the trigger's start, up to its first request for an event, and the size of its zip.

It uses the real runtime client (awslambdaric), and runs alternately with a Lambda that
does the same with Prefect's `run_deployment`:

    python -m benchmarks.trigger_start_up [--rounds 20]

Exits with 1 if the trigger takes over half of the other's time, or its zip is over 1.5 MB.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from functools import partial
from pathlib import Path

import prefect
import typer

from benchmarks.measuring.measured import ROOT, in_turn
from tests.contract.runtime_api import RuntimeApi, runtime_packages, start_function

RATIO_LIMIT = 0.5
ZIP_LIMIT = 1_500_000
BASELINE = """
import json
from urllib.parse import unquote_plus

import boto3
from prefect.deployments import run_deployment

s3 = None


def handler(event, context):
    global s3
    s3 = s3 or boto3.client("s3")
    for record in event["Records"]:
        for item in json.loads(record["body"])["Records"]:
            bucket, key = item["s3"]["bucket"]["name"], unquote_plus(item["s3"]["object"]["key"])
            head = s3.get_object(Bucket=bucket, Key=key, Range="bytes=0-1023")["Body"].read()
            model = "EK60" if head[4:8] == b"CON0" else "EK80"
            run_deployment(
                "convert-raw-sonar/ecs",
                parameters={"raw_file": f"s3://{bucket}/{key}", "sonar_model": model},
                timeout=0,
                idempotency_key=f"{bucket}/{key}/{item['s3']['object']['eTag']}",
            )
    return {"batchItemFailures": []}
"""


def seconds_to_first_next(artifact: Path, handler: str, packages: list[Path]) -> float:
    """Start a function and time it until it requests its first event."""
    with RuntimeApi() as api:
        started = time.monotonic()
        process = start_function(
            artifact,
            handler,
            api,
            environment={"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"},
            packages=packages,
            output=subprocess.DEVNULL,
        )
        try:
            api.wait_for_first_next(60)
        finally:
            process.kill()
            process.wait()
    if api.first_next_at is None:
        raise RuntimeError("the function never requested an event")
    return api.first_next_at - started


def main(rounds: int = 20) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ours, baseline, plain = folder / "ours", folder / "baseline", folder / "plain"
        build = ["make", "--silent", "-C", str(ROOT / "lambda_trigger"), "build-Trigger"]
        site_packages = Path(prefect.__file__).parents[1]
        for artifact, python in ((ours, sys.executable), (plain, "/no/python")):
            variables = [f"ARTIFACTS_DIR={artifact}", f"RUNTIME_PYTHON={python}"]
            variables.append(f"PACKAGES={site_packages}")
            subprocess.run(build + variables, check=True)
        baseline.mkdir()
        (baseline / "baseline.py").write_text(BASELINE)
        runtime = [runtime_packages(folder / "runtime")]
        functions = {
            "trigger": (ours, "lambda_trigger.handler.handler", runtime),
            "trigger, not compiled": (plain, "lambda_trigger.handler.handler", runtime),
            "run_deployment": (baseline, "baseline.handler", [site_packages]),
        }
        ways = {name: partial(seconds_to_first_next, *each) for name, each in functions.items()}
        in_turn(ways, 1)  # not measured, so that files are cached
        times = in_turn(ways, rounds)
        archive = folder / "trigger.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(ours.rglob("*")):
                packed.write(path, path.relative_to(ours))
        size = archive.stat().st_size
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"process start to first request for an event, median of {rounds}:")
    for name, seconds in medians.items():
        ratio = seconds / medians["run_deployment"]
        print(f"  {name:24s} {seconds * 1000:7.0f} ms   {ratio:.2f} of run_deployment")
    print(f"zip: {size / 1e6:.3f} MB (limit {ZIP_LIMIT / 1e6} MB)")
    sys.exit(size > ZIP_LIMIT or medians["trigger"] > RATIO_LIMIT * medians["run_deployment"])


if __name__ == "__main__":
    typer.run(main)
