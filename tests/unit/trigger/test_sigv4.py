from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from lambda_trigger.clients.sigv4 import Credentials, quoted_path, quoted_query, signed_headers

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)


def authorization_by_botocore(
    request: AWSRequest,
    service: str,
    token: str | None,
    monkeypatch: pytest.MonkeyPatch,
    now: datetime,
) -> str:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: now)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(BotocoreCredentials("AKID", "secret", token), service, "eu-west-1").add_auth(request)
    return str(request.headers["Authorization"])


@given(
    key=KEYS, query=st.dictionaries(KEYS, KEYS, max_size=3), token=st.sampled_from([None, "t/+="])
)
def test_s3_requests_are_signed_as_botocore_signs_them(
    key: str, query: dict[str, str], token: str | None
) -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    path, written = quoted_path(f"/{key}"), quoted_query(query)
    host = "inbox.s3.eu-west-1.amazonaws.com"
    headers = {"range": "bytes=0-1023", "if-match": '"abc"'}
    request = AWSRequest("GET", f"https://{host}{path}?{written}", headers=dict(headers))
    with pytest.MonkeyPatch.context() as monkeypatch:
        theirs = authorization_by_botocore(request, "s3", token, monkeypatch, now)
    ours = signed_headers(
        Credentials("AKID", "secret", token),
        "eu-west-1",
        "s3",
        method="GET",
        host=host,
        path=path,
        query=written,
        headers=headers,
        now=now,
    )
    assert signature(ours["authorization"]) == signature(theirs)


@pytest.mark.parametrize("service", ["ssm", "secretsmanager", "sqs"])
def test_json_calls_are_signed_as_botocore_signs_them(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    host, body = f"{service}.eu-west-1.amazonaws.com", b'{"Name": "rules"}'
    ours = signed_headers(
        Credentials("AKID", "secret"),
        "eu-west-1",
        service,
        method="POST",
        host=host,
        path="/",
        headers={"x-amz-target": "T.Get"},
        body=body,
        now=now,
    )
    # The header that the trigger signs in addition to botocore's.
    headers = {"x-amz-target": "T.Get", "X-Amz-Content-SHA256": ours["x-amz-content-sha256"]}
    request = AWSRequest("POST", f"https://{host}/", headers=headers, data=body)
    theirs = authorization_by_botocore(request, service, None, monkeypatch, now)
    assert signature(ours["authorization"]) == signature(theirs)


def signature(authorization: str) -> str:
    return authorization.rpartition("Signature=")[2]
