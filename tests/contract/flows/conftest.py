"""A moto S3 server for each test process, and two buckets for each test."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import prefect.context
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from prefect.context import SettingsContext
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.conversion import convert
from flows.publishing.publication import Published, Skipped
from flows.stores.object_store import ObjectStore
from flows.stores.request import ConversionRequest
from flows.stores.s3_client import s3_client
from sandbox.parts.ports import free_port

_ROOT = Path(__file__).resolve().parents[3]
CREDENTIALS = {"key": "test", "secret": "test"}


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """The port of a running S3."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.aws.aws_server", f"--port={port}"],
        cwd=_ROOT,
        env={
            **os.environ,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            # S3's minimum is 5 MB, which the sample files do not reach.
            "S3_UPLOAD_PART_MIN_SIZE": "1024",
            "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": "5000000",
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        client = s3_client(options_for(port))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                client.list_buckets()
                break
            except (BotoCoreError, ClientError):
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def prefect_everywhere(prefect_api_url: str) -> Iterator[None]:
    """Prefect's settings name the server, in every thread of this process."""
    with (
        temporary_settings({PREFECT_API_URL: prefect_api_url}),
        pytest.MonkeyPatch.context() as patch,
    ):
        # The thread that forwards the processes' events and logs uses only the process's settings,
        # and would start another server.
        patch.setattr(prefect.context, "GLOBAL_SETTINGS_CONTEXT", SettingsContext.get())
        yield


def options_for(port: int) -> dict[str, Any]:
    """Storage options for a port."""
    return {
        **CREDENTIALS,
        "endpoint_url": f"http://127.0.0.1:{port}",
        "config_kwargs": {"read_timeout": 5},
    }


@dataclass
class Buckets:
    """The inbox and the output bucket of a test."""

    port: int
    inbox: ObjectStore
    output: ObjectStore
    real_data: Path

    def upload(self, key: str, file: str | Path | bytes) -> str:
        """Put a file into the inbox; return its entity tag."""
        body = file if isinstance(file, bytes) else (self.real_data / file).read_bytes()
        return self.inbox.put(key, body)

    def request(self, key: str = "ek60.raw", **changes: Any) -> ConversionRequest:
        """A request for an EK60 file in the inbox."""
        return ConversionRequest(
            **{
                "raw_file": f"s3://{self.inbox.bucket}/{key}",
                "sonar_model": "EK60",
                "output_path": f"s3://{self.output.bucket}/out.zarr",
                "output_type": "zarr",
                "input_storage_options": options_for(self.port),
                "output_storage_options": options_for(self.port),
                **changes,
            }
        )

    def convert(self, key: str = "ek60.raw", **changes: Any) -> Published | Skipped:
        """Convert a file of the inbox."""
        return convert(self.request(key, **changes))

    def output_keys(self) -> set[str]:
        """The keys in the output bucket."""
        return set(self.output.list(""))


@pytest.fixture
def buckets(s3_port: int, real_data: Path) -> Buckets:
    """Two empty buckets."""
    return _buckets(s3_port, real_data)


@pytest.fixture
def buckets_without_files(s3_port: int) -> Buckets:
    """Two empty buckets, for tests that need no recorded files."""
    return _buckets(s3_port, Path())


def _buckets(s3_port: int, real_data: Path) -> Buckets:
    name = uuid.uuid4().hex
    client = s3_client(options_for(s3_port))
    for kind in ("inbox", "output"):
        client.create_bucket(Bucket=f"{kind}-{name}")
    return Buckets(
        s3_port,
        ObjectStore(client, f"inbox-{name}"),
        ObjectStore(client, f"output-{name}"),
        real_data,
    )


EK60 = "ek60/D20070724-T042400.raw"


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry as in production, only sooner."""
    monkeypatch.setattr("flows.core.transient_faults.FIRST_WAIT_SECONDS", 0.05)
    monkeypatch.setattr("flows.core.transient_faults.LONGEST_WAIT_SECONDS", 0.5)
