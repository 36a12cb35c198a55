"""Passwords and signatures of URLs are neither recorded, compared nor shown."""

from __future__ import annotations

import pytest
from urllib3.exceptions import MaxRetryError, ProtocolError

from flows.core.locations import HttpLocation, parse_location
from flows.core.outcomes import TransientFault
from flows.core.public_uri import public_text, public_uri
from flows.publishing.publish_decision import Content
from flows.stores.errors import named_ends

AWS = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=SECRET&X-Amz-Signature=SECRET"
AZURE = "sv=2024-11-04&st=SECRET&se=SECRET&sr=b&sp=r&sig=SECRET"
CLOUDFRONT = "Expires=SECRET&Signature=SECRET&Key-Pair-Id=SECRET&Policy=SECRET"


@pytest.mark.parametrize(
    ("url", "public"),
    [
        (f"https://h/a.raw?{AWS}", "https://h/a.raw"),
        (f"https://h/a.raw?{AWS}&versionId=3", "https://h/a.raw?versionId=3"),
        (f"https://h/a.raw?versionId=3&{AZURE}", "https://h/a.raw?versionId=3"),
        (f"https://h/a.raw?{CLOUDFRONT}#part", "https://h/a.raw#part"),
        ("https://h/a.raw?x-goog-signature=SECRET", "https://h/a.raw"),
        ("https://h/get?file=a.raw&access_token=SECRET", "https://h/get?file=a.raw"),
        ("https://user:SECRET@h:8/a.raw", "https://h:8/a.raw"),
        # Without a signature such a parameter may choose the file.
        ("https://h/get?st=7&se=b.raw", "https://h/get?st=7&se=b.raw"),
        ("https://h/a@b.raw?", "https://h/a@b.raw?"),
        ("s3://bucket/a?sig=1.raw", "s3://bucket/a?sig=1.raw"),
        ("/data/a?token=1.raw", "/data/a?token=1.raw"),
    ],
)
def test_a_uri_loses_what_gives_access_and_nothing_else(url: str, public: str) -> None:
    location = parse_location(url)
    assert location.uri == public_uri(url) == public
    assert "SECRET" not in public_text(f"GET {url} failed: 3 times")
    if isinstance(location, HttpLocation):
        # The request has all of it.
        assert location.url == url


def test_a_file_signed_at_another_time_is_the_same_source() -> None:
    def manifest(uri: str) -> Content:
        source = {"uri": uri, "etag": "e", "version_id": None}
        return Content.of_manifest({"source": source, "sidecars": []})

    signed = [f"https://h/a.raw?X-Amz-Date={day}&X-Amz-Signature={day}" for day in (1, 2)]
    assert manifest(signed[0]).is_same_source(manifest(signed[1]))
    assert not manifest(signed[0]).is_same_source(manifest("https://h/b.raw"))


def test_a_failure_names_the_file_without_its_signature() -> None:
    error = MaxRetryError(None, f"/a.raw?{AWS}", ProtocolError("gone"))  # type: ignore[arg-type]
    with pytest.raises(TransientFault) as failed, named_ends(f"https://h/a.raw?{AWS}"):
        raise error
    assert "https://h/a.raw" in str(failed.value)
    assert "SECRET" not in f"{failed.value} {failed.value.facts()}"
