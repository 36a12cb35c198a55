"""A moto S3 server in a separate process, so that its time and memory do not count."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from flows.stores.s3_client import s3_client
from sandbox.parts.environments import aws_environment
from sandbox.parts.ports import HOST, free_port

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3 import S3Client

INBOX, OUTPUT = "inbox", "output"
_SECONDS_TO_START = 60


def storage_options(port: int) -> dict[str, Any]:
    """Storage options for the server, or for a proxy in front of it."""
    return {"key": "benchmark", "secret": "benchmark", "endpoint_url": f"http://{HOST}:{port}"}


@contextlib.contextmanager
def s3_server() -> Iterator[tuple[int, S3Client]]:
    """Start the server with the buckets INBOX and OUTPUT; its port, and a client."""
    port = free_port()
    options = storage_options(port)
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.aws.aws_server", f"--port={port}"],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, **aws_environment(options["endpoint_url"])},
        stderr=subprocess.DEVNULL,
    )
    try:
        client = s3_client(options)
        deadline = time.monotonic() + _SECONDS_TO_START
        while True:
            try:
                for bucket in (INBOX, OUTPUT):
                    client.create_bucket(Bucket=bucket)
                break
            except (BotoCoreError, ClientError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield port, client
    finally:
        process.terminate()
        process.wait()
