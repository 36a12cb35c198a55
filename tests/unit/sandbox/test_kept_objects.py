"""Objects of the sandbox's S3 outlive its process: versions, tags, metadata, delete markers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.parts.environments import aws_environment, system_environment
from sandbox.parts.ports import free_port
from sandbox.parts.waiting import wait_until

pytestmark = pytest.mark.slow


@contextmanager
def killed_s3(folder: Path) -> Iterator[Any]:
    """A client of a server on the folder, which ends by SIGKILL."""
    port = free_port()
    environment = {**system_environment(), **aws_environment(f"http://127.0.0.1:{port}")}
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.aws.aws_server", f"--port={port}", f"--keep={folder}"],
        cwd=Path(__file__).parents[3],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    s3 = boto3.Session(
        environment["AWS_ACCESS_KEY_ID"],
        environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    ).client("s3", endpoint_url=environment["AWS_ENDPOINT_URL"])

    def answers() -> bool:
        try:
            return bool(s3.list_buckets())
        except (BotoCoreError, ClientError):
            return False

    try:
        wait_until(answers, 60, "the server")
        yield s3
    finally:
        process.kill()
        process.wait()


def contents(s3: Any, bucket: str) -> list[tuple[Any, ...]]:
    listed = s3.list_object_versions(Bucket=bucket)
    found: list[tuple[Any, ...]] = []
    for each in listed.get("Versions", []):
        of = {"Bucket": bucket, "Key": each["Key"], "VersionId": each["VersionId"]}
        got = s3.get_object(**of)
        tags = s3.get_object_tagging(**of)["TagSet"]
        found.append(
            (
                *(each[name] for name in ("Key", "VersionId", "ETag", "IsLatest", "LastModified")),
                *(got["Body"].read(), got["Metadata"], tags),
            )
        )
    markers = [(each["Key"], each["VersionId"]) for each in listed.get("DeleteMarkers", [])]
    return found + markers


def test_objects_survive_the_end_of_the_server(tmp_path: Path) -> None:
    with killed_s3(tmp_path) as s3:
        for bucket in ("plain", "versioned"):
            s3.create_bucket(Bucket=bucket)
        versioning = {"Bucket": "versioned", "VersioningConfiguration": {"Status": "Enabled"}}
        s3.put_bucket_versioning(**versioning)
        for bucket in ("plain", "versioned"):
            for key, body in (("ä b+%2F?#.raw", b"1"), ("ä b+%2F?#.raw", b"22"), ("gone", b"")):
                s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"sonar-model": "EK60"})
            tags = {"TagSet": [{"Key": "echodrop-outcome", "Value": "BadFile"}]}
            s3.put_object_tagging(Bucket=bucket, Key="ä b+%2F?#.raw", Tagging=tags)
            s3.put_object(Bucket=bucket, Key="untagged", Body=b"3", Tagging="a=b")
            s3.delete_object_tagging(Bucket=bucket, Key="untagged")
            s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "gone"}]})
            parts = s3.create_multipart_upload(Bucket=bucket, Key="large")
            of = {"Bucket": bucket, "Key": "large", "UploadId": parts["UploadId"]}
            part = s3.upload_part(**of, PartNumber=1, Body=b"4" * 5_000)
            done = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
            s3.complete_multipart_upload(**of, MultipartUpload=done)
        before = {bucket: contents(s3, bucket) for bucket in ("plain", "versioned")}
    assert [len(before[bucket]) for bucket in ("plain", "versioned")] == [3, 6]
    with killed_s3(tmp_path) as s3:
        # As the sandbox does, which creates its stack at each start.
        s3.create_bucket(Bucket="versioned")
        s3.put_bucket_versioning(**versioning)
        assert {bucket: contents(s3, bucket) for bucket in ("plain", "versioned")} == before
        s3.put_object(Bucket="versioned", Key="untagged", Body=b"33")
        assert len(contents(s3, "versioned")) == 7
