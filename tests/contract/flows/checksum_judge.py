"""Checks the checksums that S3 verifies and moto does not.

S3 User Guide, "Checking object integrity": S3 refuses a put or part with 400 BadDigest
if its body does not match its `x-amz-checksum-*` or `Content-MD5`. An upload that was
started with an algorithm accepts no part without its checksum, and is completed only
with the checksums of its parts. DeleteObjects needs one of the headers.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import zlib
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, urlsplit

_PREFIX = "x-amz-checksum-"
_COMPUTE: Mapping[str, Callable[[bytes], bytes]] = {
    "sha256": lambda body: hashlib.sha256(body).digest(),
    "sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "md5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    "crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
}
_NUMBER = re.compile(rb"<PartNumber>(.*?)</PartNumber>")
_CHECKSUM = re.compile(rb"<ChecksumSHA256>(.*?)</ChecksumSHA256>")
_PART = re.compile(rb"<Part>.*?</Part>", re.DOTALL)


class ChecksumJudge:
    """Refuses requests as S3 would, and records them.

    Attributes:
        checked: request line and algorithm of each body that had its checksum.
        unchecked: request lines of puts without one.
        refused: request line and code of each refusal.
    """

    def __init__(self) -> None:
        self.checked: list[tuple[str, str]] = []
        self.unchecked: list[str] = []
        self.refused: list[tuple[str, str]] = []
        self._parts: dict[tuple[str, str], str] = {}
        self._turn = threading.Lock()

    def __call__(self, request: bytes) -> bytes | None:
        """The error response to a request that S3 would refuse."""
        head, _, body = request.partition(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (field.partition(":") for field in rest)
        }
        with self._turn:
            code = self._fault(line, headers, body)
            if code is None:
                return None
            self.refused.append((line, code))
        answer_body = (
            f"<Error><Code>{code}</Code><Message>as S3 would say</Message></Error>".encode()
        )
        return (
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/xml\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(answer_body), answer_body)
        )

    def _fault(self, line: str, headers: Mapping[str, str], body: bytes) -> str | None:
        method, target, _ = line.split(" ")
        query = parse_qs(urlsplit(target).query, keep_blank_values=True)
        if method == "POST" and "uploadId" in query:
            return self._unfinished(query["uploadId"][0], body)
        if method != "PUT" and "delete" not in query:
            return None
        carried = _carried(headers)
        for algorithm, value in carried.items():
            # Our code sends neither other algorithms nor trailing checksums.
            if algorithm not in _COMPUTE:
                return "NotImplemented"
            if value != base64.b64encode(_COMPUTE[algorithm](body)).decode():
                return "BadDigest"
            self.checked.append((line, algorithm))
        if not carried:
            self.unchecked.append(line)
            return "InvalidRequest" if {"delete", "partNumber"} & query.keys() else None
        if "partNumber" in query:
            self._parts[query["uploadId"][0], query["partNumber"][0]] = carried.get("sha256", "")
        return None

    def _unfinished(self, upload: str, body: bytes) -> str | None:
        """What is wrong with the parts in a request that completes an upload."""
        for part in _PART.findall(body):
            number, checksum = (
                found[1].decode() if (found := re.search(pattern, part)) else ""
                for pattern in (_NUMBER, _CHECKSUM)
            )
            if not checksum or self._parts.get((upload, number)) != checksum:
                return "InvalidPart"
        return None


def _carried(headers: Mapping[str, str]) -> dict[str, str]:
    """Algorithm to checksum, from the request's headers."""
    carried = {
        name.removeprefix(_PREFIX): value
        for name, value in headers.items()
        if name.startswith(_PREFIX) and name != f"{_PREFIX}algorithm"
    }
    if "content-md5" in headers:
        carried["md5"] = headers["content-md5"]
    if "x-amz-trailer" in headers:
        carried["trailer"] = headers["x-amz-trailer"]
    return carried
