"""An S3 bucket for reading and publishing: checksummed and conditional puts, listings, deletes.

Keys are full keys in the bucket. The SDK retries single requests. Faults that it does
not detect (a response body that is cut off, a digest that does not match) are retried
here.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from flows.core.outcomes import TransientFault
from flows.core.transient_faults import retrying
from flows.stores.parallel_requests import in_parallel

if TYPE_CHECKING:  # the stubs are installed for development alone
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import TagTypeDef

# A larger file is uploaded in parts, so that a lost connection costs only one part.
PART_BYTES = 64 * 1024 * 1024

_DELETES_A_REQUEST = 1000

# Eight parts at a time: 64 would take 4 GB of memory.
_PARTS_AT_A_TIME = 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredObject:
    """An object's body, with its metadata and the store's own time."""

    body: bytes
    etag: str
    last_modified: datetime
    store_time: datetime


@dataclass(frozen=True)
class ObjectEntry:
    """Size in bytes, entity tag without quotes, and the version, which a listing does not have."""

    size: int
    etag: str
    version_id: str | None = None


def error_code(error: ClientError) -> tuple[int, str]:
    """HTTP status and S3 error code of a failed request."""
    return (
        error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0),
        error.response.get("Error", {}).get("Code", ""),
    )


def _sha256_base64(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


class ObjectStore:
    """One bucket, used through one client."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self.client = client
        self.bucket = bucket

    def put(self, key: str, body: bytes, **conditions: str) -> str:
        """Put an object, with a SHA-256 that S3 checks; return its entity tag.

        `conditions` are `IfMatch` and `IfNoneMatch`.

        Raises:
            ClientError: 412 if a condition fails.
        """
        arguments: dict[str, Any] = {
            "Bucket": self.bucket,
            "Key": key,
            "Body": body,
            "ChecksumSHA256": _sha256_base64(body),
            **conditions,
        }
        answer = retrying(lambda: self.client.put_object(**arguments), attempts=3)
        return answer["ETag"].strip('"')

    def put_file(self, key: str, path: Path) -> str:
        """Put a local file, in parts if it is large; return its entity tag.

        An unfinished upload is aborted, also on SIGTERM.

        Raises:
            TransientFault: something else aborted the upload.
        """
        size = path.stat().st_size
        if size <= PART_BYTES:
            return self.put(key, path.read_bytes())
        upload = self.client.create_multipart_upload(
            Bucket=self.bucket, Key=key, ChecksumAlgorithm="SHA256"
        )["UploadId"]
        # S3 allows at most 10,000 parts.
        part_bytes = max(PART_BYTES, -(-size // 10_000))

        def put_part(number: int) -> dict[str, Any]:
            with path.open("rb") as file:
                file.seek((number - 1) * part_bytes)
                body = file.read(part_bytes)
            answer = retrying(
                lambda: self.client.upload_part(
                    Bucket=self.bucket,
                    Key=key,
                    UploadId=upload,
                    PartNumber=number,
                    Body=body,
                    ChecksumSHA256=_sha256_base64(body),
                ),
                attempts=3,
            )
            return {
                "PartNumber": number,
                "ETag": answer["ETag"],
                "ChecksumSHA256": _sha256_base64(body),
            }

        try:
            numbers = range(1, -(-size // part_bytes) + 1)
            parts: Any = in_parallel(put_part, numbers, connections=_PARTS_AT_A_TIME)
            done = self.client.complete_multipart_upload(
                Bucket=self.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except BaseException as error:
            self._abort(key, upload)
            if isinstance(error, ClientError) and error_code(error)[1] == "NoSuchUpload":
                raise TransientFault(f"s3://{self.bucket}/{key}", str(error)) from error
            raise
        return done["ETag"].strip('"')

    def abort_uploads(self, key: str) -> None:
        """Abort the unfinished uploads of killed runs under this key, because parts cost money."""
        found = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=key)
        for upload in found.get("Uploads", []):
            if upload["Key"] == key:
                self._abort(key, upload["UploadId"])

    def _abort(self, key: str, upload: str) -> None:
        try:
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)
        # BLE001: the run's outcome must not change, above all after a signal. The next run or the
        # bucket's lifecycle rule aborts the parts.
        except Exception as error:  # noqa: BLE001
            _log.warning("s3://%s/%s: upload not aborted: %s", self.bucket, key, error)

    def get(self, key: str) -> StoredObject | None:
        """The object, or None if it does not exist."""

        def read() -> StoredObject | None:
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                status, code = error_code(error)
                if status == 404 and code != "NoSuchBucket":
                    return None
                raise
            return StoredObject(
                body=answer["Body"].read(),
                etag=answer["ETag"].strip('"'),
                last_modified=answer["LastModified"],
                store_time=parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]),
            )

        return retrying(read, attempts=5)

    def head(self, key: str) -> ObjectEntry | None:
        """Size, entity tag and version of the current object, or None if it does not exist."""
        try:
            answer = self.client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error_code(error)[0] == 404:
                return None
            raise
        return ObjectEntry(
            answer["ContentLength"], answer["ETag"].strip('"'), answer.get("VersionId")
        )

    def tags(self, key: str, version_id: str | None) -> Sequence[TagTypeDef]:
        """The tags of one version of an object; None means the current version."""
        version: dict[str, Any] = {"VersionId": version_id} if version_id else {}
        return self.client.get_object_tagging(Bucket=self.bucket, Key=key, **version)["TagSet"]

    def put_tags(self, key: str, version_id: str | None, tags: Sequence[TagTypeDef]) -> None:
        """Replace the tags of one version of an object; without tags, remove all of them."""
        version: dict[str, Any] = {"VersionId": version_id} if version_id else {}
        if not tags:
            # Not every S3 accepts an empty set.
            self.client.delete_object_tagging(Bucket=self.bucket, Key=key, **version)
            return
        self.client.put_object_tagging(
            Bucket=self.bucket, Key=key, Tagging={"TagSet": tags}, **version
        )

    def list(self, prefix: str) -> dict[str, ObjectEntry]:
        """All keys that begin with `prefix`."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        return {
            entry["Key"]: ObjectEntry(entry["Size"], entry["ETag"].strip('"'))
            for page in pages
            for entry in page.get("Contents", [])
        }

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; missing objects count as deleted.

        Raises:
            TransientFault: S3 did not delete some of them.
        """
        waiting = list(keys)
        if len(waiting) == 1:
            self.client.delete_object(Bucket=self.bucket, Key=waiting[0])
            return
        for start in range(0, len(waiting), _DELETES_A_REQUEST):
            batch = waiting[start : start + _DELETES_A_REQUEST]
            answer = self.client.delete_objects(
                Bucket=self.bucket,
                Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True},
            )
            if kept := answer.get("Errors"):
                raise TransientFault(
                    f"s3://{self.bucket}/{kept[0].get('Key')}",
                    f"{len(kept)} deletes refused: {kept[0].get('Code')}",
                )
