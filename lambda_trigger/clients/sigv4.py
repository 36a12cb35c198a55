"""AWS Signature Version 4 for the few requests the trigger makes.

botocore's signer gives the same signatures (a test compares them), but its import
takes 31 ms of every cold start (docs/decisions/trigger-start-up.md).
Source: "Create a signed AWS API request", IAM user guide.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Credentials:
    """AWS credentials from the Lambda runtime's environment variables."""

    access_key: str
    secret_key: str
    session_token: str | None = None


def quoted_path(path: str) -> str:
    """Quote a path as S3 signs it: UTF-8, everything but unreserved characters and '/'."""
    return quote(path, safe="/-_.~")


def quoted_query(parameters: Mapping[str, str]) -> str:
    """Return a query string as it is signed: sorted and quoted."""
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(text, safe="-_.~")) for name, text in parameters.items()
    )
    return "&".join(f"{name}={text}" for name, text in pairs)


def signed_headers(
    credentials: Credentials,
    region: str,
    service: str,
    *,
    method: str,
    host: str,
    path: str,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    now: datetime | None = None,
) -> dict[str, str]:
    """Return a request's headers with its signature.

    `host` has its port unless it is the scheme's default; `path` and `query` are quoted
    (quoted_path, quoted_query); all `headers` are signed; `now` is by default the current time.
    """
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    payload = hashlib.sha256(body).hexdigest()
    signed = {name.lower(): text.strip() for name, text in (headers or {}).items()}
    signed |= {"host": host, "x-amz-date": moment, "x-amz-content-sha256": payload}
    if credentials.session_token:
        signed["x-amz-security-token"] = credentials.session_token
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    key = b"AWS4" + credentials.secret_key.encode()
    for part in (moment[:8], region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    signed["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return signed
