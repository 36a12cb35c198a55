"""Measures the import time of each package that the trigger could use, above an empty Python.

python -m benchmarks.trigger.imports [--rounds 15]
"""

from __future__ import annotations

import sys
from functools import partial

import typer

from benchmarks.measuring.measured import in_turn, median, run

RUNTIME = "import awslambdaric.bootstrap"
PARTS = {
    "the runtime client alone": "pass",
    "http.client and ssl": "import http.client, ssl",
    "urllib3": "import urllib3",
    "urllib3, botocore's signer": "import urllib3, botocore.auth, botocore.awsrequest",
    "boto3 with an S3 client": "import boto3; boto3.client('s3', region_name='eu-west-1')",
    "powertools' logger and EMF": "from aws_lambda_powertools.logging.logger import Logger; "
    "from aws_lambda_powertools.metrics.provider.cloudwatch_emf import cloudwatch",
    "powertools' batch processor": "from aws_lambda_powertools.utilities.batch import BatchProcessor",
    "powertools' data classes": "from aws_lambda_powertools.utilities.data_classes import SQSEvent",
    "httpx": "import httpx",
    "pydantic": "from pydantic import BaseModel, Field",
    "prefect's run_deployment": "from prefect.deployments import run_deployment",
    "the trigger": "import lambda_trigger.handler",
}


def main(rounds: int = 15) -> None:
    """Measure all parts in turn and print their medians."""
    ways = {
        name: partial(run, [sys.executable, "-c", f"{RUNTIME}; {code}"])
        for name, code in PARTS.items()
    }
    in_turn(ways, 1)  # not measured, so that files are cached
    medians = {name: median(each).seconds * 1000 for name, each in in_turn(ways, rounds).items()}
    base = medians["the runtime client alone"]
    print(f"start of Python to the end of the import, median of {rounds}:")
    for name, milliseconds in medians.items():
        print(f"  {name:30s} {milliseconds:6.0f} ms   {milliseconds - base:+6.0f} ms")


if __name__ == "__main__":
    typer.run(main)
