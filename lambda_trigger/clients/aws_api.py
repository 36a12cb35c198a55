"""A client for the few calls to S3, SSM, Secrets Manager and SQS that the trigger makes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from lambda_trigger.clients.aws_answers import (
    ObjectHead,
    Unreadable,
    error_code,
    object_head,
    region_elsewhere,
    throttles,
    xml,
)
from lambda_trigger.clients.aws_domains import dns_suffix
from lambda_trigger.clients.clock import Deadline
from lambda_trigger.clients.http_client import (
    MAX_BODY,
    HttpClient,
    Reply,
    Request,
    error_of,
    excerpt,
)
from lambda_trigger.clients.sigv4 import Credentials, quoted_path, quoted_query, signed_headers
from lambda_trigger.clients.transport_errors import MissingError, RefusedError
from lambda_trigger.decisions.sidecars import ListedObject


class AwsApi:
    """Sends signed requests to AWS, or to a stand-in at `endpoint_url`."""

    def __init__(
        self,
        http: HttpClient,
        credentials: Credentials,
        region: str,
        endpoint_url: str | None = None,
    ) -> None:
        self._http = http
        self._credentials = credentials
        self._region = region
        # Regions of buckets outside the stack's region; S3 returns them on a request to the wrong one.
        self._regions_of_buckets: dict[str, str] = {}
        self._endpoint = endpoint_url.rstrip("/") if endpoint_url else None

    def read_head(
        self, bucket: str, key: str, *, etag: str | None, count: int, deadline: Deadline
    ) -> ObjectHead | Unreadable:
        """Read the first `count` bytes of an object if it still has this ETag.

        Raises:
            TransportError: S3 did not answer, or its answer was unexpected.
        """
        headers = {"range": f"bytes=0-{count - 1}"}
        if etag:
            headers["if-match"] = f'"{etag}"'
        request, reply = self._ask_s3(
            "GetObject", bucket, key, deadline, headers=headers, body_limit=count
        )
        if reply.status in {200, 206}:
            return object_head(reply)
        code = error_code(reply)
        # 409 means that the object is being replaced; the retry gets one of the other answers.
        if reply.status == 404 and code in {"NoSuchKey", "NoSuchVersion"}:
            return "gone"
        if reply.status == 412:
            return "replaced"
        if reply.status == 416:
            return "empty"
        if code == "InvalidObjectState":
            return "archived"
        raise error_of(request, reply)

    def tags(self, bucket: str, key: str, deadline: Deadline) -> dict[str, str]:
        """Read an object's tags; empty if the object is gone."""
        request, reply = self._ask_s3(
            "GetObjectTagging", bucket, key, deadline, query={"tagging": ""}
        )
        if reply.status == 404 and error_code(reply) == "NoSuchKey":
            return {}
        root = xml(request, reply)
        return {
            tag.findtext("{*}Key", ""): tag.findtext("{*}Value", "")
            for tag in root.iterfind(".//{*}Tag")
        }

    def list_objects(
        self, bucket: str, prefix: str, deadline: Deadline, *, below: bool, after: str = ""
    ) -> Iterator[ListedObject]:
        """List the objects of a folder in the order of their keys, page by page.

        `prefix` is the folder, ending in '/'; '' is the whole bucket. No page is requested after
        the deadline. `below` includes the folders below it; only keys after `after` are listed.
        """
        query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
        if not below:
            query["delimiter"] = "/"
        if after:
            query["start-after"] = after
        while True:
            root = xml(*self._ask_s3("ListObjectsV2", bucket, "", deadline, query=query))
            for item in root.iterfind("{*}Contents"):
                yield ListedObject(
                    key=unquote_plus(item.findtext("{*}Key", "")),
                    size=int(item.findtext("{*}Size", "0")),
                    etag=item.findtext("{*}ETag", "").strip('"'),
                    last_modified=item.findtext("{*}LastModified", ""),
                )
            token = root.findtext("{*}NextContinuationToken")
            if root.findtext("{*}IsTruncated") != "true" or not token:
                return
            query["continuation-token"] = token

    def parameter(self, name: str, deadline: Deadline) -> str:
        """Read an SSM parameter."""
        answer = self._json("ssm", "AmazonSSM.GetParameter", {"Name": name}, deadline)
        return str(answer["Parameter"]["Value"])

    def secret(self, arn: str, deadline: Deadline) -> str:
        """Read a secret's text."""
        answer = self._json(
            "secretsmanager", "secretsmanager.GetSecretValue", {"SecretId": arn}, deadline
        )
        return str(answer["SecretString"])

    def send_messages(self, queue_arn: str, bodies: Sequence[str], deadline: Deadline) -> None:
        """Send up to ten messages to a queue; raise if one of them failed."""
        _, _, _, region, account, name = queue_arn.split(":", 5)
        url = f"{self._origin('sqs', region)}/{account}/{name}"
        entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies)]
        answer = self._json(
            "sqs",
            "AmazonSQS.SendMessageBatch",
            {"QueueUrl": url, "Entries": entries},
            deadline,
            region,
        )
        if failed := answer.get("Failed"):
            raise RefusedError("sqs", "SendMessageBatch", json.dumps(failed)[:400])

    def _origin(self, service: str, region: str) -> str:
        return self._endpoint or f"https://{service}.{region}.{dns_suffix(region)}"

    def _ask_s3(
        self,
        operation: str,
        bucket: str,
        key: str,
        deadline: Deadline,
        *,
        query: Mapping[str, str] = MappingProxyType({}),
        headers: Mapping[str, str] = MappingProxyType({}),
        body_limit: int = MAX_BODY,
    ) -> tuple[Request, Reply]:
        """Send a request to the bucket's region: the stack's, unless S3 has named another."""
        region = self._regions_of_buckets.get(bucket, self._region)
        request = self._s3(operation, bucket, key, query, headers, region=region)
        reply = self._http.send(request, deadline, throttles=throttles, body_limit=body_limit)
        found = region_elsewhere(reply)
        if found and found != region:
            self._regions_of_buckets[bucket] = found
            request = self._s3(operation, bucket, key, query, headers, region=found)
            reply = self._http.send(request, deadline, throttles=throttles, body_limit=body_limit)
        return request, reply

    def _s3(
        self,
        operation: str,
        bucket: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        *,
        region: str,
    ) -> Request:
        # Path style is needed for buckets with dots, which the certificate's wildcard does not
        # cover, and for stand-ins, which have no host name per bucket.
        by_path = self._endpoint is not None or "." in bucket
        origin = self._origin("s3", region)
        if not by_path:
            origin = origin.replace("https://", f"https://{bucket}.", 1)
        path = quoted_path(f"/{bucket}/{key}" if by_path else f"/{key}")
        written = quoted_query(query)
        signed = signed_headers(
            self._credentials,
            region,
            "s3",
            method="GET",
            host=urlsplit(origin).netloc,
            path=path,
            query=written,
            headers=headers,
        )
        return Request(
            "s3", operation, "GET", origin, f"{path}?{written}" if written else path, signed
        )

    def _json(
        self,
        service: str,
        target: str,
        parameters: dict[str, Any],
        deadline: Deadline,
        region: str | None = None,
    ) -> dict[str, Any]:
        region = region or self._region
        origin, body = self._origin(service, region), json.dumps(parameters).encode()
        version = "1.0" if service == "sqs" else "1.1"
        signed = signed_headers(
            self._credentials,
            region,
            service,
            method="POST",
            host=urlsplit(origin).netloc,
            path="/",
            headers={"content-type": f"application/x-amz-json-{version}", "x-amz-target": target},
            body=body,
        )
        request = Request(service, target.partition(".")[2], "POST", origin, "/", signed, body)
        reply = self._http.send(request, deadline, throttles=throttles)
        if reply.status != 200:
            if b"NotFound" in reply.body or b"NonExistent" in reply.body:
                raise MissingError(
                    service, request.operation, excerpt(reply.body), status=reply.status
                )
            if b"AccessDenied" in reply.body:
                reply = Reply(403, reply.headers, reply.body)
            raise error_of(request, reply)
        answer: dict[str, Any] = json.loads(reply.body)
        return answer
